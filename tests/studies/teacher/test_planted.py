"""What the ablation is for: it finds an expert that alone carries a label, and finds nothing where there is nothing."""

from __future__ import annotations

import pytest
from planted import OTHER, TASK

from studies.teacher.compare import compare
from studies.teacher.runs import Runs, run_all, units
from studies.teacher.variants import CONTROL, chosen_variants

pytestmark = pytest.mark.slow  # twelve trainings


@pytest.fixture(scope="module")
def summary(planted, tmp_path_factory):
    chosen = chosen_variants(planted.settings, (TASK, OTHER), [CONTROL, "experts"])
    results = run_all(
        planted, units(planted, chosen, planted.settings.ablation.seeds), Runs(tmp_path_factory.mktemp("r"))
    )
    return compare(results, chosen, planted.settings)


def found(summary, name):
    return next(variant for variant in summary["variants"] if variant["name"] == name)


def test_without_the_expert_whose_input_carries_the_label_the_teacher_is_worse(summary):
    assert summary["reference"]["tasks"][TASK] > 0.8, "the reference reads it"
    task = found(summary, "without_perslay")["tasks"][TASK]
    assert task["verdict"] == "worse"
    assert task["difference"] < -0.2
    assert task["high"] < 0
    assert task["high_customers"] < 0
    assert task["reference"] + task["difference"] < 0.65, "what is left is near a guess"


def test_without_the_other_expert_that_label_is_read_as_before(summary):
    assert found(summary, "without_deepfm")["tasks"][TASK]["difference"] > -0.05


def test_the_reference_once_more_shows_no_difference(summary):
    control = found(summary, CONTROL)
    assert control["mean"]["verdict"] == "no difference shown"
    assert {task["verdict"] for task in control["tasks"].values()} == {"no difference shown"}
    assert any(value != 0 for value in control["mean"]["by_seed"]), "it was trained with other seeds"
    assert control["parameters"] == summary["reference"]["parameters"]
