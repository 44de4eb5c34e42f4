"""What Dagster 1.13 does, where the platform relies on it. A failure here means: read the release notes before anything else."""

from collections.abc import Iterator

import dagster as dg
import pytest

MONTHS = dg.MonthlyPartitionsDefinition("2015-01-01", end_date="2015-04-01")
GROUP, COLUMN = dg.AssetKey(["features", "g"]), dg.AssetKey(["features", "g", "c"])
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def definitions(*, passes: bool, raises: bool = False) -> dg.Definitions:
    @dg.asset(key=GROUP, partitions_def=MONTHS)
    def group(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        context.log_event(dg.AssetMaterialization(COLUMN, partition=context.partition_key, metadata={"mean": 1.0}))
        return dg.MaterializeResult()

    column = dg.AssetSpec(COLUMN, deps=[GROUP], partitions_def=MONTHS, is_virtual=True)

    @dg.asset_check(asset=GROUP, blocking=True, partitions_def=MONTHS)
    def gate() -> dg.AssetCheckResult:
        if raises:
            raise RuntimeError("the check broke")
        return dg.AssetCheckResult(passed=passes)

    @dg.asset(deps=[GROUP, COLUMN], partitions_def=MONTHS)
    def reads_both() -> None: ...

    @dg.asset(deps=[COLUMN], partitions_def=MONTHS)
    def reads_the_column_alone() -> None: ...

    job = dg.define_asset_job("job", dg.AssetSelection.assets(GROUP, "reads_both", "reads_the_column_alone"))
    return dg.Definitions(assets=[group, column, reads_both, reads_the_column_alone], asset_checks=[gate], jobs=[job])


def run(built: dg.Definitions, instance: dg.DagsterInstance, month: str = "2015-02-01") -> dg.ExecuteInProcessResult:
    job = built.resolve_job_def("job")
    return job.execute_in_process(partition_key=month, instance=instance, raise_on_error=False, run_config=QUIET)


def materialised(instance: dg.DagsterInstance, *key: str) -> set[str]:
    return instance.get_materialized_partitions(dg.AssetKey(list(key)))


def test_a_logged_materialisation_fills_the_virtual_columns_partition(instance: dg.DagsterInstance) -> None:
    run(definitions(passes=True), instance)
    assert materialised(instance, *COLUMN.path) == {"2015-02-01"}
    event = instance.get_latest_materialization_event(COLUMN)
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["mean"].value == 1.0


def test_a_failed_blocking_check_stops_who_depends_on_the_group_and_not_who_depends_on_columns_alone(
    instance: dg.DagsterInstance,
) -> None:
    assert not run(definitions(passes=False), instance).success
    assert materialised(instance, *GROUP.path) == {"2015-02-01"}
    assert materialised(instance, "reads_both") == set()
    assert materialised(instance, "reads_the_column_alone") == {"2015-02-01"}


def test_a_check_that_raises_leaves_no_evaluation(instance: dg.DagsterInstance) -> None:
    result = run(definitions(passes=True, raises=True), instance)
    assert not result.success
    assert result.get_asset_check_evaluations() == []


def test_a_partitioned_check_is_evaluated_for_its_partition(instance: dg.DagsterInstance) -> None:
    result = run(definitions(passes=True), instance)
    (evaluation,) = result.get_asset_check_evaluations()
    assert evaluation.partition == "2015-02-01"


def test_a_later_run_of_the_downstream_alone_ignores_the_older_failure(instance: dg.DagsterInstance) -> None:
    built = definitions(passes=False)
    run(built, instance)
    job = built.resolve_job_def("job")
    later = job.execute_in_process(
        partition_key="2015-02-01",
        instance=instance,
        asset_selection=[dg.AssetKey("reads_both")],
        run_config=QUIET,
    )
    assert later.success
