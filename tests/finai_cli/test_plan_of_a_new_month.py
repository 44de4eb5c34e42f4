"""A month that is added to the source: what a run then computes is that month and what became known with it, and nothing else."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from going_on import KEY, LAST, NEW, deliver, fill, platform_of
from rich.console import Console

from finai_assets.asset_graph import (
    OUTCOMES,
    RECOMMENDATIONS,
    SNAPSHOTS,
    SPLITS,
    is_label,
)
from finai_assets.automation.specs import partitions_of
from finai_assets.ingest.source_changes import source_changes
from finai_cli import run as module
from finai_cli.plan import main_job, stale_assets
from finai_cli.run import run_main_job
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.months import Month
from finai_resources.secrets import SecretStore
from tests.finai_assets.ingest.tables.test_berka import write_czech


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("filled")
    (root / "bank").mkdir()
    deliver(write_czech(root / "bank"), "1993-04", "1993-05", LAST)
    fill(platform_of(root), Lake.on_disk(root / "home" / "lake"))
    return root


@pytest.fixture
def root(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FINAI_PSEUDONYM_KEY", KEY.hex())
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    return tmp_path


def stale(root: Path) -> set[tuple[str, str | None]]:
    """Return the partitions that a run would compute."""
    platform, lake = platform_of(root), Lake.on_disk(root / "home" / "lake")
    altered = source_changes(platform.graph, lake, SecretStore(root / "home"), root / "home" / "cache").altered
    units = [unit for stage in main_job(platform) for unit in stage.units]
    return {(path, unit.partition) for unit in units for path in stale_assets(lake, platform, unit, [], set(altered))}


def test_nothing_is_stale_before_and_the_new_month_alone_after(root: Path) -> None:
    assert stale(root) == set()
    before = platform_of(root).graph
    deliver(root / "bank", NEW)
    graph = platform_of(root).graph
    of_the_month = [path for path in graph.paths if graph[path].group in {"raw", "features", "recommendations"}]
    matured = [path for path in graph.paths if is_label(path) and path != SPLITS]
    assert stale(root) == {
        *((path, NEW) for path in of_the_month),
        *((path, LAST) for path in matured),  # outcomes too, once the raw month is there: the lists of it are stored
        (OUTCOMES, LAST),
    }
    assert {path: graph.versions(path) for path in graph.paths} == {
        path: before.versions(path) for path in before.paths
    }


def test_a_month_after_that_becomes_stale_by_nothing_but_its_own_rows(root: Path) -> None:
    deliver(root / "bank", NEW, "1993-08")
    by_month = {month for _, month in stale(root)}
    assert by_month == {LAST, NEW, "1993-08"}
    assert (RECOMMENDATIONS, NEW) not in stale(root)  # the last month alone is scored


def test_a_month_that_is_not_over_makes_nothing_stale(root: Path) -> None:
    deliver(root / "bank", NEW, days=(1, 2))
    assert stale(root) == set()


def test_splits_name_no_month_after_test(root: Path) -> None:
    deliver(root / "bank", NEW)
    splits = platform_of(root).splits
    assert splits.to_json() == platform_of(root, ask=False).splits.to_json()
    assert max((*splits.months, *splits.purged)).key == "1993-05"
    assert splits.of(Month.parse(NEW)) == "later"


def test_dagster_is_offered_no_month_after_the_sources_last_and_no_label_before_its_window_has_passed(
    root: Path,
) -> None:
    def last_of(path: str) -> str:
        months = partitions_of(platform_of(root), path)
        assert months is not None
        last = months.get_last_partition_key()
        assert last is not None
        return last

    label = next(path for path in platform_of(root).graph.paths if is_label(path) and path != SPLITS)
    wanted = {
        SNAPSHOTS: LAST,
        "features/demographics": LAST,
        RECOMMENDATIONS: LAST,
        label: "1993-05",
        OUTCOMES: "1993-05",
    }
    assert {path: last_of(path) for path in wanted} == {path: f"{month}-01" for path, month in wanted.items()}
    deliver(root / "bank", NEW)
    assert last_of(SNAPSHOTS) == f"{NEW}-01"
    assert last_of(label) == f"{LAST}-01"


def test_the_plan_names_the_new_units(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "declared_checks", lambda _: [])
    deliver(root / "bank", NEW)
    console = Console(file=io.StringIO(), width=200)
    run_main_job(platform_of(root), Home.at(root / "home"), console, dry_run=True)
    said = console.file.getvalue()  # type: ignore[attr-defined] # the console's file is the buffer above
    for line in (
        "Raw tables: 1 of 7 runs",
        "Feature states: 0 of 1 runs",
        "Features: 1 of 7 runs",
        "Labels: 1 of 6 runs",
        "Teacher, students, bundle: 0 of 1 runs",
        "Recommendations: 1 of 1 runs",
        "Outcomes: 1 of 6 runs",
    ):
        assert line in said, said
