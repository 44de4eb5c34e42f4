"""A small raw panel with what real ones have: late joiners, leavers, ties in time, gaps, unknown values, idle customers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.features.compute import GroupResult, compute_month
from finai_assets.features.fit import fit_states
from finai_assets.features.registry import Registry, build_registry
from finai_assets.features.state import GroupState
from finai_assets.settings import Settings, load_settings
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import one_version
from finai_resources.months import Month

TOPOLOGY = ("tda_global", "tda_local")
CUSTOMERS = 300
MCCS = 45
MONTH = Month.parse("2015-03")
DAY_US = 86_400_000_000


def write_catalogue(lake: Lake, *, shuffle: int | None = None) -> None:
    """Write 24 products in families, and a tree of 45 merchant categories over three levels."""
    settings = load_settings("synthetic", "smoke")
    leaf = np.arange(MCCS)
    tables = {
        "raw/products": pa.table(
            {
                "product_id": pa.array(np.arange(len(settings.products)), pa.int16()),
                "family": pa.array([settings.families.index(p.family) for p in settings.products], pa.int16()),
            }
        ),
        "raw/merchant_categories": pa.table(
            {
                "mcc": pa.array(4000 + 17 * leaf, pa.int32()),
                "l2": pa.array(leaf % 20, pa.int16()),
                "l1": pa.array(leaf % 20 % 10, pa.int16()),
            }
        ),
    }
    for asset, table in tables.items():
        order = np.arange(len(table)) if shuffle is None else np.random.default_rng(shuffle).permutation(len(table))
        with lake.write(asset) as out:
            out.write(table.take(order))


@dataclass(frozen=True)
class Panel:
    """Raw tables by month, as they would be written."""

    snapshots: dict[Month, pa.Table]
    transactions: dict[Month, pa.Table]

    def write(self, lake: Lake, *, shuffle: int | None = None, row_group: int = 4000) -> Lake:
        write_catalogue(lake, shuffle=shuffle)
        for asset, tables in (("raw/snapshots", self.snapshots), ("raw/transactions", self.transactions)):
            for month, stored in tables.items():
                table = stored
                if shuffle is not None:
                    order = np.random.default_rng([shuffle, month.ordinal]).permutation(table.num_rows)
                    table = table.take(order)
                with lake.write(asset, month.key) as out:
                    out.write(table, row_group_size=row_group)
        return lake

    def until(self, last: Month) -> Panel:
        return Panel(
            {m: t for m, t in self.snapshots.items() if m <= last},
            {m: t for m, t in self.transactions.items() if m <= last},
        )

    def with_poison_after(self, last: Month, *, seed: int = 1) -> Panel:
        """Replace all that lies after a month by garbage, and add events past its cutoff to its own table."""
        rng = np.random.default_rng(seed)
        snapshots, transactions = dict(self.snapshots), dict(self.transactions)
        for month in [m for m in snapshots if m > last]:
            ids = snapshots[month]["customer_id"].to_numpy()[rng.permutation(snapshots[month].num_rows)]
            columns = snapshots[month].drop_columns(["customer_id"])
            snapshots[month] = columns.add_column(0, "customer_id", pa.array(np.sort(ids[: len(ids)])))
            table = transactions[month]
            transactions[month] = table.set_column(2, "amount", pa.array(rng.normal(0, 1e9, table.num_rows)))
        table = transactions[last]
        ids = np.unique(table["customer_id"].to_numpy())
        future = pa.table(
            {
                "customer_id": ids,
                "ts": pa.array(np.full(len(ids), last.cutoff_us), pa.int64()).cast(pa.timestamp("us")),
                "amount": np.full(len(ids), -1e9),
                "mcc": pa.array(np.full(len(ids), 9999), pa.int32()),
                "merchant_id": pa.array(np.full(len(ids), 1), pa.int64()),
            }
        )
        transactions[last] = pa.concat_tables([table, future]).sort_by(
            [("customer_id", "ascending"), ("ts", "ascending")]
        )
        return Panel(snapshots, transactions)


def make_panel(settings: Settings, customers: int = CUSTOMERS, seed: int = 11) -> Panel:
    rng = np.random.default_rng(seed)
    ids = np.sort(rng.choice(2**50, customers, replace=False)).astype(np.int64) - 2**49
    months = list(settings.dataset.raw_months)
    joined = np.where(rng.random(customers) < 0.8, 0, rng.integers(0, 14, customers))
    left = np.where(rng.random(customers) < 0.9, 99, rng.integers(12, 18, customers))
    rates = np.where(rng.random(customers) < 0.15, 0.3, rng.gamma(2.0, 12.0, customers))
    rates[:3] = 0.0
    held = rng.random((customers, len(settings.products))) < 0.25
    snapshots, transactions = {}, {}
    for position, month in enumerate(months):
        held ^= rng.random(held.shape) < 0.02
        present = (joined <= position) & (position < left)
        snapshots[month] = _snapshot(rng, ids, held, present, month, settings)
        transactions[month] = _transactions(rng, ids, rates * present, month)
    return Panel(snapshots, transactions)


def _snapshot(
    rng: np.random.Generator, ids: np.ndarray, held: np.ndarray, present: np.ndarray, month: Month, settings: Settings
) -> pa.Table:
    rows = np.flatnonzero(present)
    customer = ids[rows]

    def nullable(values: np.ndarray, share: float, kind: pa.DataType) -> pa.Array:
        return pa.array(values.tolist(), kind, mask=rng.random(len(rows)) < share)

    def words(choices: Iterable[str], share: float) -> pa.Array:
        listed = np.array(list(choices))
        return nullable(listed[(rows * 7 + rows // 3) % len(listed)], share, pa.string())

    return pa.table(
        {
            "customer_id": pa.array(customer, pa.int64()),
            "snapshot_month": pa.array([month.start.date()] * len(rows), pa.date32()),
            "age": nullable(16 + rows % 65, 0.05, pa.int16()),
            "income": nullable(np.exp(rng.normal(17, 0.5, len(rows))).round(-4), 0.15, pa.float64()),
            "tenure_months": nullable(rows % 200, 0.1, pa.int16()),
            "is_active": nullable(rng.random(len(rows)) < 0.8, 0.02, pa.bool_()),
            "gender": words(["f", "m", "f"], 0.03),
            "segment": words(settings.dataset.segments, 0.0),
            "country": words(["KR", "KR", "US"], 0.0),
            "channel": words(["app", "branch", "web", "app"], 0.05),
            "held": pa.array([np.flatnonzero(held[i]).tolist() for i in rows], pa.list_(pa.int16())),
        }
    )


def _transactions(rng: np.random.Generator, ids: np.ndarray, rates: np.ndarray, month: Month) -> pa.Table:
    counts = rng.poisson(rates)
    n = int(counts.sum())
    owner = np.repeat(np.arange(len(ids)), counts)
    days = (month.cutoff_us - month.start_us) // DAY_US
    # Whole hours, so that instants coincide and their order has to be settled.
    ts = month.start_us + rng.integers(0, days * 24, n) * 3_600_000_000
    order = np.lexsort((ts, owner))
    weights = 1 / np.arange(1, MCCS + 1)
    amount = -np.exp(rng.normal(9, 1, n)).round(-1) - 10
    refund = rng.random(n) < 0.05
    return pa.table(
        {
            "customer_id": pa.array(ids[owner], pa.int64()),
            "ts": pa.array(ts[order], pa.int64()).cast(pa.timestamp("us")),
            "amount": pa.array(np.where(refund, -amount, amount), pa.float64()),
            "mcc": pa.array(4000 + 17 * rng.choice(MCCS, n, p=weights / weights.sum()), pa.int32()),
            "merchant_id": pa.array(rng.integers(0, 60, n), pa.int64(), mask=rng.random(n) < 0.1),
        }
    )


@dataclass(frozen=True)
class World:
    """A lake of raw months with everything that follows from it for one snapshot month."""

    settings: Settings
    registry: Registry
    panel: Panel
    lake: Lake
    states: dict[str, GroupState]
    results: dict[str, GroupResult]

    def compute(self, lake: Lake, month: Month = MONTH, **lake_settings: int) -> dict[str, GroupResult]:
        """Compute all groups of a month in another lake, with this world's states."""
        settings = self.settings.model_copy(update={"lake": self.settings.lake.model_copy(update=lake_settings)})
        return compute_month(
            LakeSession(lake),
            month,
            self.registry,
            self.states,
            settings,
            self.registry.available,
            versions=one_version("test"),
        )


def small_settings(**groups: dict[str, object]) -> Settings:
    """Return smoke settings with blocks small enough that the panel has several of them, and with settings of groups."""
    overrides = {
        "lake": {"block_customers": 64},
        "fit": {"rows": 500},
        "feature_groups": {"merchant_hierarchy": {"leaves": MCCS}, **groups},
    }
    return load_settings("synthetic", "smoke", overrides=overrides)


@pytest.fixture(scope="session")
def small() -> Settings:
    return small_settings()


@pytest.fixture(scope="session")
def small_by_gudhi() -> Settings:
    """Return the small settings with the other engine of the groups that have a choice."""
    return small_settings(**{name: {"engine": "gudhi"} for name in TOPOLOGY})


@pytest.fixture(scope="session")
def registry(small: Settings) -> Registry:
    return build_registry(small)


@pytest.fixture(scope="session")
def panel(small: Settings) -> Panel:
    return make_panel(small)


def make_world(lake: Lake, settings: Settings, registry: Registry, panel: Panel) -> World:
    panel.write(lake)
    states = fit_states(LakeSession(lake), settings, registry)
    world = World(settings, registry, panel, lake, states, {})
    return replace(world, results=world.compute(lake))


@pytest.fixture(scope="session")
def kernel_world(new_lake: Callable[[], Lake], small: Settings, registry: Registry, panel: Panel) -> World:
    return make_world(new_lake(), small, registry, panel)


@pytest.fixture(scope="session")
def gudhi_world(new_lake: Callable[[], Lake], small_by_gudhi: Settings, registry: Registry, panel: Panel) -> World:
    """Return a world of the groups that have a choice of engine, by the other one."""
    groups = tuple(registry.group(name) for name in TOPOLOGY)
    return make_world(new_lake(), small_by_gudhi, Registry(groups), panel)


@pytest.fixture(scope="session")
def world(kernel_world: World) -> World:
    return kernel_world


@pytest.fixture(scope="session")
def new_lake(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Lake]:
    def make() -> Lake:
        folder: Path = tmp_path_factory.mktemp("other")
        return Lake.on_disk(folder / "lake")

    return make


@pytest.fixture(scope="session")
def month() -> Month:
    return MONTH
