"""Dagster's SQLite event log, with the asset events of a batch stored in one transaction.

The stock storage opens an engine and commits twice for each event; a month of feature columns is a batch of about a thousand
materialisations. Rows and queries are the stock storage's own, so any Dagster tool reads this log.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import StringSource
from dagster._core.events import (
    EVENT_TYPE_TO_PIPELINE_RUN_STATUS,
    DagsterEvent,
    DagsterEventBatchMetadata,
    DagsterEventType,
)
from dagster._core.storage.dagster_run import DagsterRun, DagsterRunStatus
from dagster._core.storage.event_log.schema import AssetKeyTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.utils import make_new_run_id
from sqlalchemy.dialects.sqlite import insert as upsert

if TYPE_CHECKING:
    import dagster as dg
    from dagster._config import UserConfigSchema
    from dagster._core.events.log import EventLogEntry
    from dagster._serdes import ConfigurableClassData

# Dagster keeps a batch together only when this variable is set; the number bounds one transaction.
BATCH_VARIABLE, BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE", 500


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """Stores many materialisations in one transaction; ``dagster.yaml`` names it (see ``finai_resources.home``)."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Return the schema of its section in ``dagster.yaml``: ``home``, the folder of the instance."""
        return {"home": StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> BatchedSqliteEventLogStorage:
        """Return the storage that ``dagster.yaml`` names, in the folder where Dagster has it by default."""
        return cls(inst_data=inst_data, base_dir=str(Path(config_value["home"]) / "history" / "runs"))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store a batch of materialisations of one run; anything else is stored one by one."""
        if not events or not all(_is_plain_materialisation(event, events[0].run_id) for event in events):
            super().store_event_batch(events)
            return
        inserts = [self.prepare_insert_event(event) for event in events]
        with self.run_connection(events[0].run_id) as connection:
            for insert in inserts:
                connection.execute(insert)
        with self.index_connection() as connection:
            has_columns = self._has_asset_key_index_cols_on_connection(connection)
            for event, insert in zip(events, inserts, strict=True):
                row = connection.execute(insert).inserted_primary_key
                assert row is not None  # noqa: S101 - an insert of one row has a key
                event_id = row[0]
                values = self._get_asset_entry_values(event, event_id, has_columns)
                key = event.get_dagster_event().asset_key
                assert key is not None  # noqa: S101 - _is_plain_materialisation saw it
                statement = upsert(AssetKeyTable).values(asset_key=key.to_string(), **values)
                connection.execute(statement.on_conflict_do_update(index_elements=["asset_key"], set_=values))


def _is_plain_materialisation(event: EventLogEntry, run_id: str) -> bool:
    return (
        event.run_id == run_id
        and event.is_dagster_event
        and event.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION
        and event.dagster_event_type not in EVENT_TYPE_TO_PIPELINE_RUN_STATUS
        and event.get_dagster_event().asset_key is not None
        and not event.get_dagster_event().step_materialization_data.materialization.tags
    )


def log_materializations(
    context: dg.AssetExecutionContext, materializations: Sequence[dg.AssetMaterialization]
) -> None:
    """Log many materialisations as one batch.

    Each is logged as by ``context.log_event``, but the storage gets them together where batching is on.
    """
    step = context.get_step_execution_context()
    last = len(materializations) - 1
    batch = f"{context.run_id}:{step.step.key}:{id(materializations)}"
    for index, materialization in enumerate(materializations):
        DagsterEvent.asset_materialization(
            step, materialization, batch_metadata=DagsterEventBatchMetadata(batch, is_end=index == last)
        )


def log_evaluations(instance: dg.DagsterInstance, job: str, evaluations: Sequence[dg.AssetCheckEvaluation]) -> str:
    """Log results of checks that were evaluated outside a job, as one finished run, and return its id.

    Dagster 1.13 refuses the second result of a check on a partition that is reported without a run.
    """
    run = DagsterRun(job_name=job, run_id=make_new_run_id(), status=DagsterRunStatus.SUCCESS)
    instance.add_run(run)
    log_evaluations_in(instance, run, evaluations)
    return run.run_id


def log_evaluations_in(
    instance: dg.DagsterInstance, run: DagsterRun, evaluations: Sequence[dg.AssetCheckEvaluation]
) -> None:
    """Log results of checks under their own partitions, as events of a run."""
    kind = DagsterEventType.ASSET_CHECK_EVALUATION
    for evaluation in evaluations:
        event = DagsterEvent(event_type_value=kind.value, job_name=run.job_name, event_specific_data=evaluation)
        instance.report_dagster_event(event, run.run_id)
