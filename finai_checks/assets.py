"""Dagster assets of the checks: every declared check as a check on its asset, checks that share their work as one operation."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import dagster as dg

from finai_assets.automation.specs import partitions_of
from finai_assets.platform import Platform
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckContext, CheckOutcome, Declared, sharing_work
from finai_checks.framework.overrides import Overrides
from finai_checks.framework.regulations import regulation_map
from finai_checks.framework.run import run_checks
from finai_resources.event_log import log_evaluations_in
from finai_resources.json_text import plain
from finai_resources.lake_resource import LakeResource
from finai_resources.month_runs import months_of
from finai_resources.months import Month

TABLE_ROWS = 100


class Evaluated(NamedTuple):
    """The outcome of a check in a month; None for an asset without months."""

    check: Declared
    month: Month | None
    outcome: CheckOutcome


def build_checks(platform: Platform) -> list[dg.AssetChecksDefinition]:
    """Return the checks as Dagster definitions, one for each call that evaluates them."""
    return [_as_dagster(members, platform) for members in sharing_work(declared_checks(platform))]


def audit_keys(platform: Platform) -> list[dg.AssetCheckKey]:
    """Return the checks that are too expensive for every run."""
    return [check_key(check) for check in declared_checks(platform) if check.kind.audit]


def check_key(check: Declared) -> dg.AssetCheckKey:
    """Return the Dagster key of a check."""
    return dg.AssetCheckKey(dg.AssetKey(check.asset.split("/")), check_name(check))


def check_name(check: Declared) -> str:
    """Return the name of a check in Dagster."""
    return f"{check.id}_{check.name}"


def _as_dagster(members: list[Declared], platform: Platform) -> dg.AssetChecksDefinition:
    """Return one definition for checks that share their work, or for one that shares none; a run may select any of them."""
    by_key = {check_key(member): member for member in members}

    @dg.multi_asset_check(
        name=_operation(members[0]),
        specs=[
            dg.AssetCheckSpec(
                check_name(member),
                asset=member.asset.split("/"),
                description=f"{member.id}: {member.kind.asserts}.",
                # computed here so that it is kept with the code versions of assets, and not in each process that asks a gate
                metadata={"code_version": member.code},
                blocking=member.blocking,
                partitions_def=_partitions(member, platform),
            )
            for member in members
        ],
        can_subset=True,
    )
    def evaluate(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> Iterator[dg.AssetCheckResult]:
        selected = [by_key[key] for key in sorted(context.selected_asset_check_keys, key=str)]
        evaluated: list[Evaluated] = []
        for month in _months(context, selected[0]):
            # A check may be declared on later months than its asset has; Dagster knows one partitioning of both.
            due = [member for member in selected if month is None or month in (member.months or ())]
            if due:
                session = lake.session()
                overrides = Overrides.read(session.lake, platform.secrets)
                outcomes = run_checks(due, CheckContext(session, platform, month), overrides)
                evaluated += [Evaluated(member, month, outcomes[member.asset]) for member in due]
        yield from _results(context, evaluated)

    return evaluate


def _operation(check: Declared) -> str:
    """Return the name of the Dagster operation: that of the room of assets where a check shares its work."""
    if check.together:
        return f"{check_name(check)}_{check.asset.partition('/')[0]}"
    return f"{check.asset.replace('/', '__')}_{check_name(check)}"


def _months(context: dg.AssetCheckExecutionContext, check: Declared) -> list[Month | None]:
    """Return the months of the run, ascending; for an asset without months, one that is None."""
    return [*months_of(context.op_execution_context)] if check.months else [None]


def _results(context: dg.AssetCheckExecutionContext, evaluated: Sequence[Evaluated]) -> list[dg.AssetCheckResult]:
    """Return one result for each check of a run.

    Of a range of months Dagster 1.13 stores one result, without a partition: it fails where any month failed, and each month's
    own result is logged before it under its partition.
    """
    by_check: dict[dg.AssetCheckKey, list[Evaluated]] = {}
    for entry in evaluated:
        by_check.setdefault(check_key(entry.check), []).append(entry)
    if len({entry.month for entry in evaluated}) > 1:
        log_evaluations_in(context.instance, context.run, [as_evaluation(*entry) for entry in evaluated])
    return [_result(entries[0].check, _over_months(entries)) for entries in by_check.values()]


def _over_months(entries: Sequence[Evaluated]) -> CheckOutcome:
    """Return the outcome of a range of months: the only month's, or how many months failed and why."""
    if len(entries) == 1:
        return entries[0].outcome
    failed = [entry for entry in entries if not entry.outcome.passed]
    reason = "; ".join(f"{entry.month}: {entry.outcome.reason}" for entry in failed)
    table = [
        {"month": str(month), "passed": outcome.passed, "n": outcome.n, "reason": outcome.reason}
        for _, month, outcome in entries
    ]
    observed = {"months": len(entries), "failed_months": len(failed)}
    return CheckOutcome(not failed, reason, sum(entry.outcome.n for entry in entries), observed, table)


def _partitions(check: Declared, platform: Platform) -> dg.PartitionsDefinition | None:
    return None if check.months is None else partitions_of(platform, check.asset)


def _result(check: Declared, outcome: CheckOutcome) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=outcome.passed,
        asset_key=check.asset.split("/"),
        check_name=check_name(check),
        metadata=_metadata(check, outcome),
        severity=_severity(check),
    )


def as_evaluation(check: Declared, month: Month | None, outcome: CheckOutcome) -> dg.AssetCheckEvaluation:
    """Return an outcome as a Dagster event that belongs to no run, under its month."""
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(check.asset.split("/")),
        check_name=check_name(check),
        passed=outcome.passed,
        metadata=_metadata(check, outcome),
        severity=_severity(check),
        blocking=check.blocking,
        partition=month.partition_key if month else None,
    )


def _severity(check: Declared) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN


def _metadata(check: Declared, outcome: CheckOutcome) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "n": outcome.n,
        "units": check.kind.units,
        "reason": outcome.reason or "holds",
        "asserts": check.kind.asserts,
        "articles": "; ".join(regulation_map().articles(check.id)) or "none",
    }
    metadata |= {f"threshold {name}": _metadata_value(plain(value)) for name, value in check.thresholds.items()}
    metadata |= {name: _metadata_value(value) for name, value in plain(outcome.observed).items()}
    if outcome.table:
        rows = outcome.table[:TABLE_ROWS]
        names = dict.fromkeys(name for row in rows for name in row)  # Dagster wants the same fields in every row
        records = [dg.TableRecord({name: _cell(row.get(name, "")) for name in names}) for row in rows]
        metadata["table"] = dg.MetadataValue.table(records)
    return metadata


def _metadata_value(value: object) -> object:
    return value if isinstance(value, str | int | float | bool) else json.dumps(value, ensure_ascii=False)


def _cell(value: object) -> str | int | float | bool:
    simple = plain(value)
    return simple if isinstance(simple, str | int | float | bool) else json.dumps(simple, ensure_ascii=False)
