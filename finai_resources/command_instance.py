"""The Dagster instance of a command: its runs name their code location and their process, as runs that the UI starts do.

``execute_in_process`` writes neither. The UI then shows such a run under no job, and a killed one as in progress for ever,
where it takes a place of the run limit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES, DagsterRun
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.tags import GRPC_INFO_TAG

from finai_resources.leases import owner_in, this_process

PROCESS_TAG = "finai/process"
LOCATION, REPOSITORY = (
    "finai_assets",
    "__repository__",
)  # as in workspace.yaml; Dagster's name of a location's one repository
_ORIGIN = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), REPOSITORY)
_ABANDONED = (
    "The process that executed this run has ended without a word: it was killed, or the machine was switched off."
)


class CommandInstance(dg.DagsterInstance):
    """An instance whose runs show under their jobs, and count as failed when their process is gone."""

    @classmethod
    def open(cls, folder: Path) -> dg.DagsterInstance:
        """Open the instance that a folder's ``dagster.yaml`` configures."""
        mine = {
            "instance_class": {"module": cls.__module__, "class": cls.__name__},
            # The output of a command is on its terminal. To copy it for the UI, Dagster starts four processes for each run.
            "compute_logs": {"module": NoOpComputeLogManager.__module__, "class": NoOpComputeLogManager.__name__},
        }
        return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides=mine))

    @classmethod
    def config_schema(cls) -> Mapping[str, Any]:
        """Return what ``dagster.yaml`` may hold beside Dagster's own keys: nothing."""
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Mapping[str, Any]:
        """Return Dagster's own defaults."""
        return InstanceRef.config_defaults(base_dir)

    def create_run_for_job(self, job_def: dg.JobDefinition, *args: Any, **more: Any) -> DagsterRun:
        """Create a run that names its code location and its process."""
        more["remote_job_origin"] = more.get("remote_job_origin") or _ORIGIN.get_job_origin(job_def.name)
        more["tags"] = {**(more.get("tags") or {}), PROCESS_TAG: json.dumps(asdict(this_process()), sort_keys=True)}
        return super().create_run_for_job(job_def, *args, **more)


def fail_abandoned_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report runs in progress whose process is gone as failed, and return their ids.

    A run of a command names its process; one that the UI started, the socket of its code server.
    """
    records = instance.get_run_records(dg.RunsFilter(statuses=IN_PROGRESS_RUN_STATUSES))
    abandoned = [record.dagster_run for record in records if _is_abandoned(record.dagster_run)]
    for run in abandoned:
        instance.report_run_failed(run, _ABANDONED)
    return [run.run_id for run in abandoned]


def _is_abandoned(run: DagsterRun) -> bool:
    if (process := run.tags.get(PROCESS_TAG)) is not None:
        owner = owner_in(process.encode())
        return owner is not None and owner.is_dead
    socket = json.loads(run.tags.get(GRPC_INFO_TAG, "{}")).get("socket")
    return socket is not None and not Path(socket).exists()
