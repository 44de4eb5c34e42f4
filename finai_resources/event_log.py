"""Dagster's SQLite event log, with the events of a batch stored in one transaction.

The stock storage opens an engine and commits two to four times for each event; a month of feature columns is a batch of about a
thousand materialisations. Rows and queries are the stock storage's own, so any Dagster tool reads this log.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import StringSource
from dagster._core.events import (
    AssetMaterializationPlannedData,
    DagsterEvent,
    DagsterEventBatchMetadata,
    DagsterEventType,
    StepMaterializationData,
)
from dagster._core.storage.dagster_run import DagsterRun, DagsterRunStatus
from dagster._core.storage.event_log.schema import AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.utils import make_new_run_id
from dagster._time import datetime_from_timestamp
from sqlalchemy import Connection, Engine, NullPool, StaticPool, create_engine
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.event import listen

if TYPE_CHECKING:
    import dagster as dg
    from dagster._config import UserConfigSchema
    from dagster._core.events.log import EventLogEntry
    from dagster._serdes import ConfigurableClassData

# Dagster keeps a batch together only when this variable is set; the number bounds one transaction.
BATCH_VARIABLE, BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE", 500
_OPEN = 3  # databases that stay open: the index, the run that is written, and one more


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """Stores a batch in one transaction over connections that stay open; ``dagster.yaml`` names it (``finai_resources.home``).

    A database is in SQLite's write-ahead mode, as in the stock storage, and is synchronised when the log is folded into it and
    not at each commit: a program that is killed loses nothing, a power cut may lose the last events and never harms the file.
    The tables and their manifests are the truth (decision 2).
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._one_at_a_time = threading.RLock()
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._begun: dict[str, Connection] = {}
        self._tables: set[str] = set()
        self._indexed: bool | None = None
        super().__init__(base_dir, inst_data)

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

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        """Open a transaction on a database; within one that this thread has open already, that one."""
        with self._one_at_a_time:
            if shard in self._begun:
                yield self._begun[shard]
                return
            with self._engine(shard).begin() as connection:
                self._begun[shard] = connection
                try:
                    yield connection
                finally:
                    del self._begun[shard]

    def _engine(self, shard: str) -> Engine:
        """Return the engine of a database, whose one connection stays open while few others are asked for."""
        if shard not in self._engines:
            for old in [name for name in self._engines if name not in self._begun][: 1 - _OPEN]:
                self._engines.pop(old).dispose()
            address, options = self.conn_string_for_shard(shard), {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
            if shard not in self._initialized_dbs:
                self._initdb(create_engine(address, poolclass=NullPool, connect_args=options))
                self._initialized_dbs.add(shard)
            engine = create_engine(address, poolclass=StaticPool, connect_args={**options, "check_same_thread": False})
            listen(engine, "connect", _synchronise_when_folded)
            self._engines[shard] = engine
        self._engines.move_to_end(shard)
        return self._engines[shard]

    def has_table(self, table_name: str) -> bool:
        """Return whether the index has a table; one that is there stays."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def _store_asset_event(self, conn: Connection, event: EventLogEntry, event_id: int) -> None:
        """Note an asset's latest event by one statement; the stock storage inserts, fails, and updates."""
        key = event.dagster_event.asset_key if event.dagster_event else None
        values = self._get_asset_entry_values(event, event_id, self._is_indexed(conn)) if key else None
        if key and values:
            statement = upsert(AssetKeyTable).values(asset_key=key.to_string(), **values)
            conn.execute(statement.on_conflict_do_update(index_elements=["asset_key"], set_=values))

    def _is_indexed(self, conn: Connection) -> bool:
        if self._indexed is None:
            self._indexed = bool(self._has_asset_key_index_cols_on_connection(conn))
        return self._indexed

    def dispose(self) -> None:
        """Close what stayed open."""
        with self._one_at_a_time:
            while self._engines:
                self._engines.popitem()[1].dispose()
        super().dispose()

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store a batch of events in one transaction on each database, where all are of one run."""
        with ExitStack() as stack:
            if len({event.run_id for event in events}) == 1:
                run = stack.enter_context(self.run_connection(events[0].run_id))
                index = stack.enter_context(self.index_connection())
                if all(event.dagster_event and event.dagster_event.is_step_materialization for event in events):
                    self._store_materializations(events, run, index)
                    return
            super().store_event_batch(events)

    def _store_materializations(self, events: Sequence[EventLogEntry], run: Connection, index: Connection) -> None:
        """Store a batch of one kind by one statement for each table, with each event made into text once."""
        rows = [self._event_to_row(event) for event in events]
        run.execute(SqlEventLogStorageTable.insert(), rows)
        numbered = SqlEventLogStorageTable.insert().returning(
            SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
        )
        ids = list(index.scalars(numbered, rows))
        self._store_asset_event_tags(index, events, ids)
        latest = [
            {
                "asset_key": row["asset_key"],
                "last_materialization": _record_text(row["event"], number),
                "last_run_id": row["run_id"],
                "last_materialization_timestamp": datetime_from_timestamp(event.timestamp),
            }
            for event, row, number in zip(events, rows, ids, strict=True)
        ]
        if not self._is_indexed(index):
            for entry in latest:
                del entry["last_materialization_timestamp"]
        statement = upsert(AssetKeyTable)
        changed = {name: statement.excluded[name] for name in latest[0] if name != "asset_key"}
        index.execute(statement.on_conflict_do_update(index_elements=["asset_key"], set_=changed), latest)


def _record_text(event: str, number: int) -> str:
    """Return the text of an event's record, as ``serialize_value(EventLogRecord(number, event))``, from the event's own."""
    return f'{{"__class__": "EventLogRecord", "event_log_entry": {event}, "storage_id": {number}}}'


def _synchronise_when_folded(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")


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


def log_planned(context: dg.AssetExecutionContext, keys: Sequence[dg.AssetKey], partition: str) -> None:
    """Log that a run was to materialise some assets, so that they show as failed where it ends without having done so.

    Dagster plans what a run executes; of virtual assets it plans none, and they would keep the colour of an older run.
    """
    step, last = context.get_step_execution_context().step, len(keys) - 1
    batch = f"{context.run_id}:{step.key}:{id(keys)}"
    for index, key in enumerate(keys):
        event = DagsterEvent.build_asset_materialization_planned_event(
            context.job_name, step.key, AssetMaterializationPlannedData(key, partition=partition)
        )
        context.instance.report_dagster_event(
            event, context.run_id, batch_metadata=DagsterEventBatchMetadata(batch, is_end=index == last)
        )


def finished_run(instance: dg.DagsterInstance, job: str) -> DagsterRun:
    """Return a run, finished already, for events that no job of Dagster's makes.

    Dagster 1.13 refuses the second result of a check on a partition that is reported without a run.
    """
    run = DagsterRun(job_name=job, run_id=make_new_run_id(), status=DagsterRunStatus.SUCCESS)
    instance.add_run(run)
    return run


def log_evaluations(instance: dg.DagsterInstance, job: str, evaluations: Sequence[dg.AssetCheckEvaluation]) -> str:
    """Log results of checks that were evaluated outside a job, as one finished run, and return its id."""
    run = finished_run(instance, job)
    log_evaluations_in(instance, run, evaluations)
    return run.run_id


def report_materializations(
    instance: dg.DagsterInstance, run: DagsterRun, materializations: Sequence[dg.AssetMaterialization]
) -> None:
    """Log what is stored already, as events of a run that made none of it, in one batch."""
    kind, last = DagsterEventType.ASSET_MATERIALIZATION, len(materializations) - 1
    for index, materialization in enumerate(materializations):
        event = DagsterEvent(
            event_type_value=kind.value,
            job_name=run.job_name,
            event_specific_data=StepMaterializationData(materialization),
        )
        batch = DagsterEventBatchMetadata(f"{run.run_id}:{id(materializations)}", is_end=index == last)
        instance.report_dagster_event(event, run.run_id, batch_metadata=batch)


def log_evaluations_in(
    instance: dg.DagsterInstance, run: DagsterRun, evaluations: Sequence[dg.AssetCheckEvaluation]
) -> None:
    """Log results of checks under their own partitions, as events of a run."""
    kind = DagsterEventType.ASSET_CHECK_EVALUATION
    for evaluation in evaluations:
        event = DagsterEvent(event_type_value=kind.value, job_name=run.job_name, event_specific_data=evaluation)
        instance.report_dagster_event(event, run.run_id)
