"""The door of checks: each pure check hung on its asset, with severity, blocking, and its record in the lake.

A check that raises has failed: the exception becomes a failed result with its traceback, since Dagster would leave no
evaluation at all and let downstream run.
"""

import json
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dagster as dg
import numpy as np

from finai_assets.features.assets import snapshot_partitions, state_asset
from finai_assets.features.fit import load_states, train_sample_digest
from finai_assets.features.registry import Group
from finai_assets.ingest.assets import raw_partitions
from finai_assets.labels.assets import SPLITS_ASSET
from finai_assets.labels.splits import Splits, gap_report
from finai_assets.labels.tasks import Task
from finai_assets.platform import Platform
from finai_assets.students.assets import student_asset
from finai_checks import gates
from finai_checks.outcome import CheckOutcome
from finai_checks.record import plain, write_record
from finai_checks.schema_contract import schema_contract
from finai_resources.lake_resource import LakeResource
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

Evaluate = Callable[[LakeSession, Month | None], CheckOutcome]
TABLE_ROWS = 100


@dataclass(frozen=True)
class Declared:
    """One check on one asset.

    Parameters
    ----------
    id, name
        Number and name in the catalogue of checks (docs/checks.md).
    asset
        Path of the asset it sits on.
    asserts
        What holds when it passes.
    blocking
        Whether what follows waits for it; such a check fails with severity ERROR, any other warns.
    evaluate
        The check itself; the month is None for an asset without partitions.
    """

    id: str
    name: str
    asset: str
    asserts: str
    blocking: bool
    evaluate: Evaluate
    partitions: dg.PartitionsDefinition | None = None


def declared_checks(platform: Platform) -> list[Declared]:
    """Return every check of a data set."""
    settings = platform.settings
    raw, months = raw_partitions(platform), snapshot_partitions(platform)
    checks = [
        Declared("C05", "schema_contract", "raw/snapshots", "columns, types, ranges and keys of the month's raw tables "
                 "are those of the data contract (a Great Expectations suite)", True, _schema(platform), raw),
        Declared("C13", "gap_split", SPLITS_ASSET, f"at least {settings.gap_days} days lie between a label window and the "
                 "next split's first cutoff; purged months are unused", True, _gaps(platform)),
    ]  # fmt: skip
    for group in platform.registry.built:
        checks += [
            Declared("C12", "fitted_on_train_only", state_asset(group), "the rows that the state saw are the train sample",
                     True, _fitted(platform, group)),
            Declared("C06", "columns_vary", state_asset(group), "no column is constant over the train sample",
                     True, _varies_on_train(platform, group)),
            Declared("C06", "columns_vary", group.asset, "no column is constant in the month",
                     False, _varies_in_month(platform, group), months),
        ]  # fmt: skip
    checks += [
        Declared("C23", "student_fidelity", student_asset(task), "the student agrees with its teacher on test rows within "
                 "every floor, or does not copy it", True, _fidelity(task))
        for task in platform.available_tasks
    ]  # fmt: skip
    return checks


def build_checks(platform: Platform) -> list[dg.AssetChecksDefinition]:
    """Return the checks as Dagster definitions."""
    return [_as_dagster(check) for check in declared_checks(platform)]


def run_check(check: Declared, session: LakeSession, month: Month | None) -> CheckOutcome:
    """Evaluate a check and store its record; an exception is a failure that carries its traceback."""
    try:
        outcome = check.evaluate(session, month)
    except Exception as error:  # whatever went wrong, a check without a result must not pass
        reason = f"the check itself failed: {error}"
        outcome = CheckOutcome(False, reason, 0, {"traceback": traceback.format_exc()}, [])
    write_record(session.lake, check.name, check.asset, month.key if month else None, outcome)
    return outcome


def _as_dagster(check: Declared) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=check.asset.split("/"),
        name=f"{check.id}_{check.name}",
        description=f"{check.id}: {check.asserts}.",
        blocking=check.blocking,
        partitions_def=check.partitions,
    )
    def evaluate(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> dg.AssetCheckResult:
        month = Month.parse(context.partition_key) if check.partitions else None
        outcome = run_check(check, lake.session(), month)
        metadata: dict[str, Any] = {"n": outcome.n, "reason": outcome.reason or "holds", "asserts": check.asserts}
        metadata |= {name: _metadata_value(value) for name, value in plain(outcome.observed).items()}
        if outcome.table:
            records = [dg.TableRecord({k: _cell(v) for k, v in row.items()}) for row in outcome.table[:TABLE_ROWS]]
            metadata["table"] = dg.MetadataValue.table(records)
        severity = dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN
        return dg.AssetCheckResult(passed=outcome.passed, metadata=metadata, severity=severity)

    return evaluate


def _metadata_value(value: object) -> object:
    return value if isinstance(value, str | int | float | bool) else json.dumps(value, ensure_ascii=False)


def _cell(value: object) -> str | int | float | bool:
    simple = plain(value)
    return simple if isinstance(simple, str | int | float | bool) else json.dumps(simple, ensure_ascii=False)


def _schema(platform: Platform) -> Evaluate:
    def evaluate(session: LakeSession, month: Month | None) -> CheckOutcome:
        assert month is not None  # noqa: S101 - the check is partitioned
        snapshots = session.read("raw/snapshots", month.key)
        transactions = session.read("raw/transactions", month.key)
        mccs = session.read("raw/merchant_categories")["mcc"].to_numpy()
        return schema_contract(snapshots, transactions, month, platform.settings, mccs=mccs)

    return evaluate


def _gaps(platform: Platform) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        stored = session.read_json(SPLITS_ASSET, None, "splits.json")
        # The dates come from the splits as stored, which training reads, not from what the settings would say now.
        used = Splits(**{name: tuple(Month.parse(month) for month in months) for name, months in stored.items()})
        report = gap_report(used, platform.settings)
        return gates.gap_split(report, platform.settings.gap_days, months=stored)

    return evaluate


def _fitted(platform: Platform, group: Group) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        state = load_states(session, [group])[group.name]
        train = list(platform.splits.train)
        return gates.fitted_on_train_only(
            fitted_months=state.meta["months"],
            fitted_digest=state.meta["row_digest"],
            fitted_rows=int(state.meta["rows"]),
            train_months=[month.key for month in train],
            train_digest=train_sample_digest(session, platform.settings, train),
        )

    return evaluate


def _varies_on_train(platform: Platform, group: Group) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        state = load_states(session, [group])[group.name]
        allowed = platform.settings.checks.max_constant_columns
        return gates.columns_vary(group.names, state.reference.std, int(state.meta["rows"]), allowed=allowed)

    return evaluate


def _varies_in_month(platform: Platform, group: Group) -> Evaluate:
    def evaluate(session: LakeSession, month: Month | None) -> CheckOutcome:
        assert month is not None  # noqa: S101 - the check is partitioned
        table = session.read(group.asset, month.key)
        spread = [_spread(table[name].to_numpy()) for name in group.names]
        allowed = platform.settings.checks.max_constant_columns
        return gates.columns_vary(group.names, np.array(spread), table.num_rows, allowed=allowed)

    return evaluate


def _spread(values: np.ndarray) -> float:
    """Return the range of the values that are not missing, NaN where all are."""
    present = values[~np.isnan(values)]
    return float(np.ptp(present)) if len(present) else float("nan")


def _fidelity(task: Task) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        return gates.student_fidelity(task.name, session.read_json(student_asset(task), None, "student.json"))

    return evaluate
