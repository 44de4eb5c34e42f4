"""What Dagster 1.13 does with gates in ranged runs and in later runs of a consumer alone: why gates are asked again."""

from collections.abc import Callable, Iterator

import dagster as dg
import pytest

MONTHS = dg.MonthlyPartitionsDefinition("2015-01-01", end_date="2015-05-01")
GROUP, OTHER = dg.AssetKey(["features", "g"]), dg.AssetKey(["features", "h"])
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
RANGE = {"dagster/asset_partition_range_start": "2015-01-01", "dagster/asset_partition_range_end": "2015-03-01"}
Gate = Callable[[dg.AssetCheckExecutionContext], Iterator[dg.AssetCheckResult]]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def definitions(gate: Gate, ran: list[str], *, can_subset: bool = True) -> dg.Definitions:
    """Return two groups, a blocking check on each that one function evaluates, and a consumer of each."""

    @dg.multi_asset(specs=[dg.AssetSpec(GROUP), dg.AssetSpec(OTHER)], partitions_def=MONTHS, can_subset=True)
    def groups(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        for key in sorted(context.selected_asset_keys):
            yield dg.MaterializeResult(asset_key=key, metadata={"months": len(context.partition_keys)})

    @dg.multi_asset_check(
        specs=[dg.AssetCheckSpec("gate", asset=key, blocking=True, partitions_def=MONTHS) for key in (GROUP, OTHER)],
        can_subset=can_subset,
    )
    def gates(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        yield from gate(context)

    @dg.asset(deps=[GROUP], partitions_def=MONTHS)
    def reads_g() -> None:
        ran.append("g")

    @dg.asset(deps=[OTHER], partitions_def=MONTHS)
    def reads_h() -> None:
        ran.append("h")

    jobs = [
        dg.define_asset_job("all"),
        dg.define_asset_job("consumer", dg.AssetSelection.assets("reads_g")),
    ]
    return dg.Definitions(assets=[groups, reads_g, reads_h], asset_checks=[gates], jobs=jobs)


def verdicts(g: bool | None, h: bool | None) -> Gate:
    def gate(_context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        for key, passed in ((GROUP, g), (OTHER, h)):
            if passed is not None:
                yield dg.AssetCheckResult(passed=passed, asset_key=key, check_name="gate")

    return gate


def run(
    built: dg.Definitions, instance: dg.DagsterInstance, job: str = "all", *, ranged: bool = False
) -> dg.ExecuteInProcessResult:
    where = {"tags": RANGE} if ranged else {"partition_key": "2015-01-01"}
    return built.resolve_job_def(job).execute_in_process(
        instance=instance, raise_on_error=False, run_config=QUIET, **where
    )


def stored(instance: dg.DagsterInstance) -> list[str | None]:
    history = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(GROUP, "gate"), limit=10)
    return [record.partition for record in history if record.status.value != "PLANNED"]


def test_a_check_of_a_ranged_run_is_stored_once_and_without_a_partition(instance: dg.DagsterInstance) -> None:
    ran: list[str] = []
    assert run(definitions(verdicts(g=True, h=True), ran), instance, ranged=True).success
    assert stored(instance) == [None]
    assert sorted(ran) == ["g", "h"]


def test_every_partition_of_a_ranged_run_bears_the_same_metadata(instance: dg.DagsterInstance) -> None:
    run(definitions(verdicts(g=True, h=True), []), instance, ranged=True)
    records = instance.fetch_materializations(GROUP, limit=10).records
    assert {r.partition_key for r in records} == {"2015-01-01", "2015-02-01", "2015-03-01"}
    assert {r.asset_materialization.metadata["months"].value for r in records if r.asset_materialization} == {3}


def test_one_failed_check_of_several_blocks_all_that_they_cover(instance: dg.DagsterInstance) -> None:
    ran: list[str] = []
    assert not run(definitions(verdicts(g=False, h=True), ran), instance).success
    assert ran == []


def test_a_blocking_check_that_says_nothing_of_an_asset_fails_the_run_unless_it_can_be_subset(
    instance: dg.DagsterInstance,
) -> None:
    ran: list[str] = []
    assert not run(definitions(verdicts(g=None, h=True), ran, can_subset=False), instance).success
    assert ran == []
    run(definitions(verdicts(g=None, h=True), ran), instance)
    assert "g" in ran  # open where nothing was said: so the platform gives every check that it was asked for a result


def test_a_later_run_of_the_consumer_alone_ignores_an_older_failure(instance: dg.DagsterInstance) -> None:
    ran: list[str] = []
    built = definitions(verdicts(g=False, h=True), ran)
    assert not run(built, instance).success
    assert run(built, instance, "consumer").success
    assert ran == ["g"]  # so whoever trains or publishes reads the records of the checks itself


def test_events_that_a_run_reports_itself_stand_under_their_partitions(instance: dg.DagsterInstance) -> None:
    from finai_resources.event_log import log_evaluations_in

    def gate(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        keys = context.op_execution_context.partition_keys
        found = [
            dg.AssetCheckEvaluation(
                asset_key=GROUP, check_name="gate", passed=key != "2015-02-01", metadata={}, partition=key
            )
            for key in keys
        ]
        log_evaluations_in(context.instance, context.run, found)
        yield from verdicts(g=False, h=True)(context)

    ran: list[str] = []
    run(definitions(gate, ran), instance, ranged=True)
    info = instance.event_log_storage.get_asset_check_partition_info([dg.AssetCheckKey(GROUP, "gate")])
    statuses = {entry.partition_key: entry.latest_execution_status.value for entry in info}
    assert statuses == {"2015-01-01": "SUCCEEDED", "2015-02-01": "FAILED", "2015-03-01": "SUCCEEDED", None: "FAILED"}
    assert ran == []
