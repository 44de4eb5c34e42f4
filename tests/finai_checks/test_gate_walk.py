"""The gate walk: every asset is refused for every blocking check of all that lies upstream of it, whichever way it is run.

The lake holds a file for each partition that anything reads, and a passed record of each check; the walk fails one check after
the other. An asset that the gates let through would fail on such a lake for another reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from vouched import tell, vouch

from finai_assets.asset_graph import (
    BUNDLE,
    CHAMPION,
    CHOICE,
    EVALUATION,
    JOBS,
    MATRIX,
    PUBLISHED,
    RECOMMENDATIONS,
    SNAPSHOTS,
    SPLITS,
    TEACHER,
    Partitions,
    group_asset,
    label_asset,
    state_asset,
    student_asset,
)
from finai_assets.definitions import build_definitions
from finai_assets.platform import Platform
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckOutcome, Declared
from finai_checks.framework.overrides import Grant, add_override, revoke_override
from finai_checks.framework.small_lake import STUDENT, small_settings
from finai_checks.gates import CheckGates
from finai_cli.execute import Runner, dagster_instance
from finai_cli.plan import Unit
from finai_resources.errors import FinaiError, GateError
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.months import Month
from finai_resources.secrets import SecretStore

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
FAILED = CheckOutcome(False, "planted by the walk", 10**6)


class Walk:
    """A lake on which every check has passed, and what each asset asks."""

    def __init__(self, root: Path) -> None:
        self.home = Home.at(root)
        self.home.prepare()
        self.platform = Platform.of(small_settings(), SecretStore(root))
        self.graph, self.lake = self.platform.graph, Lake.on_disk(self.home.lake_root)
        self.month: Month = self.platform.splits.test[-1]
        self.consumers = [path for path in self.graph.paths if self.graph[path].gated]
        wanted = {partition for path in self.consumers for partition in self.asked(path)}
        raw = {month.key for month in self.platform.settings.dataset.raw_months}
        for asset, month in sorted(wanted, key=str):
            if month is None or month in raw:
                with self.lake.write(asset, month) as out:
                    out.put("x.json", f"{asset} {month}".encode())
        self.told = vouch(self.lake, self.platform)
        self.gates = CheckGates(self.platform)

    def month_of(self, path: str) -> Month | None:
        return None if self.graph[path].partitions is Partitions.NONE else self.month

    def asked(self, path: str) -> tuple[tuple[str, str | None], ...]:
        return self.graph.asked(path, month=self.month_of(path))

    def is_closed(self, path: str) -> bool:
        try:
            self.gates.demand(self.lake, self.asked(path))
        except GateError:
            return True
        return False

    def upstream_check(self, path: str, name: str = "") -> tuple[Declared, str | None]:
        """Return a blocking check upstream of an asset, as far up as any, or the one of a name."""
        asked = set(self.asked(path))
        return next(
            (check, partition)
            for check, partition in self.told
            if check.blocking and (check.asset, partition) in asked and name in {"", check.name}
        )


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    return Walk(tmp_path_factory.mktemp("walk"))


def test_with_every_check_passed_every_gate_is_open(walk: Walk) -> None:
    assert [path for path in walk.consumers if walk.is_closed(path)] == []
    assert len(walk.consumers) == len(walk.graph.paths) - 1
    assert walk.graph.asked(CHAMPION) == ()  # it judges what failed


@pytest.mark.slow
def test_every_asset_is_refused_for_every_blocking_check_of_all_that_lies_upstream(walk: Walk) -> None:
    """Of a check on an asset with months, one of the months that the consumer reads stands for all."""
    questions: dict[tuple[tuple[str, str | None], ...], list[str]] = {}
    for path in walk.consumers:  # assets that ask the same, such as the students, are one question
        questions.setdefault(tuple(sorted(walk.asked(path), key=str)), []).append(path)
    chosen: dict[tuple[str, str], list[tuple[Declared, str | None]]] = {}
    for check, partition in walk.told:
        if check.blocking:
            chosen.setdefault((check.asset, check.name), []).append((check, partition))
    open_gates, pairs = [], 0
    for at in chosen.values():
        unasked = {asked: paths for asked, paths in questions.items() if any((at[0][0].asset) == a for a, _ in asked)}
        for check, partition in at:
            here = [asked for asked in unasked if (check.asset, partition) in asked]
            if not here:
                continue
            tell(walk.lake, walk.platform, [(check, partition)], FAILED)
            for asked in here:
                paths = unasked.pop(asked)
                pairs += len(paths)
                if not walk.is_closed(paths[0]):
                    open_gates += [(path, check.name, check.asset) for path in paths]
            tell(walk.lake, walk.platform, [(check, partition)])
        assert unasked == {}, f"no month of {at[0][0].name} on {at[0][0].asset} is asked"
    print(  # noqa: T201 - the counts are what the walk shows
        f"\ngate walk: {len(walk.consumers)} assets, {len(chosen)} blocking checks on {len({a for a, _ in chosen})} assets, "
        f"{pairs:,} pairs, {len(open_gates)} open"
    )
    assert open_gates == []
    assert pairs > 1000


KINDS = (
    "raw/products", SNAPSHOTS, state_asset("demographics"), group_asset("demographics"), label_asset("churn_signal"), MATRIX,
    TEACHER, "teacher/predictions", EVALUATION, "teacher/explanations", "students/columns", "students/transfer_set",
    student_asset(STUDENT), "students/fidelity", CHOICE, BUNDLE, PUBLISHED, "recommendations/evaluation", RECOMMENDATIONS,
)  # fmt: skip


@pytest.fixture(scope="module")
def definitions(walk: Walk) -> dg.Definitions:
    return build_definitions(settings=walk.platform.settings, home=walk.home)


@pytest.fixture(scope="module")
def instance(walk: Walk) -> Iterator[dg.DagsterInstance]:
    with dagster_instance(walk.home) as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.parametrize("path", KINDS)
def test_each_kind_of_asset_is_refused_by_dagsters_api_by_the_jobs_of_the_ui_and_by_the_command(
    walk: Walk, definitions: dg.Definitions, instance: dg.DagsterInstance, path: str
) -> None:
    if not walk.asked(path) or not any((check.asset, at) in walk.asked(path) for check, at in walk.told):
        assert walk.graph[path].group in {"catalogue", "raw"}  # nothing upstream of them has a check that blocks
        return
    check, partition = walk.upstream_check(path)
    month, key = walk.month_of(path), dg.AssetKey(path.split("/"))
    job = next(job for job in JOBS if walk.graph[path].group in job.groups)
    together = [other for other in walk.graph.in_groups([walk.graph[path].group]) if walk.graph[path].together]
    keys = [dg.AssetKey(other.split("/")) for other in together] or [key]
    tell(walk.lake, walk.platform, [(check, partition)], FAILED)
    try:
        of_the_ui = definitions.resolve_implicit_global_asset_job_def()  # `__ASSET_JOB`, which "Materialize" runs
        for way in (definitions.resolve_job_def(job.name), of_the_ui):
            result = way.execute_in_process(
                instance=instance,
                asset_selection=keys,
                partition_key=month.partition_key if month else None,
                raise_on_error=False,
                run_config=QUIET,
            )
            told = "".join(e.step_failure_data.error.to_string() for e in result.all_events if e.is_step_failure)
            assert "planted by the walk" in told
            assert f"{check.id} {check.name} on {check.asset}" in told
        runner = Runner(walk.platform, walk.home, walk.lake, instance)
        with pytest.raises(FinaiError, match="planted by the walk"):
            runner.run(Unit(job.name, (path,), month), together or [path], declared_checks(walk.platform))
    finally:
        tell(walk.lake, walk.platform, [(check, partition)])
    assert not walk.is_closed(path)


def test_a_failure_of_the_replay_that_is_recorded_after_training_stops_the_bundle(walk: Walk) -> None:
    check, partition = walk.upstream_check(BUNDLE, "point_in_time_replay")
    tell(walk.lake, walk.platform, [(check, partition)], FAILED)
    try:
        with pytest.raises(GateError, match=f"C09 point_in_time_replay on {check.asset}@{partition}: planted"):
            walk.gates.demand(walk.lake, walk.asked(BUNDLE))
    finally:
        tell(walk.lake, walk.platform, [(check, partition)])
    assert not walk.is_closed(BUNDLE)


def test_features_and_their_states_ask_whether_the_raw_month_passed(walk: Walk) -> None:
    for path in (state_asset("demographics"), group_asset("demographics"), label_asset("churn_signal"), MATRIX):
        check, partition = walk.upstream_check(path, "schema_contract")
        tell(walk.lake, walk.platform, [(check, partition)], FAILED)
        assert walk.is_closed(path), path
        tell(walk.lake, walk.platform, [(check, partition)])


@pytest.mark.parametrize("keyed", [True, False], ids=["with the key", "without it"])
def test_an_override_that_was_revoked_or_has_expired_stops_the_consumer_at_the_next_run(
    walk: Walk, monkeypatch: pytest.MonkeyPatch, *, keyed: bool
) -> None:
    monkeypatch.setenv("FINAI_OVERRIDE_KEY", "ab" * 32)
    secrets, day = SecretStore(walk.home.root), datetime.now(UTC).date()
    check, partition = walk.upstream_check(BUNDLE, "gap_split")
    assert check.asset == SPLITS
    grant = Grant(check.name, check.asset, (), "Kim, model risk", f"a holiday lies in the gap (key: {keyed})", day)
    row = add_override(walk.lake, secrets, grant)
    permitted = replace(FAILED, passed=True, observed={"override": row.id, "overridden_until": str(day)})
    tell(walk.lake, walk.platform, [(check, partition)], permitted)
    if not keyed:  # the machine of the main job needs no key of those who may override
        monkeypatch.delenv("FINAI_OVERRIDE_KEY")
    assert not walk.is_closed(BUNDLE)
    tomorrow = CheckGates(walk.platform)
    tomorrow.ledger(walk.lake)._today = day + timedelta(days=1)
    with pytest.raises(GateError, match=f"its override {row.id} .*expired"):
        tomorrow.demand(walk.lake, walk.asked(BUNDLE))
    monkeypatch.setenv("FINAI_OVERRIDE_KEY", "ab" * 32)
    revoke_override(walk.lake, secrets, row.id, approver="Lee", reason="there was no holiday")
    if not keyed:
        monkeypatch.delenv("FINAI_OVERRIDE_KEY")
    with pytest.raises(GateError, match=f"its override {row.id} is revoked"):
        walk.gates.demand(walk.lake, walk.asked(BUNDLE))
    tell(walk.lake, walk.platform, [(check, partition)])
    assert not walk.is_closed(BUNDLE)
