"""The ablation compares what it says it compares, scores without bias, and claims only what its intervals show."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel import make_panel, only

from finai_assets.evaluation.baselines import prior
from finai_assets.features.registry import build_registry
from finai_assets.scoring.resampling import all_copies
from finai_assets.settings import Settings
from finai_assets.settings.features import FeatureGroupSettings
from finai_assets.training.labelling import MatrixTask
from finai_resources.errors import ConfigError, GateError
from studies.groups.ablation import ResultFile, Study, compact
from studies.groups.report import Skills, difference, few_seeds, summarise
from studies.groups.skill import Configuration, configurations, skill

GROUPS = FeatureGroupSettings.names()
BASE = GROUPS[:4]
KINDS = {"binary": 1, "multiclass": 3, "regression": 1}
ROWS, CUSTOMERS = 400, 100


def task_of(kind: str) -> MatrixTask:
    return MatrixTask(kind, kind, KINDS[kind], tuple("abc") if kind == "multiclass" else (), 1.0, None, "value")


def labels_of(kind: str, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, {"binary": 2, "multiclass": 3}.get(kind, 50), ROWS).astype(np.float64)


def perfect(kind: str, label: np.ndarray) -> np.ndarray:
    return np.eye(3)[label.astype(int)] if kind == "multiclass" else label


def noisy(kind: str, label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if kind == "multiclass":
        raw = np.eye(3)[label.astype(int)] + rng.random((len(label), 3))
        return raw / raw.sum(1, keepdims=True)
    return np.clip(0.5 * label + rng.random(len(label)), 0, 1) if kind == "binary" else label + rng.normal(0, 20, ROWS)


def test_seventeen_groups_make_thirty_two_configurations() -> None:
    found = {c.name: c.groups for c in configurations(GROUPS, BASE)}
    assert len(found) == 1 + 13 + 1 + 17
    assert found["base"] == BASE
    assert found["base + hmm_states"] == (*BASE, "hmm_states")
    assert found["all"] == GROUPS
    assert set(GROUPS) - set(found["all - demographics"]) == {"demographics"}


def test_a_base_group_that_the_data_lack_is_passed_over() -> None:
    assert configurations(["txn_behavior", "hmm_states"], BASE)[0] == Configuration("base", ("txn_behavior",))


@pytest.mark.parametrize("kind", KINDS)
def test_skill_is_one_for_the_truth_and_zero_for_what_knows_nothing(kind: str) -> None:
    rng = np.random.default_rng(3)
    label, customer = labels_of(kind, rng), np.repeat(np.arange(CUSTOMERS), ROWS // CUSTOMERS)
    copies, task = all_copies(CUSTOMERS, 5, 1), task_of(kind)
    nothing = prior(task, label, ROWS)
    assert skill(task, label, perfect(kind, label), nothing, customer, copies) == pytest.approx(np.ones(6))
    assert skill(task, label, nothing, nothing, customer, copies)[0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_resample_counts_as_if_its_customers_were_repeated(kind: str) -> None:
    rng = np.random.default_rng(4)
    label, customer = labels_of(kind, rng), np.repeat(np.arange(CUSTOMERS), ROWS // CUSTOMERS)
    task, guess, copies = task_of(kind), noisy(kind, label, rng), all_copies(CUSTOMERS, 3, 9)
    nothing = prior(task, label, ROWS)
    resampled = skill(task, label, guess, nothing, customer, copies)[2]
    rows = np.repeat(np.arange(ROWS), copies[2].astype(int)[customer])
    repeated = skill(task, label[rows], guess[rows], nothing[rows], np.zeros(len(rows), int), np.ones((1, 1)))[0]
    assert resampled == pytest.approx(repeated)


@pytest.mark.parametrize("kind", KINDS)
def test_masked_rows_take_part_in_nothing(kind: str) -> None:
    rng = np.random.default_rng(5)
    label, customer = labels_of(kind, rng), np.repeat(np.arange(CUSTOMERS), ROWS // CUSTOMERS)
    task, guess, copies = task_of(kind), noisy(kind, label, rng), all_copies(CUSTOMERS, 3, 9)
    label[rng.random(ROWS) < 0.3] = np.nan
    label[customer < 10] = np.nan  # customers without any label, too
    nothing = prior(task, label, ROWS)
    other = guess.copy()
    other[np.isnan(label)] = other[np.isnan(label)][::-1]
    first, second = (skill(task, label, p, nothing, customer, copies) for p in (guess, other))
    assert first.tolist() == second.tolist()
    rest = customer >= 10
    third = skill(task, label[rest], guess[rest], nothing[rest], customer[rest], copies[:, 10:])
    assert first.tolist() == third.tolist()


def planted(
    gain: float, *, seeds: int = 5, tasks: str = "pq", across_seeds: float = 0.0, across_resamples: float = 0.0
) -> Skills:
    rng = np.random.default_rng(0)
    skills: Skills = {}
    for task, seed in product(tasks, range(seeds)):
        less = 0.5 + rng.normal(0, 0.1, 301)  # what both sides share
        skills["less", task, seed] = less
        skills["more", task, seed] = less + gain + rng.normal(0, across_seeds) + rng.normal(0, across_resamples, 301)
    return skills


def test_what_both_sides_share_widens_no_interval() -> None:
    found = difference(planted(0.03), "more", "less", "pq", range(5)).mean(0.95)
    assert found == {"gain": 0.03, "low": 0.03, "high": 0.03}


def test_the_spread_over_seeds_and_that_over_customers_both_widen_it() -> None:
    def width(**spread: float) -> float:
        found = difference(planted(0.03, **spread), "more", "less", "pq", range(5)).mean(0.95)
        return found["high"] - found["low"]

    assert width(across_seeds=0.02) > 0.01
    assert width(across_resamples=0.02) > 0.01
    assert width(across_seeds=0.02, across_resamples=0.02) > max(width(across_seeds=0.02), width(across_resamples=0.02))


def test_of_five_seeds_without_a_true_gain_few_intervals_exclude_zero() -> None:
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(300):
        noise = rng.normal(0, 1, 5)
        skills = {
            (side, "p", s): np.full(201, noise[s] * (side == "more")) for side in ("more", "less") for s in range(5)
        }
        found = difference(skills, "more", "less", "p", range(5)).mean(0.95)
        wrong += not found["low"] <= 0 <= found["high"]
    assert wrong / 300 < 0.09


def test_few_seeds_are_spread_out_and_many_are_not() -> None:
    assert few_seeds(2) > few_seeds(5) > few_seeds(50) > 1
    assert few_seeds(5000) == pytest.approx(1, abs=1e-3)


def test_the_best_of_ten_tasks_has_a_wider_interval_than_the_task_by_itself() -> None:
    tasks = "abcdefghij"
    found = difference(planted(0.03, tasks=tasks, across_resamples=0.02), "more", "less", tasks, range(5))
    best, by_task = found.best(0.95), found.by_task(0.95)
    gain, low, high = by_task[best["task"]]
    assert gain == max(value for value, _, _ in by_task.values())
    assert best["high"] - best["low"] > 1.25 * (high - low)


COLUMNS = {"demographics": 11, "hmm_states": 25, "tda_local": 16}


def lines_of(seeds: int, tasks: str = "pq") -> list[dict[str, Any]]:
    worth = {"demographics": 0.3, "hmm_states": 0.1, "tda_local": 0.0}
    return [
        {
            "configuration": configuration.name,
            "task": task,
            "seed": seed,
            "skill": [sum(worth[group] for group in configuration.groups)] * 11,
        }
        for configuration in configurations(list(COLUMNS), ["demographics"])
        for task in tasks
        for seed in range(seeds)
    ]


def test_the_summary_says_what_each_group_adds_and_what_goes_with_it() -> None:
    summary = summarise(lines_of(2), COLUMNS, ["demographics"], confidence=0.95)
    by_group = {entry["group"]: entry for entry in summary["groups"]}
    assert by_group["demographics"]["adds"] is None
    assert by_group["demographics"]["loses"]["gain"] == 0.3
    assert by_group["hmm_states"]["adds"]["gain"] == by_group["hmm_states"]["loses"]["gain"] == 0.1
    assert by_group["tda_local"]["adds"]["high"] == 0
    assert summary["all_over_base"]["gain"] == 0.1
    assert summary["seeds"] == 2


def test_a_seed_that_is_not_finished_does_not_count_and_without_any_there_is_no_summary() -> None:
    lines = lines_of(2)
    assert summarise(lines[:-1], COLUMNS, ["demographics"], confidence=0.95)["seeds"] == 1
    with pytest.raises(GateError, match="no seed"):
        summarise(lines_of(1)[:-1], COLUMNS, ["demographics"], confidence=0.95)


def test_a_task_without_skill_on_test_is_named_and_left_out() -> None:
    lines = lines_of(1)
    for line in lines:
        if line["task"] == "q":
            line["skill"] = [None] * 11
    summary = summarise(lines, COLUMNS, ["demographics"], confidence=0.95)
    assert (summary["tasks"], summary["undefined_tasks"]) == (["p"], ["q"])


def test_the_summary_is_stored_unchanged_with_its_intervals_on_one_line() -> None:
    summary = summarise(lines_of(2), COLUMNS, ["demographics"], confidence=0.95)
    assert json.loads(compact(summary)) == summary
    assert '"q": [ 0.1, 0.1, 0.1 ]' in compact(summary)


def test_a_killed_run_goes_on_where_it_ended(tmp_path: Path) -> None:
    path, header = tmp_path / "out.jsonl", {"rows": 10}
    done = lines_of(1)
    ResultFile(path, header).append(done[:2])
    path.write_text(path.read_text() + '{"configuration": "base", "ta')
    again = ResultFile(path, header)
    assert again.results == done[:2]
    again.append(done[2:3])
    assert ResultFile(path, header).results == done[:3]
    assert ("base", "p", 0) in again.done


def test_results_of_another_study_are_not_mixed_in(tmp_path: Path) -> None:
    ResultFile(tmp_path / "out.jsonl", {"rows": 10})
    with pytest.raises(ConfigError, match="other options"):
        ResultFile(tmp_path / "out.jsonl", {"rows": 20})


@pytest.mark.slow
def test_the_group_that_carries_a_planted_signal_adds_skill_and_is_missed(settings: Settings) -> None:
    registry = build_registry(settings)
    panel = only(make_panel(settings, registry), "next_mcc")  # follows from lag_mcc_000 alone
    chosen = settings.baselines.model_copy(update={"min_child_rows": 10, "threads": 1})
    teacher = settings.teacher.model_copy(update={"max_train_rows": 1500})
    positions = {
        g.name: registry.positions((g.name,)) for g in registry.available if g.name in (*BASE, "txn_lag_tensor")
    }
    study = Study(panel, positions, settings.model_copy(update={"baselines": chosen, "teacher": teacher}), resamples=20)
    found = {
        c.name: next(study.run(c, 0, ["next_mcc"]))["skill"][0]
        for c in study.configurations
        if c.name in ("base", "base + txn_lag_tensor", "all - txn_lag_tensor")
    }
    assert found["base + txn_lag_tensor"] > found["base"] + 0.2
    assert found["all - txn_lag_tensor"] == found["base"]  # the same columns, rows and draws
