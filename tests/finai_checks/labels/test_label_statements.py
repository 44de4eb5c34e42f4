"""Every task has an independent statement of its label in SQL, which reads what its row declares and shares no code with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from number_held import ROW

from finai_assets.asset_graph import SNAPSHOTS, TRANSACTIONS
from finai_assets.labels.tasks import build_tasks
from finai_assets.settings import load_settings
from finai_assets.source import reached
from finai_checks.framework.small_lake import small_settings
from finai_checks.labels.recomputed import differing, labels_recomputed
from finai_checks.labels.statements import STATEMENTS, Around, Statement, months_read, statement_of
from finai_checks.labels.truth import bernstein
from finai_resources.errors import ConfigError
from finai_resources.months import Month

SETTINGS = small_settings()


def test_each_task_is_stated_and_reads_what_its_row_declares() -> None:
    tasks = build_tasks(SETTINGS)
    assert {task.name for task in tasks} == set(STATEMENTS)
    for task in tasks:
        stated = statement_of(task).months(SETTINGS, 1)
        assert stated == {table: task.window.months(table, 1) for table in (SNAPSHOTS, TRANSACTIONS)}


def test_the_second_route_shares_no_code_with_the_first() -> None:
    symbols = {f"{module}:{name}" for module, name in reached("finai_checks.labels.statements:ask")}
    assert any(name.startswith("finai_resources.warehouse:") for name in symbols)
    assert [name for name in symbols if name.startswith("finai_assets.labels.") and "labels.task:" not in name] == []


def test_a_task_without_a_statement_is_an_error_that_says_the_way_out() -> None:
    with pytest.raises(ConfigError, match=r"no independent statement(.|\n)*Task\.statement"):
        statement_of(replace(ROW, statement=None))
    assert isinstance(statement_of(ROW), Statement)


def test_months_before_the_first_raw_month_are_left_out() -> None:
    first = SETTINGS.dataset.raw_months.first
    month = first + 2
    read = months_read(STATEMENTS["churn_signal"], Around(month, month, 1), SETTINGS)
    assert read == {SNAPSHOTS: [first.key, (first + 1).key, month.key, (month + 1).key]}


def test_a_question_of_another_window_still_names_the_customers_of_its_month() -> None:
    month = Month.parse("2015-02")
    read = months_read(STATEMENTS["cross_sell_count"], Around(month, month - 1, 1), SETTINGS)
    assert read == {SNAPSHOTS: ["2015-01", "2015-02"]}


@given(st.lists(st.one_of(st.none(), st.floats(width=32, allow_nan=False)), min_size=1, max_size=30), st.data())
def test_a_label_is_found_wherever_one_bit_of_it_differs(values: list[float | None], data: st.DataObject) -> None:
    defined = pa.table({"customer_id": np.arange(len(values)), "label": pa.array(values, pa.float32())})
    assert labels_recomputed(defined, defined, pa.float32()).passed
    row = data.draw(st.integers(0, len(values) - 1))
    changed = [*values]
    other = 1.0 if values[row] is None else float(np.nextafter(np.float32(values[row]), np.float32(np.inf)))
    changed[row] = other if np.isfinite(other) else None
    stored = defined.set_column(1, "label", pa.array(changed, pa.float32()))
    found = labels_recomputed(stored, defined, pa.float32())
    assert not found.passed
    assert found.observed["differing"] == 1
    assert np.flatnonzero(differing(stored["label"].combine_chunks(), defined["label"].combine_chunks())).tolist() == [
        row
    ]


def test_the_bound_on_chance_holds_for_sums_of_rare_events() -> None:
    rng = np.random.default_rng(1)
    p = np.full(400, 0.01)
    sums = rng.binomial(400, 0.01, 20_000) - p.sum()
    odds = np.array([bernstein(float(total), float((p * (1 - p)).sum()), 1.0) for total in sums])
    for level in (0.5, 0.1, 0.01, 0.001):
        assert (odds < level).mean() <= level


def test_the_declared_rates_are_read_from_the_settings() -> None:
    limits = load_settings("synthetic", "demo").checks.labels
    assert limits.rate("churn_signal", "binary").high == 0.5
    assert limits.rate("top_mcc_shift", "binary").high == 0.95
