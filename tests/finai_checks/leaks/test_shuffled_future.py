"""C11: what is left when customers' futures are swapped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from finai_assets.features import block
from finai_assets.features.events import read_events
from finai_assets.scoring.resampling import all_copies
from finai_assets.settings import Settings
from finai_assets.training.labelling import MatrixTask
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import NO_EVIDENCE, CheckOutcome
from finai_checks.framework.small_lake import SmallLake
from finai_checks.leaks.canaries import ABSOLUTE, COLUMNS, TASKS, matrix_task, swapped_month
from finai_checks.leaks.shuffled_future import _skill_row, shuffled_future
from finai_checks.leaks.shuffled_future_lake import donors

BINARY, VALUE = matrix_task("b", "binary"), matrix_task("v", "regression")
RNG = np.random.default_rng(0)


@given(n=st.integers(2, 200), seed=st.integers(0, 2**31))
def test_no_customers_are_their_own_donors_and_each_gives_once(n: int, seed: int) -> None:
    donor = donors(n, np.random.default_rng(seed))
    assert sorted(donor) == list(range(n))
    assert (donor != np.arange(n)).all()


def swapped(settings: Settings, leaks: str | None = None, *, strength: float = 3.0, n: int = 240) -> CheckOutcome:
    parts = [swapped_month(m, leaks=leaks, strength=strength, n=n) for m in ("2015-01", "2015-02", "2015-04")]
    return shuffled_future(
        parts[:2],
        parts[2],
        COLUMNS,
        TASKS,
        absolute=ABSOLUTE,
        rules=settings.checks.shuffled_future,
        confidence=0.95,
        seed=1,
    )


def test_what_knows_nothing_of_a_stranger_falls_to_chance_in_every_task(settings: Settings) -> None:
    outcome = swapped(settings)
    assert outcome.passed, outcome.reason
    assert [row["task"] for row in outcome.table] == [task.name for task in TASKS]
    for row in outcome.table:
        assert row["low"] < row["chance"] < row["high"]
    highest = max(outcome.table, key=lambda row: row["low"] - row["chance"])
    assert outcome.observed["interval"] == [highest["low"], highest["high"]]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_what_survives_the_swap_is_named_by_task(settings: Settings, task: MatrixTask) -> None:
    outcome = swapped(settings, task.name)
    assert f"{task.name} is still predictable" in outcome.reason
    assert [row["task"] for row in outcome.table if row["passed"] is False] == [task.name]


def test_a_trace_that_the_interval_cannot_distinguish_from_chance_passes(settings: Settings) -> None:
    assert swapped(settings, "churn_signal", strength=0.1).passed
    assert not swapped(settings, "churn_signal", strength=0.8, n=1500).passed


def test_the_reported_skill_is_the_measure_it_names(settings: Settings) -> None:
    label, score = RNG.normal(size=200), RNG.normal(size=200)
    label[::9] = np.nan
    known, chance = np.isfinite(label), RNG.random(200)

    def told(task: MatrixTask, label: np.ndarray, prediction: np.ndarray) -> dict[str, Any]:
        return _skill_row(task, label, prediction, all_copies(200, 50, 1), 0.95, 0.02)

    rank = spearmanr(label[known], score[known]).statistic
    assert told(VALUE, label, score)["skill"] == pytest.approx(rank)
    binary = np.where(known, label > 0, np.nan)
    assert told(BINARY, binary, chance)["skill"] == pytest.approx(roc_auc_score(binary[known], chance[known]))
    classes = np.where(known, np.arange(200) % 3, np.nan)
    shares = RNG.dirichlet(np.ones(3), 200)
    expected = roc_auc_score(classes[known], shares[known], multi_class="ovr")
    assert told(matrix_task("m", "multiclass", 3), classes, shares)["skill"] == pytest.approx(expected)
    row = told(VALUE, label, np.zeros(200))
    assert (row["skill"], row["low"], row["high"], row["passed"]) == (0.0, 0.0, 0.0, True)


def test_the_interval_of_a_task_holds_chance_as_often_as_it_says(settings: Settings) -> None:
    label = (np.arange(200) < settings.checks.shuffled_future.class_rows).astype(float)
    rng, guilty = np.random.default_rng(1), 0
    for seed in range(100):
        row = _skill_row(BINARY, label, rng.random(200), all_copies(200, 500, [seed, 200]), 0.95, 0.0)
        guilty += not row["passed"]
    assert guilty <= 8  # 2.5 are expected; the odds of more than 8 are below 1 in 1,000


def test_too_few_of_a_class_are_told_and_not_judged(settings: Settings) -> None:
    parts = [swapped_month(m) for m in ("2015-01", "2015-02", "2015-04")]
    parts[2].labels["churn_signal"][:] = np.arange(240) < 14
    outcome = shuffled_future(
        parts[:2],
        parts[2],
        COLUMNS,
        TASKS,
        absolute=ABSOLUTE,
        rules=settings.checks.shuffled_future,
        confidence=0.95,
        seed=1,
    )
    assert outcome.passed
    assert outcome.observed["not_judged"] == ["churn_signal"]
    assert outcome.reason.endswith("rows lie outside the main class: churn_signal")
    only = shuffled_future(
        parts[:2],
        parts[2],
        COLUMNS,
        TASKS[:1],
        absolute=ABSOLUTE,
        rules=settings.checks.shuffled_future,
        confidence=0.95,
        seed=1,
    )
    assert "no task has 15 rows of a class" in only.reason


def changed_part(settings: Settings, **changed: Any) -> CheckOutcome:
    parts = [swapped_month(m) for m in ("2015-01", "2015-02", "2015-04")]
    parts[1] = replace(parts[1], **changed)
    return shuffled_future(
        parts[:2],
        parts[2],
        COLUMNS,
        TASKS,
        absolute=ABSOLUTE,
        rules=settings.checks.shuffled_future,
        confidence=0.95,
        seed=1,
    )


def test_one_bit_of_the_matrix_that_the_past_does_not_give_is_named(settings: Settings) -> None:
    part = swapped_month("2015-02")
    stored = part.stored.copy()
    stored.view(np.uint32)[7, 4] ^= 1
    outcome = changed_part(settings, stored=stored)
    assert outcome.reason == "1 columns of the matrix are not what the past gives: visits"
    assert outcome.table[0] == {"column": "visits", "rows": 1, "passed": False}


def test_only_a_label_that_the_window_decides_must_be_the_donors(settings: Settings) -> None:
    given_labels = swapped_month("2015-02").labels
    own = {name: label + (np.arange(len(label)) < 3) for name, label in given_labels.items()}
    relative = {**given_labels, **{name: own[name] for name in ("churn_signal", "nba_primary", "cross_sell_count")}}
    assert changed_part(settings, derived=relative).passed
    outcome = changed_part(settings, derived={**given_labels, "segment_prediction": own["segment_prediction"]})
    assert outcome.reason == "segment_prediction is not decided by the window in 3 rows"


def test_no_month_to_learn_from_is_no_evidence(settings: Settings) -> None:
    outcome = shuffled_future(
        [],
        swapped_month("2015-04"),
        COLUMNS,
        TASKS,
        absolute=ABSOLUTE,
        rules=settings.checks.shuffled_future,
        confidence=0.95,
        seed=1,
    )
    assert (outcome.passed, outcome.reason) == (False, NO_EVIDENCE)


@pytest.mark.slow
def test_features_that_read_past_the_cutoff_predict_a_strangers_future(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = SmallLake.build(tmp_path / "lake")
    declared = next(check for check in declared_checks(small.platform) if check.name == "shuffled_future")
    assert declared.evaluate(small.context()).passed

    def leaking(session: Any, months: Any, ids: np.ndarray, *, since: int, cutoff: int) -> Any:
        later = months[-1] + 1
        return read_events(session, [*months, later], ids, since=since, cutoff=later.cutoff_us)

    monkeypatch.setattr(block, "read_events", leaking)
    outcome = declared.evaluate(small.context())
    assert "columns of the matrix are not what the past gives" in outcome.reason
    assert "top_mcc_shift is still predictable" in outcome.reason
    changed = {row["column"] for row in outcome.table if "column" in row}
    assert {"lag_amount_000", "roll_count_7d"} <= changed
    assert not changed & set(small.group("demographics").names)
