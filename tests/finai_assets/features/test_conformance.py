"""What every feature group must hold, whichever it is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from stored_tensors import read_tensor

from finai_assets.features.fit import fit_states
from finai_assets.features.state import GroupState, load_states, store_states
from finai_assets.settings.features import FeatureGroupSettings
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import one_version
from finai_resources.months import Month

GROUPS = FeatureGroupSettings.names()
TOPOLOGY = ("tda_global", "tda_local")  # these have a choice of engine
each_group = pytest.mark.parametrize(
    ("engine", "name"),
    [pytest.param("kernel", name, id=name) for name in GROUPS]
    + [pytest.param("gudhi", name, id=f"{name} by gudhi") for name in TOPOLOGY],
)


def values(lake: Lake, name: str, month: Month) -> pa.Table:
    return lake.read(f"features/{name}", month.key)


def assert_bit_equal(left: pa.Table, right: pa.Table) -> None:
    assert left.column_names == right.column_names
    differing = [
        column
        for column in left.column_names
        if left[column].to_numpy().tobytes() != right[column].to_numpy().tobytes()
    ]
    assert differing == []


@pytest.fixture
def engine() -> str:
    """Return the engine of tests that are of no single group."""
    return "kernel"


@pytest.fixture(scope="module")
def worlds(kernel_world: Any, gudhi_world: Any) -> dict[str, Any]:
    return {"kernel": kernel_world, "gudhi": gudhi_world}


@pytest.fixture
def world(worlds: dict[str, Any], engine: str) -> Any:
    return worlds[engine]


@pytest.fixture(scope="module")
def all_variants(worlds: dict[str, Any], new_lake: Callable[[], Lake], month: Month) -> dict[str, dict[str, Lake]]:
    return {engine: variants_of(world, new_lake, month) for engine, world in worlds.items()}


@pytest.fixture
def variants(all_variants: dict[str, dict[str, Lake]], engine: str) -> dict[str, Lake]:
    return all_variants[engine]


def variants_of(world: Any, new_lake: Callable[[], Lake], month: Month) -> dict[str, Lake]:
    """Return lakes that must hold the same features as the world's."""
    made = {}

    def variant(name: str, panel: Any, *, shuffle: int | None = None, **lake_settings: int) -> None:
        made[name] = panel.write(new_lake(), shuffle=shuffle)
        world.compute(made[name], **lake_settings)

    variant("again", world.panel)
    variant("shuffled", world.panel, shuffle=5)
    variant("one block", world.panel, block_customers=10_000)
    variant("blocks of 7", world.panel, block_customers=7)
    variant("one worker", world.panel, workers=1)
    variant("five workers", world.panel, workers=5, block_customers=16)
    variant("cut at the cutoff", world.panel.until(month))
    variant("poisoned future", world.panel.with_poison_after(month))
    return made


def test_the_suite_covers_every_group_that_is_built(world: Any) -> None:
    assert tuple(group.name for group in world.registry.available) == GROUPS


@each_group
def test_columns_are_those_declared_in_order_as_float32(world: Any, month: Month, name: str) -> None:
    table = values(world.lake, name, month)
    assert table.column_names == ["customer_id", *world.registry.group(name).names]
    assert all(field.type == pa.float32() for field in list(table.schema)[1:])
    ids = table["customer_id"].to_numpy()
    assert ids.tolist() == sorted(world.panel.snapshots[month]["customer_id"].to_pylist())


@each_group
def test_values_obey_their_declared_policy_and_range(world: Any, month: Month, name: str) -> None:
    table = values(world.lake, name, month)
    for column in world.registry.group(name).columns:
        found = table[column.name].to_numpy()
        known = found[~np.isnan(found)]
        assert np.isfinite(known).all(), column.name
        assert len(known) == len(found) or column.missing == "nan", column.name
        assert column.low is None or known.min() >= column.low, column.name
        assert column.high is None or known.max() <= column.high, column.name
        if column.kind == "binary":
            assert set(known.tolist()) <= {0.0, 1.0}, column.name
        if column.kind in ("count", "code"):
            assert (known == np.round(known)).all(), column.name


@each_group
def test_the_columns_of_a_group_do_not_all_say_the_same(world: Any, name: str) -> None:
    """The floor is one any group passes that is not degenerate; the reference data has its own in the main job's test."""
    assert world.states[name].meta["effective_rank"] > 1.9


@each_group
def test_side_tensors_hold_the_customers_of_the_month_in_order(world: Any, month: Month, name: str) -> None:
    for tensor in world.registry.group(name).tensors:
        ids, found = read_tensor(LakeSession(world.lake), f"features/{name}", month.key, tensor)
        assert ids.tolist() == values(world.lake, name, month)["customer_id"].to_pylist()
        assert found.shape == (len(ids), *tensor.shape)
        assert np.unique(found.reshape(len(ids), -1), axis=0).shape[0] > len(ids) // 2


@each_group
def test_every_column_varies(world: Any, month: Month, name: str) -> None:
    constant = [s.name for s in world.results[name].statistics if not s.std > 0]
    assert constant == []


@each_group
@pytest.mark.parametrize(
    "variant",
    [
        "again", "shuffled", "one block", "blocks of 7", "one worker", "five workers", "cut at the cutoff",
        "poisoned future",
    ],
)  # fmt: skip
def test_features_are_bit_equal_whatever_must_not_matter(
    world: Any, variants: dict[str, Lake], month: Month, name: str, variant: str
) -> None:
    assert_bit_equal(values(world.lake, name, month), values(variants[variant], name, month))
    for tensor in world.registry.group(name).tensors:
        left, right = (
            read_tensor(LakeSession(lake), f"features/{name}", month.key, tensor)[1]
            for lake in (world.lake, variants[variant])
        )
        assert left.tobytes() == right.tobytes(), tensor.name


@each_group
def test_stored_bytes_do_not_depend_on_workers_or_on_the_run(
    world: Any, variants: dict[str, Lake], month: Month, name: str
) -> None:
    first = world.results[name].manifest.content_hash
    assert variants["again"].manifest(f"features/{name}", month.key).content_hash == first
    assert variants["one worker"].manifest(f"features/{name}", month.key).content_hash == first


@pytest.mark.parametrize("name", TOPOLOGY)
def test_an_engine_changes_no_bit_of_values_diagrams_or_state(worlds: dict[str, Any], month: Month, name: str) -> None:
    kernel, gudhi = worlds["kernel"], worlds["gudhi"]
    for world, engine in ((kernel, "kernel"), (gudhi, "gudhi")):
        assert getattr(world.settings.feature_groups, name).engine == engine
    assert gudhi.results[name].manifest.content_hash == kernel.results[name].manifest.content_hash
    assert gudhi.states[name].to_bytes() == kernel.states[name].to_bytes()


def test_a_past_event_that_changes_is_seen(world: Any, new_lake: Callable[[], Lake], month: Month) -> None:
    """The comparison above can fail: the same poison one month earlier changes the features."""
    lake = world.panel.with_poison_after(month - 1).write(new_lake())
    world.compute(lake)
    for name in ("txn_behavior", "txn_lag_tensor", "txn_rolling_stats"):
        with pytest.raises(AssertionError):
            assert_bit_equal(values(world.lake, name, month), values(lake, name, month))


@each_group
def test_the_state_survives_save_and_load(world: Any, new_lake: Callable[[], Lake], month: Month, name: str) -> None:
    state = world.states[name]
    again = GroupState.from_bytes(state.to_bytes())
    assert again.to_bytes() == state.to_bytes()
    lake = new_lake()
    session = LakeSession(lake)
    store_states(session, {name: state}, versions=one_version("test"))
    loaded = load_states(session, [name])[name]
    assert loaded.meta == state.meta
    assert sorted(loaded.params) == sorted(state.params)
    for key, array in state.params.items():
        np.testing.assert_array_equal(loaded.params[key], array)


@pytest.fixture(scope="module")
def all_refits(worlds: dict[str, Any], new_lake: Callable[[], Lake]) -> dict[str, dict[str, dict[str, GroupState]]]:
    return {engine: refits_of(world, new_lake) for engine, world in worlds.items()}


@pytest.fixture
def refits(all_refits: dict[str, dict[str, dict[str, GroupState]]], engine: str) -> dict[str, dict[str, GroupState]]:
    return all_refits[engine]


def refits_of(world: Any, new_lake: Callable[[], Lake]) -> dict[str, dict[str, GroupState]]:
    last = world.settings.dataset.splits.train.last
    small_blocks = world.settings.model_copy(
        update={"lake": world.settings.lake.model_copy(update={"block_customers": 23, "workers": 1})}
    )

    def fit(lake: Lake, settings: Any = world.settings) -> dict[str, GroupState]:
        return fit_states(LakeSession(lake), settings, world.registry)

    return {
        "only train months exist": fit(world.panel.until(last).write(new_lake())),
        "later months are garbage": fit(world.panel.with_poison_after(last).write(new_lake())),
        "rows are shuffled": fit(world.panel.write(new_lake(), shuffle=3)),
        "other blocks": fit(world.lake, small_blocks),
    }


@each_group
def test_the_fit_depends_on_train_months_alone_and_on_no_order(
    world: Any, refits: dict[str, dict[str, GroupState]], name: str
) -> None:
    for why, states in refits.items():
        assert states[name].to_bytes() == world.states[name].to_bytes(), why


def test_the_fit_changes_when_a_train_month_does(world: Any, new_lake: Callable[[], Lake]) -> None:
    lake = world.panel.with_poison_after(world.settings.dataset.splits.train.last - 1).write(new_lake())
    states = fit_states(LakeSession(lake), world.settings, world.registry, groups=["txn_rolling_stats"])
    assert states["txn_rolling_stats"].to_bytes() != world.states["txn_rolling_stats"].to_bytes()


_SCRIPT = """
import sys
from finai_assets.features.compute import compute_month
from finai_assets.features.fit import fit_states
from finai_assets.features.registry import build_registry
from finai_assets.settings import load_settings
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import one_version
from finai_resources.months import Month
overrides = {
    "fit": {"rows": 500},
    "lake": {"block_customers": 64},
    "feature_groups": {"merchant_hierarchy": {"leaves": 45}},
}
settings = load_settings("synthetic", "smoke", overrides=overrides)
registry = build_registry(settings)
session = LakeSession(Lake.on_disk(sys.argv[1]))
states = fit_states(session, settings, registry)
month, versions = Month.parse("2015-03"), one_version("test")
results = compute_month(session, month, registry, states, settings, registry.available, versions=versions)
print([result.manifest.content_hash for result in results.values()])
"""


@pytest.mark.slow
def test_features_do_not_depend_on_the_hash_seed(world: Any, new_lake: Callable[[], Lake]) -> None:
    printed = set()
    for seed in ("0", "4242"):
        lake = world.panel.write(new_lake())
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, lake.root],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        printed.add(done.stdout)
    assert printed == {f"{[result.manifest.content_hash for result in world.results.values()]}\n"}
