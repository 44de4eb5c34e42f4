"""Blocks: who is in them, what time cuts off, and what a group may see of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finai_assets.features.block import block_ranges, read_block
from finai_assets.features.events import locate
from finai_assets.features.mcc_vocabulary import hash_table, rank_of
from finai_resources.errors import LakeError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month


def test_ranges_cover_every_customer_once_in_nearly_equal_numbers(world: Any, month: Month) -> None:
    ids = np.sort(world.panel.snapshots[month]["customer_id"].to_numpy())
    ranges = block_ranges(LakeSession(world.lake), month, world.settings)
    sizes = [int(((ids >= low) & (ids <= high)).sum()) for low, high in ranges]
    assert sum(sizes) == len(ids)
    assert max(sizes) <= 64
    assert max(sizes) - min(sizes) <= 1


def test_a_customer_who_occurs_twice_is_refused_with_the_count(
    world: Any, new_lake: Callable[[], Lake], month: Month
) -> None:
    table = world.panel.snapshots[month]
    lake = new_lake()
    with lake.write("raw/snapshots", month.key) as out:
        out.write(pa.concat_tables([table, table.slice(0, 3)]))
    with pytest.raises(LakeError, match="3 customers occur more than once"):
        block_ranges(LakeSession(lake), month, world.settings)


def test_a_block_holds_only_events_of_its_customers_before_the_cutoff(
    world: Any, new_lake: Callable[[], Lake], month: Month
) -> None:
    lake = world.panel.with_poison_after(month).write(new_lake())
    low, high = block_ranges(LakeSession(lake), month, world.settings)[1]
    block = read_block(LakeSession(lake), month, low, high, world.settings)
    assert block.events.ts.max() < month.cutoff_us
    assert block.events.ts.min() >= (month - 11).start_us
    raw = pa.concat_tables([world.panel.transactions[month - back] for back in range(12)]).to_pandas()
    counts = raw[raw.customer_id.isin(block.customer_id)].groupby("customer_id").size()
    assert np.diff(block.events.start).tolist() == counts.reindex(block.customer_id, fill_value=0).tolist()


def test_events_are_ordered_by_time_within_each_customer(
    world: Any, new_lake: Callable[[], Lake], month: Month
) -> None:
    lake = world.panel.write(new_lake(), shuffle=9)
    low, high = block_ranges(LakeSession(lake), month, world.settings)[0]
    block = read_block(LakeSession(lake), month, low, high, world.settings)
    events = block.events
    for i in range(len(block)):
        rows = slice(events.start[i], events.start[i + 1])
        keys = list(zip(events.ts[rows], events.amount[rows], events.mcc[rows], events.merchant[rows], strict=True))
        assert keys == sorted(keys)


def test_months_before_the_first_raw_month_do_not_exist(world: Any) -> None:
    early = Month.parse("2014-03")
    low, high = block_ranges(LakeSession(world.lake), early, world.settings)[0]
    block = read_block(LakeSession(world.lake), early, low, high, world.settings)
    assert [m.key for m in block.months] == ["2014-01", "2014-02", "2014-03"]
    assert block.held.shape[1] == 3


def test_a_raw_month_that_is_missing_in_the_middle_is_an_error(
    world: Any, new_lake: Callable[[], Lake], month: Month
) -> None:
    lake = world.panel.write(new_lake())
    lake.delete("raw/transactions", (month - 4).key)
    low, high = block_ranges(LakeSession(lake), month, world.settings)[0]
    with pytest.raises(LakeError, match="raw/transactions@2014-11"):
        read_block(LakeSession(lake), month, low, high, world.settings)


def test_a_product_outside_the_catalogue_is_refused(world: Any, new_lake: Callable[[], Lake], month: Month) -> None:
    lake = world.panel.write(new_lake())
    table = world.panel.snapshots[month]
    strange = table.set_column(10, "held", pa.array([[24]] * table.num_rows, pa.list_(pa.int16())))
    with lake.write("raw/snapshots", month.key) as out:
        out.write(strange)
    ids = table["customer_id"].to_numpy()
    with pytest.raises(LakeError, match=r"outside 0\.\.23"):
        read_block(LakeSession(lake), month, int(ids.min()), int(ids.max()), world.settings)


def test_a_group_sees_no_table_that_its_columns_do_not_name(world: Any, month: Month) -> None:
    low, high = block_ranges(LakeSession(world.lake), month, world.settings)[0]
    block = read_block(LakeSession(world.lake), month, low, high, world.settings)
    seen = {g.name: block.view(g.columns) for g in world.registry.available}
    assert len(seen["demographics"].events) == 0
    assert seen["demographics"].held.shape[1] == 1
    assert len(seen["derived_temporal"].events) == 0
    assert seen["derived_temporal"].held.shape[1] == 12
    assert len(seen["txn_rolling_stats"].events) == len(block.events) > 0
    assert seen["txn_rolling_stats"].held.shape[1] == 1


@settings(deadline=None)
@given(
    ids=st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=20, unique=True),
    picks=st.lists(st.integers(0, 30), max_size=40),
)
def test_locate_finds_each_row_whatever_its_order(ids: list[int], picks: list[int]) -> None:
    known = np.sort(np.array(ids, np.int64))
    customer = np.array([known[p] if p < len(known) else 2**62 + p for p in picks], np.int64)
    local = np.empty(len(customer), np.int32)
    locate(known, customer, local)
    assert local.tolist() == [p if p < len(known) else -1 for p in picks]


@settings(deadline=None)
@given(codes=st.lists(st.integers(0, 2**31 - 1), max_size=80, unique=True), other=st.integers(0, 2**31 - 1))
def test_ranks_are_positions_and_zero_for_the_rest(codes: list[int], other: int) -> None:
    keys, ranks = hash_table(np.array(codes, np.int32))
    assert [rank_of(keys, ranks, code) for code in codes] == list(range(1, len(codes) + 1))
    assert rank_of(keys, ranks, other) == (codes.index(other) + 1 if other in codes else 0)
