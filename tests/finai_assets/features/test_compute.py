"""Months of features: what they say they were made from, what stops them, and what they leave behind when stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.features import compute
from finai_assets.features.compute import compute_month, month_statistics, stored_statistics
from finai_assets.features.fit import fit_states, sample_rows, store_states, train_sample_digest
from finai_assets.features.state import GroupState
from finai_resources.errors import GateError, LakeError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import one_version
from finai_resources.months import Month


def run(world: Any, lake: Lake, month: Month, groups: list[str], **more: Any) -> Any:
    return compute_month(
        LakeSession(lake),
        month,
        world.registry,
        world.states,
        world.settings,
        groups,
        versions=one_version("test"),
        **more,
    )


def test_a_group_names_as_upstream_what_its_columns_read_and_its_own_state_only(
    world: Any, new_lake: Callable[[], Lake], month: Month
) -> None:
    lake = world.panel.write(new_lake())
    store_states(LakeSession(lake), world.states, versions=one_version("test"))
    results = run(world, lake, month, [group.name for group in world.registry.available])
    upstream = {name: set(result.manifest.upstream) for name, result in results.items()}
    assert upstream["product_holdings"] == {"raw/snapshots@2015-03"}
    assert upstream["demographics"] == {"raw/snapshots@2015-03", "feature_state/demographics"}
    assert upstream["derived_temporal"] == {f"raw/snapshots@{(month - k).key}" for k in range(12)}
    assert upstream["product_hierarchy"] == {"raw/snapshots@2015-03", "raw/products", "feature_state/product_hierarchy"}
    assert "raw/merchant_categories" in upstream["merchant_hierarchy"]
    assert upstream["nba_history_multihot"] == {f"raw/snapshots@{(month - k).key}" for k in range(4)}
    lines = {f"raw/transactions@{(month - k).key}" for k in range(12)}
    assert upstream["txn_lag_tensor"] == lines | {"raw/snapshots@2015-03", "feature_state/txn_lag_tensor"}
    assert upstream["txn_behavior"] == lines | {f"raw/snapshots@{(month - k).key}" for k in range(12)}
    assert len([source for source in upstream["mcc_top30_multihot"] if source.startswith("raw/transactions")]) == 3


def test_upstream_months_that_are_not_named_do_not_change_the_values(
    world: Any, new_lake: Callable[[], Lake], month: Month
) -> None:
    name = "mcc_top30_multihot"
    lake = world.panel.write(new_lake())
    named = set(run(world, lake, month, [name])[name].manifest.upstream)
    before = lake.manifest(f"features/{name}", month.key).content_hash
    for past in [month - back for back in range(12)]:
        if f"raw/transactions@{past.key}" not in named:
            with lake.write("raw/transactions", past.key) as out:
                out.write(world.panel.transactions[past].slice(0, 1))
    assert run(world, lake, month, [name])[name].manifest.content_hash == before


def test_a_group_without_a_state_is_refused(world: Any, new_lake: Callable[[], Lake], month: Month) -> None:
    lake = world.panel.write(new_lake())
    states = {name: state for name, state in world.states.items() if name != "demographics"}
    with pytest.raises(GateError, match="feature_state/demographics"):
        compute_month(
            LakeSession(lake),
            month,
            world.registry,
            states,
            world.settings,
            ["demographics"],
            versions=one_version("test"),
        )


def test_a_state_of_other_columns_is_refused(world: Any, month: Month) -> None:
    state = world.states["demographics"]
    other = replace(state, meta={**state.meta, "columns": ["age"]})
    with pytest.raises(GateError, match="other columns"):
        compute_month(
            LakeSession(world.lake), month, world.registry, {"demographics": other}, world.settings, ["demographics"],
            versions=one_version("test"),
        )  # fmt: skip


def test_missing_values_against_the_declaration_stop_the_month_and_write_nothing(
    world: Any, new_lake: Callable[[], Lake], month: Month
) -> None:
    lake = world.panel.write(new_lake())
    state = world.states["demographics"]
    params = {**state.params, "income_median": np.full_like(state.params["income_median"], np.nan)}
    states = {**world.states, "demographics": GroupState(state.group, params, state.reference, state.meta)}
    with pytest.raises(GateError, match=r"income \(\d+ of \d+ rows\)"):
        compute_month(
            LakeSession(lake), month, world.registry, states, world.settings, ["product_holdings", "demographics"],
            versions=one_version("test"),
        )  # fmt: skip
    assert lake.find("features/demographics", month.key) is None
    assert lake.find("features/product_holdings", month.key) is None


def test_a_fit_refuses_a_column_that_the_source_never_has(world: Any, new_lake: Callable[[], Lake]) -> None:
    snapshots = {
        m: t.set_column(t.schema.get_field_index("income"), "income", pa.nulls(t.num_rows, pa.float64()))
        for m, t in world.panel.snapshots.items()
    }
    lake = type(world.panel)(snapshots, world.panel.transactions).write(new_lake())
    with pytest.raises(GateError, match="unavailable_columns"):
        fit_states(LakeSession(lake), world.settings, world.registry, groups=["demographics"])


def test_a_block_that_fails_in_a_worker_leaves_no_partition(
    world: Any, new_lake: Callable[[], Lake], month: Month, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = world.panel.write(new_lake())
    calls = []
    real = compute.read_block

    def failing(*args: Any, **more: Any) -> Any:
        calls.append(args)
        if len(calls) == 3:
            raise LakeError("the disk is gone", where="raw/transactions")
        return real(*args, **more)

    monkeypatch.setattr(compute, "read_block", failing)
    with pytest.raises(LakeError, match="the disk is gone"):
        run(world, lake, month, ["txn_rolling_stats"])
    assert lake.find("features/txn_rolling_stats", month.key) is None


def test_no_more_blocks_are_alive_than_workers_and_the_one_being_written(
    world: Any, new_lake: Callable[[], Lake], month: Month
) -> None:
    started, written = [], []
    real = compute._compute_block

    def counted(*args: Any) -> Any:
        started.append(len(written))
        return real(*args)

    ahead = []
    work = lambda bounds: counted(  # noqa: E731
        LakeSession(world.lake), month, [world.registry.group("product_holdings")], world.states, world.settings, bounds
    )
    ranges = compute.block_ranges(LakeSession(world.lake), month, world.settings)
    for part in compute._in_order(work, ranges, 2):
        ahead.append(len(started) - len(written))
        written.append(part)
    assert len(written) == len(ranges) > 3
    assert max(ahead) <= 3


def test_stored_statistics_equal_those_taken_while_writing(world: Any, month: Month) -> None:
    group = world.registry.group("txn_behavior")
    again = month_statistics(LakeSession(world.lake), month, group, world.states[group.name].reference)
    assert again == world.results[group.name].statistics


def test_one_row_group_a_block(world: Any, month: Month) -> None:
    file = world.lake.open_parquet(world.lake.manifest("features/txn_behavior", month.key))[0]
    assert file.metadata.num_row_groups == -(-world.results["txn_behavior"].rows // 64)


def test_the_train_sample_has_the_asked_size_lies_in_train_and_is_found_again(world: Any) -> None:
    rows = sample_rows(LakeSession(world.lake), world.settings)
    assert sum(len(ids) for ids in rows.values()) == world.settings.fit.rows
    assert set(rows) == set(world.settings.dataset.splits.train)
    digest = train_sample_digest(LakeSession(world.lake), world.settings)
    assert all(state.meta["row_digest"] == digest for state in world.states.values())
    other = world.settings.model_copy(update={"seed": 1})
    assert train_sample_digest(LakeSession(world.lake), other) != digest


def test_a_fit_on_a_month_outside_train_is_refused(world: Any) -> None:
    with pytest.raises(GateError, match="2015-05"):
        fit_states(LakeSession(world.lake), world.settings, world.registry, [Month.parse("2015-05")])


def test_bytes_that_are_no_state_are_refused() -> None:
    with pytest.raises(LakeError, match="not a group state"):
        GroupState.from_bytes(b"PK nonsense")


def test_statistics_are_read_where_they_were_taken_against_the_reference_and_measured_again_elsewhere(
    world: Any, new_lake: Callable[[], Lake], month: Month, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "txn_behavior"
    group, state = world.registry.group(name), world.states[name]
    lake = world.panel.write(new_lake())
    written = run(world, lake, month, [name])[name].statistics
    other = replace(state.reference, counts=state.reference.counts[:, ::-1].copy())
    measured = stored_statistics(LakeSession(lake), month, group, other)
    assert [column.mean for column in measured] == pytest.approx([column.mean for column in written], nan_ok=True)
    assert [column.psi for column in measured] != [column.psi for column in written]
    monkeypatch.setattr(compute, "month_statistics", lambda *_: pytest.fail("it was measured again"))
    assert stored_statistics(LakeSession(lake), month, group, state.reference) == written
