"""What Dagster is told of the labels' inputs: the tables that a task reads, and the months that any of them reads."""

from __future__ import annotations

import dagster as dg
import pytest

from finai_assets.labels.assets import build_assets
from finai_assets.platform import Platform
from finai_assets.settings import load_settings

SNAPSHOTS, TRANSACTIONS = dg.AssetKey(["raw", "snapshots"]), dg.AssetKey(["raw", "transactions"])


def inputs(**overrides: object) -> dict[str, dict[dg.AssetKey, dg.TimeWindowPartitionMapping]]:
    labels = build_assets(Platform.of(load_settings("synthetic", "smoke", overrides=overrides)))[0]
    return {spec.key.path[1]: {dep.asset_key: dep.partition_mapping for dep in spec.deps} for spec in labels.specs}  # type: ignore[misc]


def test_a_label_depends_on_the_tables_that_it_reads() -> None:
    found = inputs()
    assert set(found["churn_signal"]) == {SNAPSHOTS}
    assert set(found["segment_prediction"]) == {SNAPSHOTS}
    assert set(found["next_mcc"]) == {SNAPSHOTS, TRANSACTIONS}


@pytest.mark.parametrize(("months", "horizon"), [(6, 1), (3, 2)])
def test_the_months_follow_the_history_of_churn_and_the_horizon(months: int, horizon: int) -> None:
    churn = {"share": [7, 10], "history_months": months}
    splits = {"train": ["2015-01", "2015-01"], "validation": ["2015-04", "2015-04"], "test": ["2015-07", "2015-07"]}
    chosen = {"tasks": {"churn_signal": churn}, "horizon_months": horizon, "dataset": {"splits": splits}}
    found = inputs(**chosen)["top_mcc_shift"]
    held, spent = found[SNAPSHOTS], found[TRANSACTIONS]
    assert (held.start_offset, held.end_offset) == (1 - months, horizon)
    assert (spent.start_offset, spent.end_offset) == (1 - horizon, horizon)
    assert held.allow_nonexistent_upstream_partitions
    assert not spent.allow_nonexistent_upstream_partitions
