"""The batched event log holds what the stock one holds, in a few of the transactions."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
import yaml
from sqlalchemy import Engine, event

from finai_resources.event_log import (
    BATCH_VARIABLE,
    BatchedSqliteEventLogStorage,
    log_evaluations,
    log_materializations,
)
from finai_resources.home import Home

MONTHS = dg.MonthlyPartitionsDefinition("2015-01-01", end_date="2015-04-01")
COLUMNS = [dg.AssetKey(["features", "g", f"c{index}"]) for index in range(120)]
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dg.asset(key=["features", "g"], partitions_def=MONTHS)
def group(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    materializations = [
        dg.AssetMaterialization(key, partition=context.partition_key, metadata={"mean": float(index)})
        for index, key in enumerate(COLUMNS)
    ]
    log_materializations(context, materializations)
    return dg.MaterializeResult()


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *, stock: bool) -> tuple[dg.DagsterInstance, int]:
    """Return an instance that holds two months of the group, and how many transactions that took."""
    home = Home.at(folder)
    home.prepare()
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    if stock:
        (home.dagster / "dagster.yaml").write_text(yaml.safe_dump({"telemetry": {"enabled": False}}))
    instance = dg.DagsterInstance.from_config(str(home.dagster))
    definitions = dg.Definitions(assets=[group], jobs=[dg.define_asset_job("job", "*", partitions_def=MONTHS)])
    job = definitions.resolve_job_def("job")
    commits: list[object] = []
    count = commits.append
    event.listen(Engine, "commit", count)
    try:
        for month in ("2015-01-01", "2015-02-01"):
            job.execute_in_process(partition_key=month, instance=instance, run_config=QUIET)
    finally:
        event.remove(Engine, "commit", count)
    return instance, len(commits)


@pytest.fixture
def both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[tuple[dg.DagsterInstance, int], tuple[dg.DagsterInstance, int]]:
    monkeypatch.delenv(BATCH_VARIABLE, raising=False)
    stock = run(tmp_path / "stock", monkeypatch, stock=True)
    monkeypatch.setenv(BATCH_VARIABLE, "50")
    return stock, run(tmp_path / "batched", monkeypatch, stock=False)


def told(instance: dg.DagsterInstance, ask: Callable[[dg.DagsterInstance, dg.AssetKey], object]) -> list[object]:
    return [ask(instance, key) for key in COLUMNS]


def test_it_holds_the_same_partitions_and_metadata_as_the_stock_log(
    both: tuple[tuple[dg.DagsterInstance, int], tuple[dg.DagsterInstance, int]],
) -> None:
    (stock, of_stock), (batched, transactions) = both
    assert isinstance(batched.event_log_storage, BatchedSqliteEventLogStorage)

    def newest(instance: dg.DagsterInstance, key: dg.AssetKey) -> object:
        latest = instance.get_latest_materialization_event(key)
        assert latest is not None
        assert latest.asset_materialization is not None
        return latest.asset_materialization.metadata, latest.asset_materialization.partition

    assert told(stock, newest) == told(batched, newest)
    assert told(stock, lambda i, k: i.get_materialized_partitions(k)) == told(
        batched, lambda i, k: i.get_materialized_partitions(k)
    )
    (run_id,) = {record.dagster_run.run_id for record in batched.get_run_records(limit=1)}
    logged = [e for e in batched.all_logs(run_id) if e.dagster_event and e.dagster_event.is_step_materialization]
    assert len(logged) == len(COLUMNS) + 1
    assert transactions < of_stock / 5  # most of those left are of the steps, not of the columns


def test_a_check_evaluated_twice_on_a_month_shows_its_latest_result_for_that_month() -> None:
    """Reported without a run, Dagster refuses the second: pinned here, so that a release that mends it is noticed."""

    def evaluation(partition: str, *, passed: bool) -> dg.AssetCheckEvaluation:
        return dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey("group"), check_name="holds", passed=passed, metadata={}, partition=partition
        )

    key = dg.AssetCheckKey(dg.AssetKey("group"), "holds")
    with dg.DagsterInstance.ephemeral() as instance:
        log_evaluations(
            instance, "recheck", [evaluation("2015-01-01", passed=True), evaluation("2015-02-01", passed=True)]
        )
        log_evaluations(instance, "recheck", [evaluation("2015-01-01", passed=False)])
        history = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
        latest = {}
        for record in history:  # newest first
            latest.setdefault(record.partition, record.status.value)
        assert latest == {"2015-01-01": "FAILED", "2015-02-01": "SUCCEEDED"}
        instance.report_runless_asset_event(evaluation("2015-01-01", passed=True))
        with pytest.raises(Exception, match="UNIQUE"):
            instance.report_runless_asset_event(evaluation("2015-01-01", passed=True))
