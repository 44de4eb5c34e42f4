"""The ctypes binding against LightGBM's own package: the same bits."""

from __future__ import annotations

import json
from array import array
from typing import TYPE_CHECKING

import lightgbm as lgb
import numpy as np
import pytest

from serving_lambda.errors import ServingError
from serving_lambda.lightgbm_c import Library, Model, library_path

if TYPE_CHECKING:
    from bundle_fixtures import Made

TASKS = ["churn_signal", "nba_primary", "product_stability", "next_mcc"]


def parts(made: Made, task: str) -> tuple[Model, lgb.Booster, np.ndarray]:
    files = made.students[task]
    columns = json.loads(files["student.json"])["columns"]
    X = np.ascontiguousarray(made.X[:60, [made.registry.names.index(name) for name in columns]])
    return Model(Library(), files["model.txt"]), lgb.Booster(model_str=files["model.txt"].decode()), X


@pytest.mark.parametrize("task", TASKS)
def test_raw_scores_equal_the_python_packages_bit_by_bit_in_batch_and_row_by_row(made: Made, task: str) -> None:
    model, booster, X = parts(made, task)
    expected = booster.predict(X, raw_score=True).reshape(len(X), -1)
    assert np.array_equal(np.frombuffer(model.raw(X, len(X))).reshape(len(X), -1), expected)
    assert [model.raw_row(array("f", row)) for row in X] == expected.tolist()


@pytest.mark.parametrize("task", TASKS)
def test_contributions_equal_the_python_packages_bit_by_bit_and_add_up_to_the_raw_score(made: Made, task: str) -> None:
    model, booster, X = parts(made, task)
    expected = booster.predict(X, pred_contrib=True)
    assert np.array_equal(np.frombuffer(model.contributions(X, len(X))).reshape(len(X), -1), expected)
    assert [model.contributions_row(array("f", row)) for row in X] == expected.tolist()
    sums = expected.reshape(len(X), model.classes, -1).sum(axis=2)
    assert np.abs(sums - booster.predict(X, raw_score=True).reshape(len(X), -1)).max() < 1e-9


def test_the_number_of_threads_does_not_change_a_bit(made: Made) -> None:
    model, _, X = parts(made, "nba_primary")
    assert model.raw(X, len(X), threads=1) == model.raw(X, len(X), threads=2)
    assert model.contributions(X, len(X), threads=1) == model.contributions(X, len(X), threads=2)


def test_a_matrix_that_is_too_small_of_another_type_or_not_in_row_order_is_refused_before_the_call(made: Made) -> None:
    model, _, X = parts(made, "churn_signal")
    for wrong in (X[:3], X.astype(np.float64), np.asfortranarray(X), X[:, ::2]):
        with pytest.raises(ServingError) as refused:
            model.raw(wrong, len(X))
        assert refused.value.code == "PREDICTION_FAILED"
    with pytest.raises(ServingError):
        model.raw_row(array("d", [0.0] * model.columns))


def test_text_that_is_no_model_is_refused_with_lightgbms_own_message() -> None:
    with pytest.raises(ServingError) as refused:
        Model(Library(), b"this is no model")
    assert refused.value.code == "MODEL_UNREADABLE"
    assert "LGBM_BoosterLoadModelFromString" in refused.value.message


def test_a_named_library_that_is_not_there_is_an_unavailable_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINAI_LIGHTGBM_LIB", "/nowhere/lib_lightgbm.so")
    with pytest.raises(ServingError) as refused:
        library_path()
    assert refused.value.code == "ENGINE_UNAVAILABLE"


def test_a_closed_model_can_be_closed_again_and_frees_its_handles(made: Made) -> None:
    model, _, X = parts(made, "churn_signal")
    model.raw_row(array("f", X[0]))
    model.close()
    model.close()
    assert not model._handle
    assert not model._fast
