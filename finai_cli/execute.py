"""Runs stale units of the main job on the home's Dagster instance, and turns a failure into one error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from finai_assets.definitions import build_definitions
from finai_assets.platform import Platform
from finai_checks.assets import as_evaluation, check_key
from finai_checks.framework.check import CheckContext, Declared, sharing_work
from finai_checks.framework.ledger import Ledger
from finai_checks.framework.overrides import Overrides
from finai_checks.framework.run import run_checks
from finai_checks.gates import CheckGates
from finai_checks.ways_out import ways_out
from finai_cli.plan import Unit
from finai_resources.command_instance import CommandInstance, fail_abandoned_runs
from finai_resources.errors import FinaiError, GateError, PartError
from finai_resources.event_log import BATCH_SIZE, BATCH_VARIABLE, log_evaluations
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import address
from finai_resources.storage_errors import told_by
from finai_resources.whole_file import changing_together

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Prepared:
    """The gates and the definitions of one platform in one home, which open neither."""

    def __init__(self, platform: Platform, home: Home) -> None:
        self.gates = CheckGates(platform)
        self.definitions = build_definitions(settings=platform.settings, home=home, resources={"gates": self.gates})


class Runner:
    """Jobs of one platform in one home."""

    def __init__(
        self,
        platform: Platform,
        home: Home,
        lake: Lake,
        instance: dg.DagsterInstance,
        prepared: Prepared | None = None,
    ) -> None:
        self.platform, self.lake, self.instance = platform, lake, instance
        prepared = prepared or Prepared(platform, home)
        self.definitions = prepared.definitions
        # one for the plan and for the gates, which read what is new alone
        self.ledger: Ledger = prepared.gates.ledger(lake)

    def run(self, unit: Unit, assets: list[str], checks: list[Declared]) -> None:
        """Materialise some assets of a unit in one Dagster run, with their checks among the given ones.

        Raises
        ------
        FinaiError
            The run failed; the error is that of the asset, or names the blocking checks that failed.
        """
        job = self.definitions.resolve_job_def(unit.job)
        keys = {dg.AssetKey(asset.split("/")) for asset in assets}
        # An asset selection alone would bring back every check of the assets, those that the job leaves to the audit too.
        # A check may be declared on fewer months than its asset has: planned and not evaluated, it would show as skipped.
        wanted = {
            check_key(check)
            for check in checks
            if check.asset in assets and (not check.months or unit.month in check.months)
        }
        checked = wanted & set(job.asset_layer.asset_graph.asset_check_keys)
        result = job.get_subset(asset_selection=keys, asset_check_selection=checked).execute_in_process(
            instance=self.instance,
            partition_key=unit.month.partition_key if unit.month else None,
            raise_on_error=False,
            run_config={**QUIET, **self._op_config(unit)},
        )
        self.raise_for_checks(unit, assets, checks)
        if not result.success:
            raise failure_of(result, unit, assets)

    def _op_config(self, unit: Unit) -> dict[str, Any]:
        """Return the configuration of the operation that scores, where a bundle is named."""
        if not unit.bundle:
            return {}
        operation = self.platform.graph[unit.assets[0]].op.rpartition(":")[2]
        return {"ops": {operation: {"config": {"bundle": unit.bundle, "replace": unit.replace}}}}

    def judge(self, unit: Unit, checks: list[Declared]) -> None:
        """Evaluate checks on stored assets; records, evidence and Dagster's event log get the results."""
        context = CheckContext(LakeSession(self.lake), self.platform, unit.month)
        overrides = Overrides.read(self.lake, self.platform.secrets)
        evaluations = []
        for members in sharing_work(checks):
            outcomes = run_checks(members, context, overrides)
            evaluations += [as_evaluation(check, unit.month, outcomes[check.asset]) for check in members]
        log_evaluations(self.instance, "recheck", evaluations)

    def raise_for_checks(self, unit: Unit, assets: list[str], checks: list[Declared]) -> None:
        """Raise where a blocking check of every run has failed on some assets of a unit as they are stored now.

        Raises
        ------
        GateError
            It names each of them.
        """
        failed, names = [], []
        self.ledger.refresh()
        for check in checks:
            if not check.blocking or check.kind.audit or check.asset not in assets:
                continue
            found = self.ledger.standing(check, unit.partition)
            if found.state in {"failed", "expired"}:
                failed.append(f"{check.id} {check.name} on {address(check.asset, unit.partition)}: {found.reason}")
                names.append(check.name)
        if failed:
            raise GateError(
                f"{len(failed)} blocking checks failed:\n  " + "\n  ".join(failed),
                where=unit.job,
                fix=ways_out(names, "then run again: what lies downstream was not computed"),
            )


def failure_of(result: dg.ExecuteInProcessResult, unit: Unit, assets: list[str]) -> FinaiError:
    """Return the error that a failed run of some assets ended with.

    Raises
    ------
    KeyboardInterrupt
        The run was interrupted.
    """
    where = f"{address(unit.job, unit.partition)}: {unit.made}"
    for event in result.all_events:
        if event.is_step_failure:
            chain = list(_chain(event.step_failure_data.error))
            if any(error.cls_name == "DagsterExecutionInterruptedError" for error in chain):
                raise KeyboardInterrupt
            if chain:
                return _error_of(chain, where)
    return FinaiError(
        f"the run did not materialise {', '.join(assets)}", where=where, fix="look at the run in `make ui`"
    )


def _chain(error: SerializableErrorInfo | None) -> Iterator[SerializableErrorInfo]:
    """Yield the errors of a failed step, each followed by its cause."""
    while error is not None:
        yield error
        error = error.cause


def _error_of(chain: list[SerializableErrorInfo], where: str) -> FinaiError:
    """Return the error to show: ours, which says more than its cause; else what the system refused, else the first cause."""
    ours = {kind.__name__ for kind in _all_errors(FinaiError)}
    for error in chain:
        if error.cls_name in ours:
            kind = PartError if error.cls_name == PartError.__name__ else FinaiError
            return kind(error.message.partition(": ")[2].strip(), where=where)
    for error in chain:
        if (refused := told_by(error.message, where)) is not None:
            return refused
    last = chain[-1]
    return FinaiError(f"{last.message.strip()}\n{''.join(last.stack[-3:])}", where=where)


def _all_errors(kind: type[FinaiError]) -> Iterator[type[FinaiError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _all_errors(child)


@contextmanager
def dagster_instance(home: Home) -> Iterator[dg.DagsterInstance]:
    """Open the home's Dagster instance, with asset events stored in batches."""
    home.prepare()
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    os.environ.setdefault(BATCH_VARIABLE, str(BATCH_SIZE))
    with ExitStack() as stack:
        with changing_together(home.dagster / "dagster.yaml"):  # of two that make the databases at once, one would fail
            instance = stack.enter_context(CommandInstance.open(home.dagster))
            made = instance.run_storage, instance.event_log_storage, instance.schedule_storage
        assert all(made)  # noqa: S101 - naming a storage makes its database
        fail_abandoned_runs(instance)
        yield instance
