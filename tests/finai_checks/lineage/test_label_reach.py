"""C10: what a feature declares lies before the cutoff, and no label is among it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from finai_assets.features.inputs import AGE, AMOUNT, HELD, TS
from finai_assets.features.registry import Column, build_registry
from finai_assets.labels.tasks import build_tasks
from finai_assets.settings import Settings, load_settings
from finai_checks.framework.check import NO_EVIDENCE
from finai_checks.lineage.label_reach import Spans, lineage_free_of_labels, made_before

SPANS = Spans(look_back=365, horizon=31)


@pytest.fixture(scope="module")
def made() -> Settings:
    return load_settings(
        "synthetic",
        "smoke",
        overrides={
            "look_back_months": 6,
            "dataset": {"splits": {"train": ["2015-01", "2015-01"]}},
            "fit": {"rows": 200},
        },
    )


def column(name: str, *inputs: str, window: int | None = None, scope: Any = "none") -> Column:
    return Column(name, "group", "count", "1", name, name, inputs, window, scope, "never missing")


@example(window=365, source=HELD)
@example(window=366, source=HELD)
@given(window=st.integers(-60, 500), source=st.sampled_from(["raw/transactions.mcc", "raw/snapshots.held"]))
def test_a_window_passes_exactly_where_it_lies_before_the_cutoff_and_within_the_look_back(
    window: int, source: str, made: Settings
) -> None:
    outcome = lineage_free_of_labels([column("x", source, window=window)], build_tasks(made), SPANS)
    assert outcome.passed == (1 <= window <= 365)
    assert ("inside the label window" in outcome.reason) == (window < 0)


def test_every_column_of_every_data_set_keeps_away_from_the_labels() -> None:
    for name in ("synthetic", "berka"):
        settings = load_settings(name, "smoke")
        columns, tasks = build_registry(settings).columns, build_tasks(settings)
        outcome = lineage_free_of_labels(columns, tasks, SPANS)
        assert (outcome.passed, outcome.reason, outcome.n) == (True, "", len(columns))


def test_the_table_says_how_many_columns_share_a_task_s_source_and_how_far_they_stay_from_it(made: Settings) -> None:
    columns = [column("a", HELD), column("b", "raw/transactions.mcc", TS, window=30), column("c", AGE)]
    rows = {row["task"]: row for row in lineage_free_of_labels(columns, build_tasks(made), SPANS).table}
    assert (rows["churn_signal"]["columns"], rows["churn_signal"]["days_between"]) == (1, 31)
    assert (rows["next_mcc"]["columns"], rows["next_mcc"]["days_between"]) == (1, 0)
    assert rows["segment_prediction"]["columns"] == 0


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (column("x", "labels/churn_signal"), "x: labels/churn_signal is a label"),
        (column("x", "labels/churn_signal.value"), "x: labels/churn_signal.value is a label"),
        (column("x", "raw/snapshots.salary"), "raw/snapshots.salary is no raw column"),
        (column("x", "raw/snapshots"), "raw/snapshots is no raw column"),
        (column("x", "features/demographics.age"), "features/demographics.age is no raw column"),
        (column("x", AMOUNT), "read without a window"),
        (column("x"), "declares no input"),
    ],
)
def test_an_input_that_is_a_label_or_no_raw_column_is_named(bad: Column, reason: str, made: Settings) -> None:
    outcome = lineage_free_of_labels([column("good", HELD), bad], build_tasks(made), SPANS)
    assert not outcome.passed
    assert reason in outcome.reason
    assert "good" not in outcome.reason


def test_no_column_or_no_task_is_no_evidence(made: Settings) -> None:
    assert lineage_free_of_labels([], build_tasks(made), SPANS).reason == NO_EVIDENCE
    assert lineage_free_of_labels([column("x", HELD)], (), SPANS).reason == NO_EVIDENCE


def test_a_state_may_be_made_from_the_last_train_month_and_from_nothing_later() -> None:
    upstream = ["raw/snapshots@2015-01", "raw/transactions@2015-02", "raw/products"]
    assert made_before(upstream, "2015-02") == []
    assert made_before(upstream, "2015-01") == [
        "the state was made from raw/transactions@2015-02, after the last train month 2015-01"
    ]
    assert made_before(["labels/churn_signal@2014-01"], "2015-01") == [
        "the state was made from labels/churn_signal@2014-01"
    ]
