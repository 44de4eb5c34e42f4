"""The scalars are the stored columns of three groups, standardised on train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.features.block import Block, block_ranges, read_block
from finai_assets.features.compute import compute_month
from finai_assets.features.fit import fit_states, sample_rows
from finai_assets.features.methods import scalars
from finai_assets.features.registry import build_registry
from finai_assets.settings import Settings, load_settings
from finai_resources.errors import GateError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import one_version
from finai_resources.months import Month

SOURCES = ("demographics", "txn_behavior", "derived_temporal")


@pytest.fixture(scope="module")
def lake(panel: Any, new_lake: Callable[[], Lake]) -> Lake:
    return panel.write(new_lake())


@pytest.fixture(scope="module")
def train(lake: Lake, small: Settings) -> list[Block]:
    session = LakeSession(lake)
    return [
        read_block(session, month, int(ids[0]), int(ids[-1]), small, customers=ids)
        for month, ids in sample_rows(session, small).items()
    ]


@pytest.fixture(scope="module")
def block(lake: Lake, small: Settings, month: Month) -> Block:
    session = LakeSession(lake)
    ranges = block_ranges(session, month, small)
    return read_block(session, month, ranges[0][0], ranges[-1][1], small)


@pytest.fixture(scope="module")
def params(train: list[Block], small: Settings) -> dict[str, np.ndarray]:
    return scalars.fit(train, small)


def without(settings: Settings, *patterns: str) -> Settings:
    """Return settings of a data set that cannot carry some columns."""
    dataset = settings.dataset.model_copy(update={"unavailable_columns": dict.fromkeys(patterns, "absent")})
    return settings.model_copy(update={"dataset": dataset})


def with_column(block: Block, name: str, values: pa.Array) -> Block:
    position = block.snapshot.column_names.index(name)
    return replace(block, snapshot=block.snapshot.set_column(position, name, values))


def test_before_standardising_they_equal_the_stored_columns_of_the_three_groups(
    lake: Lake, small: Settings, month: Month, block: Block, params: dict[str, np.ndarray]
) -> None:
    registry = build_registry(small)
    session = LakeSession(lake)
    states = fit_states(session, small, registry, groups=SOURCES)
    compute_month(session, month, registry, states, small, SOURCES, versions=one_version("test"))
    stored = {
        column.name: lake.read(f"features/{name}", month.key)[column.name].to_numpy()
        for name in SOURCES
        for column in registry.group(name).columns
    }
    found = scalars.raw(block, params, small)
    names = [column.name for column in scalars.columns(small)]
    assert len(names) == 4 + 14 + 4
    for position, name in enumerate(names):
        np.testing.assert_array_equal(found[:, position], stored[name], err_msg=name)


def test_they_are_the_continuous_count_and_share_columns_and_declare_those_columns_inputs(small: Settings) -> None:
    declared = [column for name in SOURCES for column in build_registry(small).group(name).columns]
    wanted = [column for column in declared if column.kind in ("continuous", "count", "share")]
    assert scalars.columns(small) == tuple(wanted)
    assert set(scalars.inputs(small)) == {source for column in wanted for source in column.inputs}
    assert len(set(scalars.inputs(small))) == len(scalars.inputs(small))
    assert "raw/snapshots.gender" not in scalars.inputs(small)


def test_what_the_data_set_cannot_carry_is_left_out_with_its_inputs(train: list[Block], small: Settings) -> None:
    poorer = without(small, "income", "income_group_code", "txn_share_*")
    names = [column.name for column in scalars.columns(poorer)]
    assert len(names) == 22 - 1 - 4
    assert "raw/snapshots.income" not in scalars.inputs(poorer)
    params = scalars.fit(train, poorer)
    assert set(params["scalar_names"].tolist()) <= set(names)
    assert scalars.transform(train[0], params, poorer).shape == (len(train[0]), len(params["scalar_names"]))


def test_the_columns_of_berka_need_neither_income_nor_merchants() -> None:
    settings = load_settings("berka", "demo")
    assert not {"raw/snapshots.income", "raw/transactions.merchant_id"} & set(scalars.inputs(settings))


def test_undeclared_snapshot_columns_change_nothing(
    train: list[Block], block: Block, small: Settings, params: dict[str, np.ndarray]
) -> None:
    def altered(b: Block) -> Block:
        for name, value in (("gender", "x"), ("segment", "new"), ("country", "XX"), ("channel", "fax")):
            b = with_column(b, name, pa.array([value] * len(b)))
        return with_column(b, "is_active", pa.array([False] * len(b)))

    again = scalars.fit([altered(b) for b in train], small)
    assert {name: array.tobytes() for name, array in again.items()} == {
        name: array.tobytes() for name, array in params.items()
    }
    expected = scalars.transform(block, params, small)
    np.testing.assert_array_equal(scalars.transform(altered(block), params, small), expected)


def test_train_rows_have_mean_0_and_deviation_1_before_the_clip(
    train: list[Block], small: Settings, params: dict[str, np.ndarray]
) -> None:
    values = np.concatenate([scalars.transform(b, params, small) for b in train])
    assert values.dtype == np.float64
    assert np.isfinite(values).all()
    assert np.abs(values).max() <= 5
    inner = np.flatnonzero(np.abs(values).max(axis=0) < 5)
    assert len(inner) > values.shape[1] / 2
    np.testing.assert_allclose(values[:, inner].mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(values[:, inner].std(axis=0), 1, atol=1e-9)


def test_they_equal_a_plain_computation_and_impute_the_train_median(
    train: list[Block], block: Block, small: Settings, params: dict[str, np.ndarray]
) -> None:
    rows = np.concatenate([scalars.raw(b, params, small) for b in train]).astype(float)
    given = scalars.raw(block, params, small).astype(float)
    found = scalars.transform(block, params, small)
    listed = [column.name for column in scalars.columns(small)]
    assert np.isnan(given).any()
    for position, (name, logged) in enumerate(zip(params["scalar_names"], params["scalar_logged"], strict=True)):
        source = listed.index(name)
        median = np.nanmedian(rows[:, source])
        past, now = (np.where(np.isnan(v), median, v) for v in (rows[:, source], given[:, source]))
        if logged:
            past, now = np.log1p(past), np.log1p(now)
        expected = np.clip((now - past.mean()) / past.std(), -5, 5)
        np.testing.assert_allclose(found[:, position], expected, atol=1e-9, err_msg=name)


def test_the_logarithm_is_taken_of_skewed_amounts_and_never_of_shares(params: dict[str, np.ndarray]) -> None:
    logged = dict(zip(params["scalar_names"].tolist(), params["scalar_logged"].tolist(), strict=True))
    assert logged["income"]  # log-normal in the panel
    assert logged["txn_amount_monthly_mean"]
    assert not logged["age"]  # uniform
    assert not logged["tenure_months"]
    assert not any(taken for name, taken in logged.items() if "share" in name)


def test_a_column_without_variance_on_train_is_left_out(train: list[Block], small: Settings) -> None:
    same = [with_column(b, "tenure_months", pa.array([7] * len(b), pa.int16())) for b in train]
    names = scalars.fit(same, small)["scalar_names"].tolist()
    assert "tenure_months" not in names
    assert "age" in names


def test_train_rows_that_are_all_alike_are_refused(train: list[Block], small: Settings) -> None:
    with pytest.raises(GateError, match="no scalar column varies"):
        scalars.fit([train[0].take(np.array([0]))], small)


def test_a_customers_values_do_not_depend_on_the_block(
    block: Block, small: Settings, params: dict[str, np.ndarray]
) -> None:
    whole = scalars.transform(block, params, small)
    for some in (np.array([5]), np.arange(0, len(block), 7), np.arange(13, 90)):
        np.testing.assert_array_equal(scalars.transform(block.take(some), params, small), whole[some])
