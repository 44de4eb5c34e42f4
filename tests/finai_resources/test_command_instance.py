"""Runs of commands in the UI: under their jobs, and failed when their process was killed. Asked through the UI's own API."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.test_utils import InProcessTestWorkspaceLoadTarget
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster_graphql.test.utils import execute_dagster_graphql

from finai_cli.execute import dagster_instance
from finai_resources.command_instance import LOCATION, PROCESS_TAG, REPOSITORY, fail_abandoned_runs
from finai_resources.home import Home
from finai_resources.leases import this_process

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
CODE = """
import dagster as dg

@dg.asset
def thing() -> None: ...

defs = dg.Definitions([thing], jobs=[dg.define_asset_job("things", "thing", executor_def=dg.in_process_executor)])
"""
JOB = """query($job: PipelineSelector!) {
    pipelineOrError(params: $job) { ... on Pipeline { runs(limit: 5) { runId status } } } }"""
OVERVIEW = """{ runsOrError { ... on Runs { results { runId status repositoryOrigin {
    repositoryName repositoryLocationName } } } } }"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("DAGSTER_HOME", "")
    (tmp_path / "code.py").write_text(CODE)
    return Home.at(tmp_path / "home")


@pytest.fixture
def instance(home: Home) -> Iterator[dg.DagsterInstance]:
    with dagster_instance(home) as opened:
        yield opened


def code_of(home: Home) -> dg.Definitions:
    names: dict[str, Any] = {}
    exec(CODE, names)
    return names["defs"]


def asked(home: Home, instance: dg.DagsterInstance, query: str, **variables: Any) -> Any:
    target = LoadableTargetOrigin(python_file=str(home.root.parent / "code.py"), executable_path=sys.executable)
    origin = InProcessCodeLocationOrigin(target, location_name=LOCATION)
    with WorkspaceProcessContext(instance, InProcessTestWorkspaceLoadTarget(origin)) as process:
        result = execute_dagster_graphql(process.create_request_context(), query, variables)
    assert not result.errors, result.errors
    (found,) = result.data.values()
    return found


def test_a_run_of_a_command_shows_under_its_job_and_under_its_code_location(
    home: Home, instance: dg.DagsterInstance
) -> None:
    done = code_of(home).resolve_job_def("things").execute_in_process(instance=instance, run_config=QUIET)
    selector = {"pipelineName": "things", "repositoryName": REPOSITORY, "repositoryLocationName": LOCATION}
    assert asked(home, instance, JOB, job=selector)["runs"] == [{"runId": done.run_id, "status": "SUCCESS"}]
    (run,) = asked(home, instance, OVERVIEW)["results"]
    assert run["repositoryOrigin"] == {"repositoryName": REPOSITORY, "repositoryLocationName": LOCATION}


def test_the_workspace_and_the_ui_name_the_location_that_the_runs_name() -> None:
    from finai_cli import ui_processes

    workspace = Path(ui_processes.__file__).parents[1] / "workspace.yaml"
    (entry,) = yaml.safe_load(workspace.read_text())["load_from"]
    assert entry["python_module"] == {"module_name": ui_processes.MODULE, "location_name": LOCATION}
    assert ui_processes.LOCATION == LOCATION


def dead_process() -> str:
    """Return how a process that has ended would have been named."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return json.dumps(asdict(replace(this_process(), pid=ended.pid)))


@pytest.mark.parametrize("tag", ["command", "code server"])
def test_a_run_in_progress_whose_process_is_gone_fails_and_one_that_is_executed_goes_on(
    tag: str, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    socket = tmp_path / "socket"
    socket.touch()
    living, gone = (
        ({PROCESS_TAG: json.dumps(asdict(this_process()))}, {PROCESS_TAG: dead_process()})
        if tag == "command"
        else ({GRPC_INFO_TAG: json.dumps({"socket": str(socket)})}, {GRPC_INFO_TAG: json.dumps({"socket": "/none"})})
    )
    runs = [
        instance.add_run(dg.DagsterRun("things", run_id=name, status=DagsterRunStatus.STARTED, tags=tags))
        for name, tags in (("living", living), ("gone", gone), ("untagged", {}))
    ]
    assert fail_abandoned_runs(instance) == ["gone"]
    states = {run.run_id: instance.get_run_by_id(run.run_id).status for run in runs}  # type: ignore[union-attr]
    assert states == {
        "living": DagsterRunStatus.STARTED,
        "gone": DagsterRunStatus.FAILURE,
        "untagged": DagsterRunStatus.STARTED,
    }
