"""What ``finai run --dry-run`` says of a source that has changed since its months were loaded."""

from __future__ import annotations

import hashlib
import io
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from finai_assets.asset_graph import CATALOGUE_TABLES, SNAPSHOTS, TRANSACTIONS, group_asset
from finai_assets.ingest.adapter import open_adapter
from finai_assets.ingest.load import load_catalogue, load_month
from finai_assets.platform import Platform
from finai_assets.settings import load_settings
from finai_cli import run as module
from finai_cli.execute import Runner, dagster_instance
from finai_cli.plan import main_job
from finai_cli.run import run_main_job
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from tests.finai_assets.ingest.tables.test_berka import KEY, write_czech

GROUP = group_asset("demographics")
MONTHS = ("1993-01", "1993-02", "1993-03")


def platform_of(source: Path | None) -> Platform:
    return Platform.of(
        load_settings("berka", "demo", overrides={"dataset": {"source": str(source)}} if source else None)
    )


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("loaded")
    (root / "bank").mkdir()
    graph = platform_of(write_czech(root / "bank")).graph
    settings = graph.settings_of(SNAPSHOTS, *CATALOGUE_TABLES)
    lake = Lake.on_disk(root / "home" / "lake")
    session = LakeSession(lake)
    adapter = open_adapter(settings, KEY, session)
    load_catalogue(adapter, session, settings, **graph.versions(CATALOGUE_TABLES[0]))
    for month in MONTHS:
        load_month(adapter, session, Month.parse(month), settings, **graph.versions(SNAPSHOTS))
    for month in MONTHS:  # a group that reads a month's transactions
        reading = LakeSession(lake)
        reading.manifest(TRANSACTIONS, month)
        with reading.write(GROUP, month, **graph.versions(GROUP)) as out:
            out.write(pa.table({"customer_id": [1]}))
    return root


@pytest.fixture
def root(loaded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FINAI_PSEUDONYM_KEY", KEY.hex())
    monkeypatch.setattr(module, "declared_checks", lambda _: [])
    shutil.copytree(loaded, tmp_path, dirs_exist_ok=True)
    return tmp_path


def plan(root: Path, source: Path | None, home: str = "home") -> dict[str, list[str]]:
    """Return the lines of the plan, by stage."""
    console = Console(file=io.StringIO(), width=200)
    run_main_job(platform_of(source), Home.at(root / home), console, dry_run=True)
    said: dict[str, list[str]] = {"": []}
    stage = ""
    for line in console.file.getvalue().splitlines():  # type: ignore[attr-defined] # the console's file is the buffer above
        if not line.startswith(" ") and " runs" in line:
            stage = line.partition(":")[0]
        said.setdefault(stage, []).append(line)
    return said


def named(lines: list[str], month: str) -> list[str]:
    return [line for line in lines if line.strip().startswith(month)]


def test_the_month_what_reads_it_and_why_are_shown(root: Path):
    source = root / "bank"
    before = plan(root, source)
    assert not named(before["Raw tables"], "1993-02")
    with (source / "trans.asc").open("a") as file:
        file.write('30;1;930220;"VYBER";"VYBER";5;0;"";"";\n')
    said = plan(root, source)
    assert named(said["Raw tables"], "1993-02")
    assert not named(said["Raw tables"], "1993-01")
    assert f"{TRANSACTIONS} 1993-02: 1 row more than loaded" in " ".join(said["Raw tables"])
    (of_february,) = named(said["Features"], "1993-02")
    assert GROUP in of_february
    (of_january,) = named(said["Features"], "1993-01")
    assert GROUP not in of_january


def test_a_new_column_is_told_and_nothing_is_stale(root: Path):
    file = root / "bank" / "loan.asc"
    head, *rows = file.read_text().splitlines()
    file.write_text("\n".join([f"{head};[bold]note", *(f"{row};x" for row in rows)]) + "\n")
    said = plan(root, root / "bank")
    assert any("loan: new column [bold]note (string)" in line for line in said[""])
    assert not named(said["Raw tables"], "1993-01")


def test_without_the_source_the_plan_says_what_it_cannot_judge(root: Path):
    said = plan(root, None)
    assert any("the source is not named" in line for line in said[""])
    assert not named(said["Raw tables"], "1993-01")


def test_a_plan_of_a_home_that_does_not_exist_makes_none(root: Path):
    shutil.rmtree(root / "home")
    said = plan(root, root / "bank")
    assert named(said["Raw tables"], "1993-01")
    assert not (root / "home").exists()


def test_in_a_moved_home_the_plan_is_the_same(root: Path):
    before = plan(root, root / "bank")
    (root / "home").rename(root / "moved")
    assert plan(root, root / "bank", "moved") == before
    assert not (root / "home").exists()


def test_a_run_in_a_copied_home_alters_no_byte_of_the_original(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DAGSTER_HOME", "")  # so that the one that a run sets is taken away again
    with dagster_instance(Home.at(root / "home")):  # as a first run does
        pass
    shutil.copytree(root / "home", root / "copy")
    before = digests(root / "home")
    copy, platform = Home.at(root / "copy"), platform_of(root / "bank")
    lake = Lake.on_disk(copy.lake_root)
    unit = next(unit for stage in main_job(platform) for unit in stage.units if CATALOGUE_TABLES[0] in unit.assets)
    for path in CATALOGUE_TABLES:
        lake.delete(path)
    with dagster_instance(copy) as instance:
        Runner(platform, copy, lake, instance).run(unit, list(CATALOGUE_TABLES), [])
        assert len(instance.get_runs()) == 1
    assert lake.find(CATALOGUE_TABLES[0]) is not None
    assert digests(root / "home") == before


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
def test_an_appended_row_enters_at_the_next_run_which_loads_its_month_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DAGSTER_HOME", "")
    raw = [stage for stage in main_job(platform_of(None)) if TRANSACTIONS in stage.units[0].assets]
    stages = [replace(stage, units=tuple(unit for unit in stage.units if unit.partition in MONTHS)) for stage in raw]
    monkeypatch.setattr(module, "main_job", lambda _: stages)
    monkeypatch.setattr(module, "write_summary", lambda *given: {"ran": [stage["ran"] for stage in given[-1]]})
    home, lake = Home.at(root / "home"), Lake.on_disk(root / "home" / "lake")
    with (root / "bank" / "trans.asc").open("a") as file:
        file.write('30;1;930220;"VYBER";"VYBER";5;0;"";"";\n')
    before = {month: lake.manifest(TRANSACTIONS, month) for month in MONTHS}

    def run() -> list[int]:
        return run_main_job(platform_of(root / "bank"), home, Console(file=io.StringIO()))["ran"]

    assert run() == [1]
    after = {month: lake.manifest(TRANSACTIONS, month) for month in MONTHS}
    assert [month for month in MONTHS if after[month] != before[month]] == ["1993-02"]
    assert after["1993-02"].rows == before["1993-02"].rows + 1
    assert run() == [0]
