"""A home may be copied and moved: nothing in it says where it lies."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import dagster as dg
import duckdb
import pyarrow as pa
import pytest
import yaml
from dagster._core.instance.config import PoolGranularity

from finai_cli.execute import dagster_instance
from finai_resources.home import INSTANCE, Home
from finai_resources.lake import Lake
from finai_resources.warehouse import rebuild, shows

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dg.asset(key=["raw", "things"])
def things() -> None: ...


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("DAGSTER_HOME", "")  # so that the one that opening a home sets is taken away again
    made = Home.at(tmp_path / "original")
    with Lake.on_disk(made.lake_root).write("raw/things") as out:
        out.write(pa.table({"x": [1, 2]}))
    rebuild(Lake.on_disk(made.lake_root), made.warehouse)
    run_in(made)
    return made


def run_in(home: Home) -> list[str]:
    """Run a job in a home, and return the ids of all runs that its history holds."""
    with dagster_instance(home) as instance:
        assert dg.materialize([things], instance=instance, run_config=QUIET).success
        assert instance.get_latest_materialization_event(things.key) is not None
        return [run.run_id for run in instance.get_runs()]


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def copied(home: Home) -> Home:
    copy = Home.at(home.root.parent / "copy")
    shutil.copytree(home.root, copy.root)
    return copy


def test_what_runs_in_a_copy_leaves_no_byte_in_the_original(home: Home):
    copy = copied(home)
    before = digests(home.root)
    assert len(run_in(copy)) == 2  # the copy has the history of its original
    assert digests(home.root) == before
    assert digests(copy.root) != before


def test_a_moved_home_goes_on_with_its_history_and_makes_no_folder_where_it_was(home: Home):
    moved = Home.at(home.root.parent / "moved")
    home.root.rename(moved.root)
    assert len(run_in(moved)) == 2
    assert not home.root.exists()


def old_instance(dagster: Path) -> dict[str, object]:
    """Return what earlier versions wrote: absolute folders."""
    runs, schedules = "dagster._core.storage.runs", "dagster._core.storage.schedules"
    events = {"module": "finai_resources.event_log", "class": "BatchedSqliteEventLogStorage"}
    return {
        "run_storage": {
            "module": runs,
            "class": "SqliteRunStorage",
            "config": {"base_dir": str(dagster / "history")},
        },
        "event_log_storage": {**events, "config": {"base_dir": str(dagster / "history" / "runs")}},
        "schedule_storage": {
            "module": schedules,
            "class": "SqliteScheduleStorage",
            "config": {"base_dir": str(dagster / "schedules")},
        },
        "telemetry": {"enabled": False},
    }


def test_a_copy_of_a_home_that_an_earlier_version_made_writes_into_itself_too(home: Home):
    (home.dagster / "dagster.yaml").write_text(yaml.safe_dump(old_instance(home.dagster)))
    copy = copied(home)
    before = digests(home.root)
    assert len(run_in(copy)) == 2
    assert digests(home.root) == before


def test_an_instance_that_somebody_configured_is_left_as_it_is(home: Home):
    own = yaml.safe_dump({"storage": {"postgres": {"postgres_url": {"env": "URL"}}}, "telemetry": {"enabled": False}})
    (home.dagster / "dagster.yaml").write_text(own)
    home.prepare()
    assert (home.dagster / "dagster.yaml").read_text() == own


def without_limits() -> dict[str, object]:
    """Return what versions before the run limit wrote."""
    log = {"module": "finai_resources.event_log", "class": "BatchedSqliteEventLogStorage"}
    return {
        "event_log_storage": {**log, "config": {"home": {"env": "DAGSTER_HOME"}}},
        "telemetry": {"enabled": False},
    }


def test_an_instance_of_an_earlier_version_gets_the_run_limit_and_an_edited_one_keeps_what_was_chosen(home: Home):
    config = home.dagster / "dagster.yaml"
    edited = {**without_limits(), "run_retries": {"enabled": True}}
    for content in (without_limits(), edited):
        config.write_text(yaml.safe_dump(content))
        home.prepare()
        stored = yaml.safe_load(config.read_text())
        assert stored == (content if content is edited else INSTANCE)


def test_the_instance_limits_runs_and_feature_months_and_asks_for_no_address(home: Home):
    with dagster_instance(home) as instance:
        limits = instance.get_concurrency_config()
        assert limits.run_queue_config is not None
        assert limits.run_queue_config.max_concurrent_runs == 2
        assert limits.pool_config.default_pool_limit == 1
        assert limits.pool_config.pool_granularity is PoolGranularity.RUN
        assert not instance.nux_enabled


@pytest.mark.parametrize("content", ["", "[]", "event_log_storage: 3"])
def test_an_instance_without_a_log_of_ours_is_left_as_it_is(home: Home, content: str):
    (home.dagster / "dagster.yaml").write_text(content)
    home.prepare()
    assert (home.dagster / "dagster.yaml").read_text() == content


def test_no_file_of_a_home_names_its_folder_but_the_views_which_are_made_anew(home: Home):
    named = {path for path in digests(home.root) if str(home.root).encode() in (home.root / path).read_bytes()}
    assert named == {"finai.duckdb"}
    copy = copied(home)
    lake = Lake.on_disk(copy.lake_root)
    assert not shows(lake, copy.warehouse)
    rebuild(lake, copy.warehouse)
    assert shows(lake, copy.warehouse)
    assert shows(Lake.on_disk(home.lake_root), home.warehouse)
    shutil.rmtree(home.root)
    with duckdb.connect(str(copy.warehouse), read_only=True) as connection:
        assert connection.execute("SELECT sum(x) FROM raw.things").fetchall() == [(3,)]
