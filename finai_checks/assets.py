"""The door of checks: every declared check as a Dagster check on its asset, those that share their work as one."""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg

from finai_assets.automation.specs import partitions_of
from finai_assets.platform import Platform
from finai_checks.catalogue import declared_checks
from finai_checks.framework.declaration import Declared
from finai_checks.framework.outcome import CheckOutcome
from finai_checks.framework.overrides import Overrides
from finai_checks.framework.record import plain
from finai_checks.framework.regulations import regulation_map
from finai_checks.framework.run import run_check, run_together
from finai_resources.event_log import log_evaluations_in
from finai_resources.lake_resource import LakeResource
from finai_resources.month_runs import months_of
from finai_resources.months import Month

TABLE_ROWS = 100
Found = tuple[Declared, Month | None, CheckOutcome]


def build_checks(platform: Platform) -> list[dg.AssetChecksDefinition]:
    """Return the checks as Dagster definitions."""
    checks = declared_checks(platform)
    alone = [_as_dagster(check, platform) for check in checks if check.together is None]
    shared: dict[Any, list[Declared]] = {}
    for check in checks:
        if check.together is not None:
            shared.setdefault(check.together, []).append(check)
    return alone + [_as_one(members, platform) for members in shared.values()]


def audit_keys(platform: Platform) -> list[dg.AssetCheckKey]:
    """Return the checks that are too dear for every run."""
    return [check_key(check) for check in declared_checks(platform) if check.kind.audit]


def check_key(check: Declared) -> dg.AssetCheckKey:
    """Return how Dagster addresses a check."""
    return dg.AssetCheckKey(dg.AssetKey(check.asset.split("/")), check_name(check))


def check_name(check: Declared) -> str:
    """Return how a check is named in Dagster."""
    return f"{check.id}_{check.name}"


def _as_dagster(check: Declared, platform: Platform) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=check.asset.split("/"),
        name=check_name(check),
        description=f"{check.id}: {check.kind.asserts}.",
        blocking=check.blocking,
        partitions_def=_partitions(check, platform),
    )
    def evaluate(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> dg.AssetCheckResult:
        found = []
        for month in _months(context, check):
            session = lake.session()
            overrides = Overrides.read(session.lake, platform.secrets)
            found.append((check, month, run_check(check, session, month, overrides)))
        return _results(context, found)[0]

    return evaluate


def _as_one(members: list[Declared], platform: Platform) -> dg.AssetChecksDefinition:
    """Return one definition for checks of a month that share their work; any part of them can be chosen."""
    by_key = {check_key(m): m for m in members}

    @dg.multi_asset_check(
        name=f"{check_name(members[0])}_{members[0].asset.partition('/')[0]}",
        specs=[
            dg.AssetCheckSpec(
                check_name(member),
                asset=member.asset.split("/"),
                description=f"{member.id}: {member.kind.asserts}.",
                blocking=member.blocking,
                partitions_def=_partitions(member, platform),
            )
            for member in members
        ],
        can_subset=True,
    )
    def evaluate(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> Iterator[dg.AssetCheckResult]:
        chosen = [by_key[key] for key in sorted(context.selected_asset_check_keys, key=str)]
        found = []
        for month in _months(context, chosen[0]):
            # A check may be declared on later months than its asset has; Dagster knows one partitioning of both.
            due = [member for member in chosen if month is None or month in (member.months or ())]
            if due:
                session = lake.session()
                outcomes = run_together(due, session, month, Overrides.read(session.lake, platform.secrets))
                found += [(member, month, outcomes[member.asset]) for member in due]
        yield from _results(context, found)

    return evaluate


def _months(context: dg.AssetCheckExecutionContext, check: Declared) -> list[Month | None]:
    """Return the months of the run, ascending; for an asset without months, one that is None."""
    return [*months_of(context.op_execution_context)] if check.months else [None]


def _results(context: dg.AssetCheckExecutionContext, found: list[Found]) -> list[dg.AssetCheckResult]:
    """Return one result for each check of a run.

    Of a range of months Dagster 1.13 stores one result, without a partition: it fails where any month failed, and each month's
    own result is logged before it under its partition.
    """
    by_check: dict[dg.AssetCheckKey, list[Found]] = {}
    for entry in found:
        by_check.setdefault(check_key(entry[0]), []).append(entry)
    if len({month for _, month, _ in found}) > 1:
        log_evaluations_in(context.instance, context.run, [as_evaluation(*entry) for entry in found])
    return [_result(entries[0][0], _over_months(entries)) for entries in by_check.values()]


def _over_months(found: list[Found]) -> CheckOutcome:
    """Return what a range says as a whole: the only month's outcome, or how many months failed and why."""
    if len(found) == 1:
        return found[0][2]
    failed = [(month, outcome) for _, month, outcome in found if not outcome.passed]
    reason = "; ".join(f"{month}: {outcome.reason}" for month, outcome in failed)
    table = [
        {"month": str(month), "passed": outcome.passed, "n": outcome.n, "reason": outcome.reason}
        for _, month, outcome in found
    ]
    observed = {"months": len(found), "failed_months": len(failed)}
    return CheckOutcome(not failed, reason, sum(outcome.n for _, _, outcome in found), observed, table)


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
    """Return a result as an event that needs no run, under its month."""
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
