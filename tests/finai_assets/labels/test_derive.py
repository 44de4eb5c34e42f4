from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.features.inputs import AMOUNT, TS
from finai_assets.labels.derive import compute_labels, derive_labels
from finai_assets.labels.tasks import Task, build_tasks
from finai_assets.labels.windows import LabelBlock, WindowEvents
from finai_assets.settings import Settings, load_settings
from finai_resources.errors import ContractError, GateError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import one_version
from finai_resources.months import Month

SETTINGS = load_settings("synthetic", "smoke")
TASKS = build_tasks(SETTINGS)
PRODUCTS = len(SETTINGS.products)
ID = SETTINGS.product_ids
MONTH = Month.parse("2015-03")

Held = Sequence[str]
Spend = Sequence[tuple[int, int]]  # (ts, mcc)


def _hot(codes: Held) -> np.ndarray:
    row = np.zeros(PRODUCTS, dtype=bool)
    row[[ID[code] for code in codes]] = True
    return row


def _events(per_customer: Sequence[Spend]) -> WindowEvents:
    flat = [(row, ts, mcc) for row, spend in enumerate(per_customer) for ts, mcc in spend]
    columns = np.array(flat, dtype=np.int64).reshape(-1, 3).T
    return WindowEvents(columns[0], columns[1], columns[2].astype(np.int32))


def _one(
    *,
    past: Sequence[Held | None] = ((),),
    after: Held = (),
    segment: int = -1,
    before: Spend = (),
    window: Spend = (),
    tasks: Sequence[Task] = TASKS,
) -> dict[str, Any]:
    """Return the labels of one customer; ``past`` runs to the snapshot month, None where there is no snapshot."""
    block = LabelBlock(
        held=np.stack([_hot(month or ()) for month in past])[None],
        observed=np.array([[month is not None for month in past]]),
        held_next=_hot(after)[None],
        segment_next=np.array([segment], dtype=np.int8),
        before=_events([before]),
        window=_events([window]),
    )
    return {name: values[0].as_py() for name, values in derive_labels(block, tasks).items()}


TEN = [product.code for product in SETTINGS.products[:10]]


@pytest.mark.parametrize(
    ("past", "after", "expected"),
    [
        ([TEN] * 6, TEN[:7], 0.0),  # exactly 0.7 of the mean is not below it
        ([TEN] * 6, TEN[:6], 1.0),
        ([None, None, None, None, TEN[:2], TEN[:4]], TEN[:2], 1.0),  # mean over the observed months: 3
        ([None, None, None, None, TEN[:2], TEN[:4]], TEN[:3], 0.0),
        ([TEN[:4]] * 6, [], 1.0),  # gone
        ([[]] * 6, TEN[:1], None),  # nothing to lose
    ],
)
def test_churn_is_holding_less_than_seven_tenths_of_the_mean_of_observed_months(
    past: list[Held | None], after: Held, expected: float | None
) -> None:
    assert _one(past=past, after=after)["churn_signal"] == expected


def _churn(past: list[Held | None], after: Held, share: list[int], months: int) -> float | None:
    chosen = {"tasks": {"churn_signal": {"share": share, "history_months": months}}}
    tasks = build_tasks(load_settings("synthetic", "smoke", overrides=chosen))
    found: float | None = _one(past=past, after=after, tasks=tasks)["churn_signal"]
    return found


def test_the_share_and_the_months_of_churn_are_settings() -> None:
    assert _churn([TEN] * 6, TEN[:5], share=[1, 2], months=6) == 0.0
    assert _churn([TEN] * 6, TEN[:4], share=[1, 2], months=6) == 1.0
    grown: list[Held | None] = [TEN[:1]] * 5 + [TEN]
    assert _churn(grown, TEN[:5], share=[7, 10], months=6) == 0.0
    assert _churn(grown, TEN[:5], share=[7, 10], months=1) == 1.0  # months that another task reads too are left out


@pytest.mark.parametrize(
    ("now", "after", "expected"),
    [(TEN[:2], TEN[:2], 1.0), (TEN[:2], TEN[1:3], 1 / 3), (TEN[:2], [], 0.0), ([], TEN[:1], 0.0), ([], [], None)],
)
def test_stability_is_the_jaccard_similarity_of_holdings(now: Held, after: Held, expected: float | None) -> None:
    assert _one(past=[now], after=after)["product_stability"] == (None if expected is None else pytest.approx(expected))


def test_the_next_best_action_is_the_family_of_the_lowest_new_product() -> None:
    assert _one(past=[["credit_card"]], after=["credit_card"])["nba_primary"] == 0
    assert _one(past=[["credit_card"]], after=["credit_card", "mortgage", "bond_fund"])["nba_primary"] == 3
    assert _one(past=[[]], after=["mortgage"])["nba_primary"] == 6


def test_acquired_products_are_counted_and_closed_ones_are_not() -> None:
    found = _one(past=[["mortgage", "bond_fund"]], after=["bond_fund", "credit_card", "annuity"])
    assert found["cross_sell_count"] == 2


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("deposits", "time_deposit"),
        ("investments", "equity_fund"),
        ("accounts", "payroll_account"),
        ("lending", "mortgage"),
        ("payments", "check_card"),
    ],
)
def test_will_acquire_asks_for_a_new_product_of_its_set_alone(name: str, member: str) -> None:
    found = _one(past=[["annuity"]], after=["annuity", member])
    hits = [task for task, value in found.items() if task.startswith("will_acquire_") and value == 1]
    assert hits == [f"will_acquire_{name}"]
    assert _one(past=[[member]], after=[member])[f"will_acquire_{name}"] == 0  # held before is not acquired


def test_the_next_mcc_is_that_of_the_earliest_transaction_and_of_a_tie_the_smallest_code() -> None:
    assert _one(window=[(30, 5411), (10, 7000), (20, 100)])["next_mcc"] == 7000
    assert _one(window=[(10, 7000), (10, 5411)])["next_mcc"] == 5411
    assert _one(before=[(1, 5411)])["next_mcc"] is None


def test_the_diversity_trend_compares_distinct_codes_of_both_windows() -> None:
    assert _one(before=[(1, 1), (2, 2)], window=[(9, 1), (9, 2), (9, 3), (9, 3)])["mcc_diversity_trend"] == 0.5
    assert _one(window=[(9, 1), (9, 2)])["mcc_diversity_trend"] == 2.0
    assert _one(before=[(1, 1), (1, 2)])["mcc_diversity_trend"] == -1.0
    assert _one()["mcc_diversity_trend"] == 0.0


def test_the_top_mcc_shift_compares_the_most_frequent_codes_and_is_null_without_either() -> None:
    before = [(1, 5), (2, 5), (3, 9)]
    assert _one(before=before, window=[(9, 9), (9, 9), (9, 5)])["top_mcc_shift"] == 1
    assert _one(before=before, window=[(9, 9), (9, 5)])["top_mcc_shift"] == 0  # a tie goes to the smaller code
    assert _one(before=before)["top_mcc_shift"] is None
    assert _one(window=before)["top_mcc_shift"] is None


def test_the_segment_is_the_one_at_the_end_and_null_for_who_is_gone() -> None:
    assert _one(segment=2)["segment_prediction"] == 2
    assert _one(segment=-1)["segment_prediction"] is None


# ---- months of a lake

ROWS = {  # customer -> (holdings per month from five before the snapshot month, segment next)
    11: ([TEN[:4]] * 6, TEN[:1], "plus"),
    12: ([None, None, TEN[:2], TEN[:2], TEN[:2], TEN[:2]], TEN[:3], "mass"),
    15: ([TEN[:1]] * 6, None, None),  # gone in the next month
    19: ([[]] * 6, TEN[:2], None),
}
SPEND = {
    MONTH - 1: [(11, 3, 999), (12, 1, 999)],
    MONTH: [(11, 5, 10), (11, 6, 10), (11, 7, 20), (12, 2, 30), (15, 4, 10)],
    MONTH + 1: [(11, 2, 20), (11, 3, 20), (11, 4, 10), (12, 8, 30), (12, 9, 40), (77, 1, 50)],
    MONTH + 2: [(11, 1, 777), (15, 1, 777)],
}


def _write_snapshots(lake: Lake, month: Month, rows: list[tuple[int, Held, str | None]]) -> None:
    table = pa.table(
        {
            "customer_id": pa.array([row[0] for row in rows], pa.int64()),
            "segment": pa.array([row[2] for row in rows], pa.string()),
            "held": pa.array([[ID[code] for code in row[1]] for row in rows], pa.list_(pa.int16())),
        }
    )
    with lake.write("raw/snapshots", month.key, code_version="1") as out:
        out.write(table)


def _write_transactions(lake: Lake, month: Month, rows: list[tuple[int, int, int]]) -> None:
    """Write (customer, day, mcc) rows, in the order given."""
    table = pa.table(
        {
            "customer_id": pa.array([row[0] for row in rows], pa.int64()),
            "ts": pa.array([month.start.replace(day=row[1]) for row in rows], pa.timestamp("us")),
            "amount": pa.array([1.0] * len(rows)),
            "mcc": pa.array([row[2] for row in rows], pa.int32()),
        }
    )
    with lake.write("raw/transactions", month.key, code_version="1") as out:
        out.write(table)


@pytest.fixture
def filled(lake: Lake) -> Lake:
    for back in range(6):
        month = MONTH - 5 + back
        rows = [(c, held[back] or (), "mass") for c, (held, _, _) in ROWS.items() if held[back] is not None]
        _write_snapshots(lake, month, rows)
    after = [(c, held, segment) for c, (_, held, segment) in ROWS.items() if held is not None]
    _write_snapshots(lake, MONTH + 1, after)
    for month, rows in SPEND.items():
        _write_transactions(lake, month, rows)
    return lake


def _compute(lake: Lake, settings: Settings = SETTINGS, tasks: tuple[Task, ...] = TASKS) -> dict[str, list[Any]]:
    results = compute_labels(LakeSession(lake), MONTH, tasks, settings, versions=one_version("1", "c"))
    for name, result in results.items():
        table = lake.read(f"labels/{name}", MONTH.key)
        assert table["customer_id"].to_pylist() == list(ROWS)
        assert result.rows == result.manifest.rows == 4
    return {name: lake.read(f"labels/{name}", MONTH.key)["label"].to_pylist() for name in results}


def test_a_month_is_written_for_every_available_task(filled: Lake) -> None:
    found = _compute(filled)
    assert list(found) == [task.name for task in TASKS]
    assert found["churn_signal"] == [1.0, 0.0, 1.0, None]
    assert found["product_stability"] == [0.25, pytest.approx(2 / 3), 0.0, 0.0]
    assert found["cross_sell_count"] == [0, 1, 0, 2]
    assert found["nba_primary"] == [0, 1, 0, 1]
    assert found["next_mcc"] == [20, 30, None, None]
    assert found["mcc_diversity_trend"] == [0.0, 1.0, -1.0, 0.0]
    assert found["top_mcc_shift"] == [1, 0, None, None]
    assert found["segment_prediction"] == [1, 0, None, None]


def test_statistics_stand_in_the_manifest(filled: Lake) -> None:
    results = compute_labels(LakeSession(filled), MONTH, TASKS, SETTINGS, versions=one_version("1"))
    churn = results["churn_signal"]
    assert churn.statistics["rate"] == pytest.approx(2 / 3)
    assert churn.statistics["balance"] == {"0": 1, "1": 2}
    assert churn.statistics["null_share"] == 0.25
    assert filled.manifest("labels/churn_signal", MONTH.key).extra["rate"] == churn.statistics["rate"]
    assert churn.metadata()["balance"] == "0: 1, 1: 2"
    assert results["cross_sell_count"].statistics["mean"] == 0.75


def test_a_labels_upstream_is_what_it_reads_and_no_more(filled: Lake) -> None:
    _compute(filled)
    upstream = {
        name: set(filled.manifest(f"labels/{name}", MONTH.key).upstream) for name in ("next_mcc", "churn_signal")
    }
    assert upstream["next_mcc"] == {"raw/snapshots@2015-03", "raw/transactions@2015-04"}
    assert upstream["churn_signal"] == {f"raw/snapshots@{(MONTH - back).key}" for back in range(-1, 6)}


def test_each_task_can_have_a_version_of_its_own(filled: Lake) -> None:
    def versions(path: str) -> dict[str, str]:
        return {"code_version": f"code of {path}", "config_hash": "c"}

    compute_labels(LakeSession(filled), MONTH, TASKS, SETTINGS, versions=versions)
    manifest = filled.manifest("labels/next_mcc", MONTH.key)
    assert (manifest.code_version, manifest.config_hash) == ("code of labels/next_mcc", "c")


def _spent(block: LabelBlock, _parameters: None) -> pa.Array:
    return pa.array(np.bincount(block.window.row, block.window.amount, minlength=len(block)).astype(np.float32))


def test_amounts_are_read_where_a_task_asks_for_them(filled: Lake) -> None:
    trend = next(task for task in TASKS if task.name == "mcc_diversity_trend")
    spent = replace(trend, name="spent", inputs=(AMOUNT, TS), formula=f"{__name__}:_spent")
    assert _compute(filled, tasks=(spent,)) == {"spent": [3.0, 2.0, 0.0, 0.0]}


def test_the_size_of_a_block_changes_nothing(filled: Lake) -> None:
    small = SETTINGS.model_copy(update={"lake": SETTINGS.lake.model_copy(update={"block_customers": 1})})
    assert _compute(filled, small) == _compute(filled)


def test_the_order_of_transactions_in_a_file_changes_nothing(filled: Lake) -> None:
    expected = _compute(filled)
    for month, rows in SPEND.items():
        _write_transactions(filled, month, sorted(rows, key=lambda row: (row[0], -row[1], row[2])))
    assert _compute(filled) == expected


def test_labels_do_not_look_beyond_the_window_nor_before_the_one_that_precedes_it(filled: Lake) -> None:
    expected = _compute(filled)
    _write_transactions(filled, MONTH + 2, [(c, 1, 4242) for c in ROWS])
    _write_snapshots(filled, MONTH + 2, [(c, TEN, "private") for c in ROWS])
    _write_transactions(filled, MONTH - 1, [(c, 1, 4242) for c in ROWS])
    assert _compute(filled) == expected


def test_an_event_outside_its_window_is_cut_by_time_even_inside_a_partition(filled: Lake) -> None:
    expected = _compute(filled)
    strange = pa.table(
        {
            "customer_id": pa.array([11, 15], pa.int64()),
            "ts": pa.array([datetime(2015, 5, 1), datetime(2015, 3, 31, 23, 59, 59, 999999)], pa.timestamp("us")),
            "amount": [1.0, 1.0],
            "mcc": pa.array([4242, 4242], pa.int32()),
        }
    )
    kept = filled.read("raw/transactions", "2015-04")
    with filled.write("raw/transactions", "2015-04", code_version="1") as out:
        out.write(pa.concat_tables([kept, strange]).sort_by("customer_id"))
    assert _compute(filled) == expected


def test_labels_of_holdings_do_not_change_with_what_was_spent_before_the_cutoff(filled: Lake) -> None:
    expected = _compute(filled)
    _write_transactions(filled, MONTH, [(c, 1, 4242) for c in ROWS])
    found = _compute(filled)
    looks_back = {"mcc_diversity_trend", "top_mcc_shift"}
    assert {name for name in found if found[name] != expected[name]} == looks_back


def test_a_longer_horizon_ends_the_window_later(filled: Lake) -> None:
    _write_snapshots(filled, MONTH + 2, [(11, TEN[:4], "private")])
    longer = SETTINGS.model_copy(update={"horizon_months": 2})
    found = _compute(filled, longer)
    assert found["segment_prediction"] == [3, None, None, None]
    assert found["next_mcc"] == [20, 30, 777, None]
    assert found["churn_signal"] == [0.0, 1.0, 1.0, None]


def test_an_unavailable_task_is_left_out(filled: Lake) -> None:
    tasks = (
        *(t for t in TASKS if t.name != "next_mcc"),
        *(replace(t, unavailable="no transactions") for t in TASKS if t.name == "next_mcc"),
    )
    assert "next_mcc" not in _compute(filled, tasks=tasks)
    assert filled.find("labels/next_mcc", MONTH.key) is None


def test_a_month_whose_window_lies_outside_the_raw_months_is_immature(filled: Lake) -> None:
    last = SETTINGS.dataset.raw_months.last
    with pytest.raises(GateError, match=r"2015-08 reaches months 2015-09 outside raw_months 2014-01..2015-08"):
        compute_labels(LakeSession(filled), last, TASKS, SETTINGS, versions=one_version("1"))


def test_a_month_whose_window_has_not_arrived_is_refused_and_nothing_is_written(filled: Lake) -> None:
    filled.delete("raw/transactions", "2015-04")
    with pytest.raises(GateError, match="does not hold raw/transactions@2015-04") as caught:
        compute_labels(LakeSession(filled), MONTH, TASKS, SETTINGS, versions=one_version("1"))
    assert "2015-03 are immature" in str(caught.value)
    assert filled.partitions("labels/churn_signal") == []


def test_an_unknown_segment_is_refused_by_name(filled: Lake) -> None:
    _write_snapshots(filled, MONTH + 1, [(11, [], "gold")])
    with pytest.raises(ContractError, match=r"segments \['gold'\]"):
        compute_labels(LakeSession(filled), MONTH, TASKS, SETTINGS, versions=one_version("1"))
    assert filled.partitions("labels/segment_prediction") == []
