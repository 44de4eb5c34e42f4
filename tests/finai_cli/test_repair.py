"""A run notices what is damaged in the lake, tells it in one line each, and computes it again."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from finai_assets.asset_graph import PRODUCTS, SOURCE, SOURCE_SNAPSHOTS, SPLITS, group_asset, truth_asset
from finai_assets.platform import Platform
from finai_assets.settings import load_settings
from finai_checks.framework.evidence_log import EVIDENCE
from finai_cli.checks import evidence_table, last_evidence
from finai_cli.plan import Stage, main_job, stale_assets
from finai_cli.repair import NAME, damaged_partitions, put_all_aside, repairing
from finai_resources.chained_log import ChainedLog
from finai_resources.errors import GateError, LakeError
from finai_resources.lake import Lake
from finai_resources.manifest import MANIFEST
from finai_resources.quarantine import Damage
from finai_resources.secrets import SecretStore

GROUP, MONTH = group_asset("demographics"), "2015-06"
STORED = (
    (PRODUCTS, None),
    (GROUP, MONTH),
    (SPLITS, None),
    (SOURCE, None),
    (SOURCE_SNAPSHOTS, MONTH),
    ("old/thing", None),
)


@pytest.fixture(scope="module")
def platform() -> Platform:
    return Platform.of(load_settings("synthetic", "smoke"))


@pytest.fixture
def stages(platform: Platform) -> list[Stage]:
    return main_job(platform)


@pytest.fixture
def filled(lake: Lake, platform: Platform) -> Lake:
    for asset, month in STORED:
        write(lake, platform, asset, month)
    return lake


def write(lake: Lake, platform: Platform, asset: str, month: str | None) -> None:
    versions = platform.graph.versions(asset) if asset in platform.graph else {}
    with lake.write(asset, month, **versions) as out:
        out.put("a.json", json.dumps([asset, month] * 50).encode())


def secrets_of(lake: Lake) -> SecretStore:
    return SecretStore(Path(lake.root).parent)


def file_of(lake: Lake, asset: str, month: str | None) -> Path:
    manifest = lake.manifest(asset, month)
    return Path(lake.path(manifest, manifest.files[0]))


def look(lake: Lake, platform: Platform, stages: list[Stage]) -> tuple[list[Damage], list[str]]:
    console = Console(file=io.StringIO(), width=400)
    found = damaged_partitions(lake, platform.graph, stages, console)
    return found, console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[20] ^= 1
    file.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "the file is gone": Path.unlink,
    "the file has 3 bytes": lambda file: file.write_bytes(b"[1]"),
    "the manifest of": lambda file: (file.parent / MANIFEST).write_bytes(b'{"asset": '),
    "are not the ones that were written": lambda file: flip(file.parent / MANIFEST),
}


@pytest.mark.parametrize("said", DAMAGES)
def test_a_damaged_partition_is_told_put_aside_entered_in_the_evidence_once_and_stale(
    filled: Lake, platform: Platform, stages: list[Stage], said: str
) -> None:
    DAMAGES[said](file_of(filled, GROUP, MONTH))
    found, lines = look(filled, platform, stages)
    assert [damage.address for damage in found] == [f"{GROUP}@{MONTH}"]
    (line,) = lines
    assert line.startswith(f"damaged, computed again: {GROUP}@{MONTH}: ")
    if said.startswith("the "):
        assert said in line
    unit = next(unit for stage in stages for unit in stage.units if GROUP in unit.assets and unit.partition == MONTH)
    for _ in range(2):
        put_all_aside(filled, secrets_of(filled), found)
        found, lines = look(filled, platform, stages)
        assert len(lines) == 1
    assert filled.find(GROUP, MONTH) is None
    assert GROUP in stale_assets(filled, platform, unit, [])
    rows = last_evidence(filled, 10, NAME)
    assert [(row["asset"], row["passed"]) for row in rows] == [(f"{GROUP}@{MONTH}", False)]
    assert evidence_table(rows).row_count == 1
    write(filled, platform, GROUP, MONTH)
    assert look(filled, platform, stages) == ([], [])
    assert GROUP not in stale_assets(filled, platform, unit, [])


@pytest.mark.parametrize("asset", [SOURCE_SNAPSHOTS, truth_asset("churn_signal")])
def test_where_what_the_generator_stores_beside_the_source_is_damaged_the_source_is_made_again(
    filled: Lake, platform: Platform, stages: list[Stage], asset: str
) -> None:
    write(filled, platform, asset, MONTH)
    file_of(filled, asset, MONTH).unlink()
    found, lines = look(filled, platform, stages)
    assert [damage.address for damage in found] == [f"{asset}@{MONTH}", SOURCE]
    assert len(lines) == 1
    unit = next(unit for stage in stages for unit in stage.units if SOURCE in unit.assets)
    damaged = {damage.address for damage in found}
    assert SOURCE not in stale_assets(filled, platform, unit, [])
    assert SOURCE in stale_assets(filled, platform, unit, [], damaged)  # as a dry run shows it
    put_all_aside(filled, secrets_of(filled), found)
    assert SOURCE in stale_assets(filled, platform, unit, [])


def test_what_the_job_does_not_make_is_put_aside_and_told_so(
    filled: Lake, platform: Platform, stages: list[Stage]
) -> None:
    file_of(filled, "old/thing", None).unlink()
    found, (line,) = look(filled, platform, stages)
    assert "put aside (this job does not make it" in line
    put_all_aside(filled, secrets_of(filled), found)
    with pytest.raises(LakeError, match="was found damaged"):
        filled.manifest("old/thing")


def test_damage_that_is_found_by_reading_is_computed_again_in_the_same_run(
    filled: Lake, platform: Platform, stages: list[Stage]
) -> None:
    flip(file_of(filled, GROUP, MONTH))
    told: list[str] = []
    turns = []

    def work() -> str:
        turns.append(filled.find(GROUP, MONTH) is None)
        if turns[-1]:
            write(filled, platform, GROUP, MONTH)
        return filled.read_bytes(GROUP, MONTH, "a.json").decode()

    def again() -> list[Damage]:
        found, lines = look(filled, platform, stages)
        told.extend(lines)
        return found

    assert json.loads(repairing(filled, secrets_of(filled), [], work, again))[0] == GROUP
    assert turns == [False, True]
    assert len(told) == 1
    assert [entry.record["name"] for entry in ChainedLog(filled, EVIDENCE).entries()] == [NAME]


def test_an_error_that_is_no_damage_ends_the_run_and_so_does_a_disk_that_damages_everything(
    filled: Lake, platform: Platform, stages: list[Stage]
) -> None:
    def refuse() -> None:
        raise GateError("a check failed")

    def again() -> list[Damage]:
        return look(filled, platform, stages)[0]

    with pytest.raises(GateError):
        repairing(filled, secrets_of(filled), [], refuse, again)
    turns = []

    def broken() -> bytes:
        turns.append(1)
        write(filled, platform, GROUP, MONTH)
        flip(file_of(filled, GROUP, MONTH))
        return filled.read_bytes(GROUP, MONTH, "a.json")

    with pytest.raises(LakeError, match="is damaged"):
        repairing(filled, secrets_of(filled), [], broken, again)
    assert len(turns) == 2


def test_the_maker_of_a_path_is_its_asset_or_the_source(platform: Platform) -> None:
    graph = platform.graph
    assert all(graph.maker(path) == path for path in graph.paths)
    assert graph.maker(SOURCE_SNAPSHOTS) == graph.maker(truth_asset("churn_signal")) == SOURCE
    assert graph.maker("old/thing") is None
