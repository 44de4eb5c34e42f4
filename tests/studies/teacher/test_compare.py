from __future__ import annotations

import json

import numpy as np
import pytest
from panel import small_settings

from finai_resources.errors import GateError
from studies.teacher.compare import compare
from studies.teacher.variants import CONTROL, Variant

KINDS = {"churn": "binary", "other": "binary", "next": "multiclass", "count": "regression"}
METRIC = {"binary": "auc", "multiclass": "log_loss", "regression": "r2"}
RESAMPLES = 200
REFERENCE = Variant("reference", "reference", "")


def result(variant: str, seed: int, shift: float, *, spread: float = 0.01, task: str | None = None) -> dict:
    """A run whose tasks (or one of them) are better by ``shift`` of skill, with noise of seed and customers."""
    customers = np.random.default_rng(0).normal(0, spread, 1 + RESAMPLES)  # alike for all runs: it cancels
    own = np.random.default_rng([seed, *variant.encode()])
    customers[0] = 0
    tasks = {}
    for name, kind in KINDS.items():
        gain = shift if task in {None, name} else 0.0
        level = 0.4 + gain + own.normal(0, spread / 10)
        skill = level + customers + own.normal(0, spread / 10, 1 + RESAMPLES) * np.r_[0, np.ones(RESAMPLES)]
        metric = {"binary": (skill + 1) / 2, "multiclass": 2 * (1 - skill), "regression": skill}[kind]
        tasks[name] = {
            "kind": kind,
            "test": {"n": 500, "metrics": {METRIC[kind]: float(metric[0])}, "skill": float(skill[0])},
            "draws": {"metric": metric.tolist(), "skill": skill.tolist()},
        }
    return {"variant": variant, "seed": seed, "tasks": tasks, "parameters": 10, "epochs": 3, "seconds": 1.0}


def study(*named: Variant, seeds: int = 5, **shifts: float):
    variants = [REFERENCE, *(named or [Variant(name, "t", "?", {name: 1}) for name in shifts])]
    runs = [result(v.name, seed, shifts.get(v.name, 0.0)) for v in variants for seed in range(seeds)]
    return runs, variants


@pytest.fixture(scope="module")
def settings():
    return small_settings()


def by_name(summary):
    return {variant["name"]: variant for variant in summary["variants"]}


def test_better_worse_and_nothing_are_told_apart_and_plus_is_better_whatever_the_metric(settings):
    runs, variants = study(gains=0.05, loses=-0.05, same=0.0)
    found = by_name(compare(runs, variants, settings))
    assert [found[name]["mean"]["verdict"] for name in ("gains", "loses", "same")] == [
        "better",
        "worse",
        "no difference shown",
    ]
    gains = found["gains"]
    assert gains["mean"]["difference"] == pytest.approx(0.05, abs=0.003)
    assert gains["mean"]["low"] < 0.05 < gains["mean"]["high"]
    assert gains["tasks"]["churn"]["difference"] == pytest.approx(0.025, abs=0.003)
    assert gains["tasks"]["next"]["difference"] == pytest.approx(0.1, abs=0.006), "a log-loss that falls is a plus"
    assert gains["tasks"]["next"]["verdict"] == "better"
    assert found["loses"]["tasks"]["next"]["verdict"] == "worse"
    assert gains["kinds"]["auc"]["difference"] == pytest.approx(
        (gains["tasks"]["churn"]["difference"] + gains["tasks"]["other"]["difference"]) / 2
    )


def test_the_mean_is_that_of_the_tasks_skills_seed_by_seed(settings):
    runs, variants = study(gains=0.05)
    (found,) = compare(runs, variants, settings)["variants"]
    skill = {(r["variant"], r["seed"]): np.mean([t["test"]["skill"] for t in r["tasks"].values()]) for r in runs}
    expected = [skill["gains", seed] - skill["reference", seed] for seed in range(5)]
    np.testing.assert_allclose(found["mean"]["by_seed"], expected)


def test_the_more_variants_the_stricter_and_the_control_burdens_none(settings):
    alone = compare(*study(small=0.002), settings)["variants"][0]["mean"]
    many = {"small": 0.002, **{f"v{k}": 0.0 for k in range(20)}}
    runs, variants = study(**many)
    among = by_name(compare(runs, variants, settings))["small"]["mean"]
    assert alone["p_adjusted"] == alone["p"] == among["p"]
    assert among["p_adjusted"] == pytest.approx(min(1, 21 * among["p"]))
    assert among["detectable"] > alone["detectable"]
    beside = study(Variant("small", "t", "?", {"a": 1}), Variant(CONTROL, "control", "?"), small=0.002)
    found = by_name(compare(*beside, settings))
    assert found["small"]["mean"]["p_adjusted"] == alone["p"]
    assert found[CONTROL]["mean"]["p_adjusted"] == found[CONTROL]["mean"]["p"]


def test_a_difference_that_other_customers_would_turn_is_not_shown(settings):
    """Over seeds it is certain; over customers it is not."""
    runs, variants = study(gains=0.05)
    for run in runs:
        if run["variant"] == "gains":
            for task in run["tasks"].values():
                skills = np.array(task["draws"]["skill"])
                skills[1:] += np.random.default_rng(1).normal(0, 0.2, RESAMPLES)
                task["draws"]["skill"] = skills.tolist()
    (found,) = compare(runs, variants, settings)["variants"]
    assert found["mean"]["p_adjusted"] < 0.001
    assert found["mean"]["low_customers"] < 0 < found["mean"]["high_customers"]
    assert found["mean"]["verdict"] == "no difference shown"


def test_one_seed_is_not_judged_and_seeds_without_their_pair_take_no_part(settings):
    runs, variants = study(gains=0.05, seeds=1)
    (found,) = compare(runs, variants, settings)["variants"]
    assert found["mean"]["verdict"] == "not judged: one seed"
    assert found["mean"]["p"] is found["mean"]["low"] is found["mean"]["detectable"] is None
    runs, variants = study(gains=0.05)
    fewer = [run for run in runs if (run["variant"], run["seed"]) not in {("gains", 1), ("reference", 4)}]
    (found,) = compare(fewer, variants, settings)["variants"]
    assert found["seeds"] == 3
    assert len(found["mean"]["by_seed"]) == 3


def test_a_task_without_a_skill_on_test_takes_no_part_and_is_named(settings):
    runs, variants = study(gains=0.05)
    runs[3]["tasks"]["other"]["draws"]["skill"][0] = None
    summary = compare(runs, variants, settings)
    assert summary["undefined_tasks"] == ["other"]
    assert list(summary["variants"][0]["tasks"]) == ["churn", "next", "count"]
    for run in runs:
        for task in run["tasks"].values():
            task["draws"]["skill"][0] = None
    with pytest.raises(GateError, match="no task"):
        compare(runs, variants, settings)


def test_resamples_that_lack_a_class_do_not_spoil_the_interval(settings):
    runs, variants = study(gains=0.05)
    for run in runs:
        for what in ("skill", "metric"):
            run["tasks"]["churn"]["draws"][what][5] = None
    (found,) = compare(runs, variants, settings)["variants"]
    assert found["mean"]["verdict"] == found["tasks"]["churn"]["verdict"] == "better"


def test_where_there_is_no_difference_one_is_shown_less_often_than_the_level(settings):
    """200 studies of a variant that is the reference under another name, with other seeds; the level is 5 %."""
    shown = 0
    for number in range(200):
        runs = []
        for name in ("reference", "null"):
            runs += [{**result(f"{name} {number}", seed, 0.0), "variant": name} for seed in range(5)]
        (found,) = compare(runs, [REFERENCE, Variant("null", "t", "?", {"a": 1})], settings)["variants"]
        shown += found["mean"]["verdict"] != "no difference shown"
    assert shown <= 16, "more than 16 of 200 have odds of 1 in 40 at the level, and a verdict asks for more than p"


def test_the_order_of_runs_does_not_matter_and_the_comparison_is_json(settings):
    runs, variants = study(gains=0.05, same=0.0)
    summary = compare(runs, variants, settings)
    assert compare(runs[::-1], variants, settings) == summary
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_without_the_reference_there_is_nothing_to_compare(settings):
    runs, variants = study(gains=0.05)
    with pytest.raises(GateError, match="reference"):
        compare([run for run in runs if run["variant"] != "reference"], variants, settings)
