"""Calibration is measured on what is served: before and after the calibrator, on labelled test rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from finai_assets.scoring.metrics import expected_calibration_error
from finai_assets.settings import Settings
from finai_assets.students.report.calibration import calibration_of
from finai_assets.students.train import StudentResult, places
from tests.finai_assets.students.conftest import Toy


def test_the_error_is_that_of_the_served_probability_and_layer_2_stands_beside_it(
    once: Toy, students: dict[str, StudentResult], chosen: Settings
) -> None:
    student, rows = students["churn"], once.matrix.rows("test")
    found = calibration_of(student, once.matrix, chosen)
    assert list(found) == ["served", "layer_2"]
    label = once.matrix.labels["churn"][rows]
    for layer, model in (("served", student.model), ("layer_2", student.direct and student.direct.model)):
        assert model is not None
        p = model.predict(once.matrix.X[rows][:, places(once.matrix, model.columns)].copy())
        assert found[layer]["after"]["value"] == pytest.approx(expected_calibration_error(label, p), abs=1e-12)
        assert found[layer]["calibrator"] == model.calibrator["type"]
    assert found["served"]["before"] == found["served"]["after"]  # a copy has no calibrator
    assert found["layer_2"]["before"] != found["layer_2"]["after"]


def test_a_calibrator_that_doubles_is_seen_after_it_and_not_before(
    once: Toy, students: dict[str, StudentResult], chosen: Settings
) -> None:
    student = students["churn"]
    assert student.model is not None
    doubling = {"type": "isotonic", "x": [0.0, 0.5, 1.0], "y": [0.0, 1.0, 1.0]}
    spoiled = replace(student, model=replace(student.model, calibrator=doubling))
    found, honest = (calibration_of(each, once.matrix, chosen)["served"] for each in (spoiled, student))
    assert found["before"] == honest["before"]
    assert found["after"]["value"] > honest["after"]["value"] + 0.05


def test_a_regression_gives_no_probability(once: Toy, students: dict[str, StudentResult], chosen: Settings) -> None:
    assert calibration_of(students["spend"], once.matrix, chosen) == {}
    assert list(calibration_of(students["family"], once.matrix, chosen)) == ["served", "layer_2"]
