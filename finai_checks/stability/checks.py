"""C17 and C06, in part: columns distributed as on train, volumes and missing values as in the last months."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.features.fit import load_states
from finai_assets.features.inputs import SNAPSHOTS, TRANSACTIONS
from finai_assets.features.registry import Group
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_assets.students.card import CARD, untrained
from finai_checks.framework.canary import Canary, LakeCanary
from finai_checks.framework.declaration import Declared, EvaluateTogether, declare_together
from finai_checks.framework.kind import Kind
from finai_checks.framework.outcome import NO_EVIDENCE, CheckOutcome
from finai_checks.framework.small_lake import SmallLake
from finai_checks.framework.theme import Theme
from finai_checks.stability.inputs import (
    earlier_months,
    measured_drift,
    month_nulls,
    raw_flows,
    snapshot_nulls,
    student_columns,
    train_nulls,
)
from finai_checks.stability.verdicts import (
    EARLIER_MONTHS,
    Drift,
    Missing,
    declared_reason,
    feature_drift,
    missingness_stable,
    typical_missing,
    volume_stable,
)
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

DRIFT = Kind(
    "C17", "feature_drift_psi", "no column of the month is distributed unlike train, missing values included",
    blocking=False, minimum=1, units="rows",
    thresholds=("checks.drift.warn", "checks.drift.chance_share", "checks.drift.declared"),
)  # fmt: skip
IMPORTANT_DRIFT = Kind(
    "C17", "feature_drift_psi_important",
    "no column that a student reads (before there is a student: no column of the raw groups) is distributed far unlike train",
    blocking=True, minimum=1, units="rows",
    thresholds=("checks.drift.fail", "checks.drift.chance_share", "checks.drift.declared", "baselines.raw_groups"),
)  # fmt: skip
VOLUME = Kind(
    "C06", "volume_stable", "rows, and the amount that moved, are near the median of the last months",
    blocking=False, minimum=EARLIER_MONTHS, units="earlier months", thresholds=("checks.volume",),
)  # fmt: skip
MISSINGNESS = Kind(
    "C06", "missingness_stable", "no column's share of missing values has jumped against train or the last months",
    blocking=False, minimum=1, units="rows", thresholds=("checks.missingness", "metrics.confidence", "checks.drift.declared"),
)  # fmt: skip

LookAtGroup = Callable[[LakeSession, Group, Month], CheckOutcome]
LookAtMonth = Callable[[LakeSession, Month], CheckOutcome]


def _declare(platform: Platform) -> list[Declared]:
    settings, dataset = platform.settings, platform.settings.dataset
    groups = [group.asset for group in platform.registry.available]
    months, raw = tuple(dataset.snapshot_months), tuple(dataset.raw_months)
    # The first months have too little before them to be compared with, so that nothing is asserted of them.
    later, later_raw = months[EARLIER_MONTHS:], raw[EARLIER_MONTHS:]
    drift, volume, raw_volume = partial(_drift, settings), partial(_volume, settings), partial(_raw_volume, settings)
    missing, raw_missing = partial(_missing, settings), partial(_raw_missing, settings)
    return [
        *declare_together(DRIFT, groups, _each(platform, drift), settings, months=months),
        *declare_together(IMPORTANT_DRIFT, groups, _important_drift(platform), settings, months=months),
        *declare_together(VOLUME, groups, _each(platform, volume), settings, months=later),
        *declare_together(VOLUME, [SNAPSHOTS], _raw(raw_volume), settings, months=later_raw),
        *declare_together(MISSINGNESS, groups, _each(platform, missing), settings, months=months),
        *declare_together(MISSINGNESS, [SNAPSHOTS], _raw(raw_missing), settings, months=later_raw),
    ]


def _each(platform: Platform, look: LookAtGroup) -> EvaluateTogether:
    """Look at each group of a month in turn: together they are one step of a run."""

    def evaluate(session: LakeSession, month: Month | None, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
        assert month is not None  # noqa: S101 - the check is partitioned
        groups = [group for group in platform.registry.available if group.asset in assets]
        return {group.asset: look(session, group, month) for group in groups}

    return evaluate


def _raw(look: LookAtMonth) -> EvaluateTogether:
    def evaluate(session: LakeSession, month: Month | None, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
        assert month is not None  # noqa: S101 - the check is partitioned
        return {asset: look(session, month) for asset in assets}

    return evaluate


def _drift(settings: Settings, session: LakeSession, group: Group, month: Month) -> CheckOutcome:
    rules = settings.checks.drift
    found = measured_drift(session, group, month)
    declared = _declared_to_drift(settings, group)
    return feature_drift(found, threshold=rules.warn, chance_share=rules.chance_share, declared=declared)


def _important_drift(platform: Platform) -> EvaluateTogether:
    settings = platform.settings
    rules, raw_groups = settings.checks.drift, settings.baselines.raw_groups

    def look(read: frozenset[str], session: LakeSession, group: Group, month: Month) -> CheckOutcome:
        outcome = feature_drift(
            measured_drift(session, group, month),
            threshold=rules.fail,
            chance_share=rules.chance_share,
            declared=_declared_to_drift(settings, group),
            important=read or frozenset(group.names if group.name in raw_groups else ()),
        )
        outcome.observed["important_columns"] = "those that students read" if read else "those of baselines.raw_groups"
        return outcome

    def evaluate(session: LakeSession, month: Month | None, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
        return _each(platform, partial(look, student_columns(session, platform)))(session, month, assets)

    return evaluate


def _declared_to_drift(settings: Settings, group: Group) -> dict[str, str]:
    patterns = settings.checks.drift.declared
    found = {name: declared_reason(patterns, group.name, name) for name in group.names}
    return {name: reason for name, reason in found.items() if reason is not None}


def _volume(settings: Settings, session: LakeSession, group: Group, month: Month) -> CheckOutcome:
    rules = settings.checks.volume

    def figures(of: Month) -> dict[str, float]:
        return {"rows": float(session.manifest(group.asset, of.key).rows)}

    earlier = {past.key: figures(past) for past in earlier_months(session, group.asset, month, rules.months)}
    return volume_stable(figures(month), earlier, deviations=rules.deviations, floor_share=rules.floor_share)


def _raw_volume(settings: Settings, session: LakeSession, month: Month) -> CheckOutcome:
    rules = settings.checks.volume
    earlier = {past.key: raw_flows(session, past) for past in earlier_months(session, SNAPSHOTS, month, rules.months)}
    current = raw_flows(session, month)
    return volume_stable(current, earlier, deviations=rules.deviations, floor_share=rules.floor_share)


def _missing(settings: Settings, session: LakeSession, group: Group, month: Month) -> CheckOutcome:
    rules = settings.checks.missingness
    reference = load_states(session, [group])[group.name].reference
    earlier = earlier_months(session, group.asset, month, rules.months)
    past = [month_nulls(session, group, of, reference) for of in earlier]
    current = month_nulls(session, group, month, reference)
    references = [train_nulls(reference, _declared_to_drift(settings, group))]
    if len(past) >= EARLIER_MONTHS:
        references.append(typical_missing(past, deviations=rules.deviations))
    confidence = settings.metrics.confidence
    return missingness_stable(group.names, current, references, jump=rules.jump, confidence=confidence)


def _raw_missing(settings: Settings, session: LakeSession, month: Month) -> CheckOutcome:
    rules = settings.checks.missingness
    past = [snapshot_nulls(session, of)[1] for of in earlier_months(session, SNAPSHOTS, month, rules.months)]
    if len(past) < EARLIER_MONTHS:
        return CheckOutcome.no_evidence(earlier_months=len(past), needed=EARLIER_MONTHS)
    names, current = snapshot_nulls(session, month)
    last = typical_missing(past, deviations=rules.deviations)
    return missingness_stable(names, current, [last], jump=rules.jump, confidence=settings.metrics.confidence)


def _canaries(_settings: Settings) -> list[Canary]:
    names = ("age", "income", "spend")
    reason = "the whole bank is growing older"

    def drift(kind: Kind, label: str, expects: str | None, psi: float, rows: int = 4000, **more: object) -> Canary:
        found = Drift(names, np.array([0.02, psi, 0.05]), np.array([10, 10, 11]), rows, 40_000)
        rules = {"threshold": 0.25 if kind.blocking else 0.10, "chance_share": 0.5, "declared": {}, **more}
        return Canary(kind, label, expects, lambda: feature_drift(found, **rules))  # type: ignore[arg-type]

    def volume(label: str, expects: str | None, past: Sequence[float], now: float) -> Canary:
        earlier = {f"2015-{month:02d}": {"rows": rows} for month, rows in enumerate(past, 1)}
        return Canary(
            VOLUME, label, expects, lambda: volume_stable({"rows": now}, earlier, deviations=3.5, floor_share=0.1)
        )

    def missing(label: str, expects: str | None, now: float, before: float | None, rows: int = 4000) -> Canary:
        current = Missing("2015-04", np.array([0.0, now, 0.1]), rows)
        past = [] if before is None else [Missing("on train", np.array([0.0, before, 0.1]), 40_000)]
        return Canary(
            MISSINGNESS, label, expects, lambda: missingness_stable(names, current, past, jump=0.05, confidence=0.95)
        )

    return [
        drift(DRIFT, "columns as on train", None, 0.04),
        drift(DRIFT, "a column that is declared to drift", None, 0.60, declared={"income": reason}),
        drift(DRIFT, "a column at the threshold", "1 of 3 counted columns drifted: income 0.10", 0.10),
        drift(DRIFT, "a month of 60 customers", NO_EVIDENCE, 0.04, rows=60),
        drift(DRIFT, "a month of no customer", NO_EVIDENCE, 0.04, rows=0),
        drift(IMPORTANT_DRIFT, "a shift below the threshold", None, 0.24),
        drift(IMPORTANT_DRIFT, "a shift of a column that no student reads", None, 0.60, important=frozenset({"age"})),
        drift(
            IMPORTANT_DRIFT, "a shift of a column that a student reads", "1 of 2 counted columns drifted: income 0.60",
            0.60, important=frozenset({"age", "income"}),
        ),
        drift(IMPORTANT_DRIFT, "a month of 40 customers", NO_EVIDENCE, 0.04, rows=40),
        volume("constant counts and one customer more", None, [500, 500, 500, 500], 501),
        volume("counts that grow by the same step", None, [500, 550, 600, 650, 700, 750], 800),
        volume("half of the customers", "rows 250, expected 450 to 550", [500, 501, 499, 500], 250),
        volume("twice the customers", "rows 1,000, expected", [500, 501, 499, 500], 1000),
        volume("two earlier months", NO_EVIDENCE, [500, 500], 500),
        missing("shares that move a little", None, 0.12, 0.10),
        missing("a share of few rows, within their error", None, 0.20, 0.10, rows=40),
        missing("a column half missing", "income 50%, 10% on train", 0.50, 0.10),
        missing("a column that was half missing and no longer is", "income 0%, 50% on train", 0.0, 0.50),
        missing("nothing to compare with", NO_EVIDENCE, 0.10, None),
    ]  # fmt: skip


def _lake_canaries() -> list[LakeCanary]:
    group = "features/demographics"

    def canary(
        kind: Kind,
        asset: str,
        label: str,
        expects: str | None = None,
        poison: Callable[[SmallLake], None] | None = None,
    ) -> LakeCanary:
        return LakeCanary(kind, asset, label, expects, poison, month="test")

    return [
        canary(DRIFT, group, "a test month as it was computed"),
        canary(DRIFT, group, "incomes doubled in the test month", "income", _incomes_doubled),
        canary(IMPORTANT_DRIFT, group, "a test month as it was computed"),
        canary(IMPORTANT_DRIFT, group, "incomes doubled, and a student that reads the age", None, _student_of("age")),
        canary(IMPORTANT_DRIFT, group, "incomes doubled, and a student of them", "income", _student_of("income")),
        canary(IMPORTANT_DRIFT, group, "incomes doubled before there is a student", "income", _no_student),
        canary(IMPORTANT_DRIFT, group, "a shifted month that was stored without statistics", "age", _stored_without),
        canary(VOLUME, SNAPSHOTS, "a raw month as it was loaded"),
        canary(VOLUME, SNAPSHOTS, "half of the customers gone from a raw month", "customers", _half_of_customers),
        canary(VOLUME, SNAPSHOTS, "amounts in another currency", "amount a day", _other_currency),
        canary(VOLUME, group, "a test month as it was computed"),
        canary(VOLUME, group, "half of the customers gone from a month", "rows", _half_of_customers),
        canary(MISSINGNESS, SNAPSHOTS, "a raw month as it was loaded"),
        canary(MISSINGNESS, SNAPSHOTS, "half of the activity flags gone from a raw month", "is_active", _flags_missing),
        canary(MISSINGNESS, group, "a test month as it was computed"),
        canary(MISSINGNESS, group, "a column half missing", "is_active", _flags_missing),
    ]


def _change_column(small: SmallLake, asset: str, name: str, change: Callable[[pa.ChunkedArray], pa.Array]) -> None:
    """Change a raw column of the test month."""
    month = small.month_of("test")
    table = small.lake.read(asset, month.key)
    at = table.schema.get_field_index(name)
    small.rewrite(asset, month.key, table.set_column(at, table.schema.field(name), change(table[name])))


def _incomes_doubled(small: SmallLake) -> None:
    _change_column(small, SNAPSHOTS, "income", lambda income: pc.multiply(income, 2.0))
    small.compute(small.month_of("test"))


def _no_student(small: SmallLake) -> None:
    _incomes_doubled(small)
    shutil.rmtree(Path(small.lake.root) / "students", ignore_errors=True)


def _student_of(column: str) -> Callable[[SmallLake], None]:
    """Return a poison that doubles incomes, and leaves one student, which reads one column."""

    def spoil(small: SmallLake) -> None:
        _no_student(small)
        task = small.platform.available_tasks[0].name
        with small.lake.write(f"students/{task}") as out:
            out.put(CARD, untrained(task, columns=(column,)).to_bytes())

    return spoil


def _stored_without(small: SmallLake) -> None:
    _student_of("age")(small)
    group, month = small.group("demographics"), small.month_of("test")
    table = small.lake.read(group.asset, month.key)
    values = np.column_stack([table[name].to_numpy() for name in group.names])
    values[:, group.names.index("age")] += 20
    small.put_features(group, month, table["customer_id"].to_numpy(), values)


def _half_of_customers(small: SmallLake) -> None:
    month = small.month_of("test")
    kept = small.lake.read(SNAPSHOTS, month.key)["customer_id"].to_numpy()[::2]
    for asset in (SNAPSHOTS, TRANSACTIONS):
        table = small.lake.read(asset, month.key)
        small.rewrite(asset, month.key, table.filter(pc.is_in(table["customer_id"], value_set=pa.array(kept))))
    small.compute(month)


def _other_currency(small: SmallLake) -> None:
    _change_column(small, TRANSACTIONS, "amount", lambda amount: pc.divide(amount, 1300.0))


def _flags_missing(small: SmallLake) -> None:
    def every_other(flags: pa.ChunkedArray) -> pa.Array:
        return pc.if_else(pa.array(np.arange(len(flags)) % 2 == 0), flags.combine_chunks(), None)

    _change_column(small, SNAPSHOTS, "is_active", every_other)
    small.compute(small.month_of("test"))


THEME = Theme((DRIFT, IMPORTANT_DRIFT, VOLUME, MISSINGNESS), _declare, _canaries, _lake_canaries)
