"""The contract's check fails on every canary that must fail, passes on the rest, and keeps its verdict on large tables."""

from __future__ import annotations

import json
import time

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.ingest.contract import SNAPSHOTS, TRANSACTIONS
from finai_assets.settings import load_settings
from finai_checks.contract.inputs import canaries
from finai_checks.contract.suite import schema_contract, telling_rows
from finai_checks.framework.check import NO_EVIDENCE
from finai_resources.months import Month

SETTINGS = load_settings("synthetic", "smoke")
CANARIES = canaries(SETTINGS)
MONTH = Month.parse("2015-03")


@pytest.mark.parametrize(("name", "inputs", "expected"), CANARIES, ids=[name for name, *_ in CANARIES])
def test_each_canary_gets_its_verdict(name, inputs, expected):
    outcome = schema_contract(*inputs)
    assert outcome.passed is (expected is None), outcome.reason
    assert outcome.reason.startswith(expected or "")
    assert bool(outcome.reason) is (expected is not None)
    json.dumps([outcome.observed, outcome.table])


def test_canaries_hold_inputs_of_both_verdicts():
    assert {expected is None for *_, expected in CANARIES} == {True, False}


def test_an_empty_table_is_no_evidence():
    (_, (snapshots, transactions, month, settings), _), *_ = CANARIES
    for pair in ((snapshots.slice(0, 0), transactions), (snapshots, transactions.slice(0, 0))):
        outcome = schema_contract(*pair, month, settings)
        assert (outcome.passed, outcome.reason, outcome.n) == (False, NO_EVIDENCE, 0)


def test_what_fails_is_named_with_its_column_and_count():
    by_name = {name: inputs for name, inputs, _ in CANARIES}
    outcome = schema_contract(*by_name["an unknown product"])
    assert outcome.observed["failed_expectations"] == ["snapshots.held_highest: expect_column_values_to_be_between"]
    (row,) = [row for row in outcome.table if not row["passed"]]
    assert (row["unexpected"], row["n"]) == (1, 3)
    outcome = schema_contract(*by_name["a column that is missing"])
    assert [row["table"] for row in outcome.table if not row["passed"]] == ["snapshots schema"]


def test_codes_outside_the_catalogue_fail_where_it_is_given():
    (_, inputs, _), *_ = CANARIES
    assert schema_contract(*inputs, mccs=[1, 2, 3]).passed
    outcome = schema_contract(*inputs, mccs=[1, 2])
    assert outcome.observed["failed_expectations"] == ["transactions.mcc: expect_column_values_to_be_in_set"]


def large(customers: int, each: int) -> tuple[pa.Table, pa.Table]:
    rng = np.random.default_rng(5)
    n = customers * each
    snapshots = pa.table(
        {
            "customer_id": np.arange(customers),
            "snapshot_month": [MONTH.start.date()] * customers,
            "age": rng.integers(18, 90, customers),
            "income": rng.uniform(0, 1e8, customers),
            "tenure_months": rng.integers(0, 200, customers),
            "is_active": rng.random(customers) < 0.5,
            "gender": rng.choice(["female", "male"], customers),
            "segment": rng.choice(list(SETTINGS.dataset.segments), customers),
            "country": ["KR"] * customers,
            "channel": rng.choice(["app", "branch"], customers),
            "held": [[i % 24] for i in range(customers)],
        },
        schema=SNAPSHOTS,
    )
    span = MONTH.cutoff_us - MONTH.start_us
    transactions = pa.table(
        {
            "customer_id": np.repeat(np.arange(customers), each),
            "ts": (MONTH.start_us + rng.integers(0, span, n)).astype("datetime64[us]"),
            "amount": rng.normal(0, 1e4, n),
            "mcc": rng.integers(1000, 1050, n),
            "merchant_id": rng.integers(0, 2000, n),
        },
        schema=TRANSACTIONS,
    )
    return snapshots, transactions


def spoil(table: pa.Table, name: str, row: int, value: object) -> pa.Table:
    values = table[name].to_pylist()
    values[row] = value
    return table.set_column(
        table.column_names.index(name), table.schema.field(name), pa.array(values, table.schema.field(name).type)
    )


@pytest.mark.parametrize(
    ("which", "name", "value"),
    [
        (0, "customer_id", 1232),
        (0, "age", -1),
        (0, "income", float("nan")),
        (0, "income", float("inf")),
        (0, "segment", "nobody"),
        (0, "held", [24]),
        (0, "held", [2, 1]),
        (0, "snapshot_month", (MONTH + 1).start.date()),
        (1, "amount", float("nan")),
        (1, "amount", -float("inf")),
        (1, "ts", MONTH.cutoff),
        (1, "mcc", -5),
    ],
)  # fmt: skip
def test_one_bad_row_is_seen_though_few_rows_are_read(which, name, value):
    tables = list(large(2000, 2))
    limit = 50
    assert 1233 not in np.arange(0, 2000, 2000 // limit)
    assert schema_contract(*tables, MONTH, SETTINGS, row_limit=limit).passed
    tables[which] = spoil(tables[which], name, 1233, value)
    outcome = schema_contract(*tables, MONTH, SETTINGS, row_limit=limit)
    assert not outcome.passed
    assert outcome.observed["rows_validated"]["snapshots"] < 400


def test_telling_rows_are_ascending_distinct_and_few():
    snapshots, transactions = large(1000, 3)
    rows = telling_rows(transactions, 100)
    assert (np.diff(rows) > 0).all()
    assert 100 <= len(rows) <= 100 + 2000
    assert rows[-1] < transactions.num_rows
    assert len(telling_rows(snapshots.drop_columns(["held"]), 100)) < 1000


def test_a_month_of_five_thousand_customers_takes_no_more_than_a_second():
    tables = large(5000, 25)
    schema_contract(*large(10, 1), MONTH, SETTINGS)  # imports and warms up
    seconds = []
    for _ in range(4):  # the quickest: CPU time, too, grows when something else fills the caches
        start = time.process_time()
        assert schema_contract(*tables, MONTH, SETTINGS).passed
        seconds.append(time.process_time() - start)
    assert min(seconds) < 1.0
