"""Point-in-time replay: stored months come out again, and a value that a later event moved is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.raw_panel import write_raw
from finai_assets.features import events as events_module
from finai_assets.features.compute import compute_month
from finai_assets.features.fit import fit_states, store_states
from finai_assets.features.inputs import DAY_US
from finai_assets.features.registry import Registry, build_registry
from finai_assets.partitions import look_back
from finai_assets.settings import Settings, load_settings
from finai_checks.point_in_time.replay import replay_month
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import one_version
from finai_resources.months import Month

GROUPS = ["demographics", "txn_behavior", "derived_temporal", "txn_lag_tensor", "txn_rolling_stats"]
MONTH = Month.parse("2015-01")


@pytest.fixture(scope="module")
def made() -> Settings:
    return load_settings(
        "synthetic", "smoke", overrides={"dataset": {"splits": {"train": ["2015-01", "2015-01"]}}, "fit": {"rows": 100}}
    )


@pytest.fixture(scope="module")
def registry(made: Settings) -> Registry:
    return build_registry(made)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, made: Settings, registry: Registry) -> Callable[..., Lake]:
    """Return a maker of lakes that hold raw months up to the label month and the features of one."""

    def make() -> Lake:
        lake = Lake.on_disk(tmp_path_factory.mktemp("replay") / "lake")
        write_raw(lake, made, [*look_back(MONTH, made), MONTH + 1], 300)
        session = LakeSession(lake)
        states = fit_states(session, made, registry, groups=GROUPS)
        store_states(session, states, versions=one_version("test"))
        compute_month(session, MONTH, registry, states, made, GROUPS, versions=one_version("test"))
        return lake

    return make


@pytest.fixture(scope="module")
def good(stored: Callable[..., Lake]) -> Lake:
    return stored()


def replayed(lake: Lake, made: Settings, registry: Registry, customers: int = 40) -> dict[str, Any]:
    return replay_month(LakeSession(lake), made, registry.select(GROUPS), MONTH, customers=customers)


def test_what_was_computed_honestly_comes_out_again_to_the_bit(good: Lake, made: Settings, registry: Registry) -> None:
    outcomes = replayed(good, made, registry)
    assert {name: outcome.reason for name, outcome in outcomes.items()} == dict.fromkeys(GROUPS, "")
    assert all(outcome.passed for outcome in outcomes.values())
    assert outcomes["txn_lag_tensor"].n == outcomes["txn_lag_tensor"].observed["customers"] * 800 * 2
    assert 10 <= outcomes["txn_lag_tensor"].observed["customers"] <= 40


def test_the_lake_is_only_read(good: Lake, made: Settings, registry: Registry) -> None:
    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in Path(good.root).rglob("*") if path.is_file()}

    before = files()
    replayed(good, made, registry)
    assert files() == before


def test_a_group_that_reads_one_event_past_the_cutoff_fails_by_column(
    stored: Callable[..., Lake], made: Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from finai_assets.features import block

    def leaking(session: Any, months: Any, ids: np.ndarray, *, since: int, cutoff: int) -> Any:
        return events_module.read_events(session, [*months, months[-1] + 1], ids, since=since, cutoff=cutoff + DAY_US)

    with monkeypatch.context() as patched:
        patched.setattr(block, "read_events", leaking)
        lake = stored()
    outcomes = replayed(lake, made, registry)
    assert outcomes["demographics"].passed
    assert outcomes["derived_temporal"].passed
    for name in ("txn_behavior", "txn_lag_tensor", "txn_rolling_stats"):
        assert not outcomes[name].passed, name
    assert {"lag_amount_000", "lag_days_000"} <= {row["column"] for row in outcomes["txn_lag_tensor"].table}


def test_code_that_still_reads_past_the_cutoff_fails_on_the_garbage(
    stored: Callable[..., Lake], made: Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored values and replay share the leak; only the garbage of the second pass tells them apart."""
    from finai_assets.features import block

    def leaking(session: Any, months: Any, ids: np.ndarray, *, since: int, cutoff: int) -> Any:
        return events_module.read_events(session, months, ids, since=since, cutoff=cutoff + 1)

    monkeypatch.setattr(block, "read_events", leaking)
    outcomes = replayed(stored(), made, registry)
    assert not outcomes["txn_lag_tensor"].passed
    assert {row["future"] for row in outcomes["txn_lag_tensor"].table} == {"garbage after the cutoff"}


def test_an_altered_stored_value_is_named_with_its_customer(
    stored: Callable[..., Lake], made: Settings, registry: Registry
) -> None:
    lake = stored()
    table = lake.read("features/demographics", MONTH.key)
    age = np.nextafter(table["age"].to_numpy(), np.float32(200)).astype(np.float32)
    with lake.write("features/demographics", MONTH.key) as out:
        out.write(table.set_column(table.schema.get_field_index("age"), "age", [age]))
    outcome = replayed(lake, made, registry, customers=1000)["demographics"]
    assert not outcome.passed
    assert "1 columns differ in up to 300 of 300 customers: age" in outcome.reason
    assert outcome.table[0]["stored"] != outcome.table[0]["replayed"]
