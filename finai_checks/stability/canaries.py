"""C06 and C17, the inputs that prove them: columns, months and volumes that are stable or are not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.asset_graph import group_asset, state_asset, student_asset
from finai_assets.features.inputs import SNAPSHOTS, TRANSACTIONS
from finai_assets.settings import Settings
from finai_assets.students.card import CARD, untrained
from finai_checks.framework.check import NO_EVIDENCE, Canary, CheckKind, LakeCanary
from finai_checks.framework.small_lake import SmallLake
from finai_checks.stability.checks import DRIFT, IMPORTANT_DRIFT, IN_MONTH, MISSINGNESS, ON_TRAIN, VOLUME
from finai_checks.stability.verdicts import (
    Drift,
    Missing,
    columns_vary,
    feature_drift,
    missingness_stable,
    volume_stable,
)

NAMES = ("age", "income", "spend")


def plain_canaries(_settings: Settings) -> list[Canary]:
    """Return spreads, drifts, volumes and shares of missing values on both sides of the thresholds."""
    return [
        *(canary for kind in (ON_TRAIN, IN_MONTH) for canary in _constant_columns(kind)),
        *_drifts(),
        *_volumes(),
        *_missing_values(),
    ]


def _constant_columns(kind: CheckKind) -> list[Canary]:
    def canary(label: str, expects: str | None, spread: list[float], rows: int = 10) -> Canary:
        return Canary(kind, label, expects, lambda: columns_vary(NAMES, np.array(spread), rows, allowed=0))

    return [
        canary("columns that vary", None, [1.0, 2.0, 3.0]),
        canary("a constant column", "1 of 3 columns are constant: income", [1.0, 0.0, 3.0]),
        canary("a column of missing values", "1 of 3 columns are constant: spend", [1.0, 1.0, np.nan]),
        canary("a single row", NO_EVIDENCE, [1.0, 2.0, 3.0], rows=1),
    ]


def _drifts() -> list[Canary]:
    reason = "the whole bank is growing older"

    def canary(
        kind: CheckKind, label: str, expects: str | None, psi: float, rows: int = 4000, **more: object
    ) -> Canary:
        drift = Drift(NAMES, np.array([0.02, psi, 0.05]), np.array([10, 10, 11]), rows, 40_000)
        rules = {"threshold": 0.25 if kind.blocking else 0.10, "chance_share": 0.5, "declared": {}, **more}
        return Canary(kind, label, expects, lambda: feature_drift(drift, **rules))  # type: ignore[arg-type]

    return [
        canary(DRIFT, "columns as on train", None, 0.04),
        canary(DRIFT, "a column that is declared to drift", None, 0.60, declared={"income": reason}),
        canary(DRIFT, "a column at the threshold", "1 of 3 counted columns drifted: income 0.10", 0.10),
        canary(DRIFT, "a month of 60 customers", NO_EVIDENCE, 0.04, rows=60),
        canary(DRIFT, "a month without customers", NO_EVIDENCE, 0.04, rows=0),
        canary(IMPORTANT_DRIFT, "a shift below the threshold", None, 0.24),
        canary(IMPORTANT_DRIFT, "a shift of a column that no student reads", None, 0.60, important=frozenset({"age"})),
        canary(
            IMPORTANT_DRIFT, "a shift of a column that a student reads", "1 of 2 counted columns drifted: income 0.60",
            0.60, important=frozenset({"age", "income"}),
        ),
        canary(IMPORTANT_DRIFT, "a month of 40 customers", NO_EVIDENCE, 0.04, rows=40),
    ]  # fmt: skip


def _volumes() -> list[Canary]:
    def canary(label: str, expects: str | None, past: Sequence[float], now: float) -> Canary:
        earlier = {f"2015-{month:02d}": {"rows": rows} for month, rows in enumerate(past, 1)}
        judge = partial(volume_stable, {"rows": now}, earlier, deviations=3.5, floor_share=0.1)
        return Canary(VOLUME, label, expects, judge)

    return [
        canary("constant counts and one customer more", None, [500, 500, 500, 500], 501),
        canary("counts that grow by the same step", None, [500, 550, 600, 650, 700, 750], 800),
        canary("half of the customers", "rows 250, expected 450 to 550", [500, 501, 499, 500], 250),
        canary("twice the customers", "rows 1,000, expected", [500, 501, 499, 500], 1000),
        canary("two earlier months", NO_EVIDENCE, [500, 500], 500),
    ]


def _missing_values() -> list[Canary]:
    def canary(label: str, expects: str | None, now: float, before: float | None, rows: int = 4000) -> Canary:
        current = Missing("2015-04", np.array([0.0, now, 0.1]), rows)
        past = [] if before is None else [Missing("on train", np.array([0.0, before, 0.1]), 40_000)]
        judge = partial(missingness_stable, NAMES, current, past, jump=0.05, confidence=0.95)
        return Canary(MISSINGNESS, label, expects, judge)

    return [
        canary("shares that move a little", None, 0.12, 0.10),
        canary("a share of few rows, within its sampling error", None, 0.20, 0.10, rows=40),
        canary("a column half missing", "income 50%, 10% on train", 0.50, 0.10),
        canary("a column that was half missing and is complete now", "income 0%, 50% on train", 0.0, 0.50),
        canary("no earlier share to compare with", NO_EVIDENCE, 0.10, None),
    ]


def lake_canaries() -> list[LakeCanary]:
    """Return states and months as they were made, and months that changed."""
    state, behavior = state_asset("demographics"), group_asset("txn_behavior")
    group = group_asset("demographics")

    def canary(
        kind: CheckKind,
        asset: str,
        label: str,
        expects: str | None = None,
        poison: Callable[[SmallLake], None] | None = None,
    ) -> LakeCanary:
        return LakeCanary(kind, asset, label, expects, poison, month="test")

    return [
        LakeCanary(ON_TRAIN, state, "a state as it was fitted"),
        LakeCanary(ON_TRAIN, state, "a state fitted on one income", "income", _one_income),
        LakeCanary(IN_MONTH, behavior, "a month as it was computed"),
        LakeCanary(IN_MONTH, behavior, "a group of zeros", "14 of 14 columns", _zeros),
        canary(DRIFT, group, "a test month as it was computed"),
        canary(DRIFT, group, "incomes doubled in the test month", "income", _incomes_doubled),
        canary(IMPORTANT_DRIFT, group, "a test month as it was computed"),
        canary(IMPORTANT_DRIFT, group, "incomes doubled, and a student that reads the age", None, _student_of_age),
        canary(IMPORTANT_DRIFT, group, "incomes doubled, and a student that reads them", "income", _student_of_income),
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


def _one_income(small: SmallLake) -> None:
    for month in small.platform.splits.train:
        table = small.lake.read(SNAPSHOTS, month.key)
        same = pa.array(np.full(table.num_rows, 3e7))
        changed = table.set_column(table.schema.get_field_index("income"), "income", same)
        small.rewrite(SNAPSHOTS, month.key, changed)
    small.refit(groups=("demographics",))


def _zeros(small: SmallLake) -> None:
    group, month = small.group("txn_behavior"), small.month
    ids = small.lake.read(group.asset, month.key, columns=["customer_id"])["customer_id"].to_numpy()
    small.put_features(group, month, ids, np.zeros((len(ids), len(group.columns)), np.float32))


def _change_column(small: SmallLake, asset: str, name: str, change: Callable[[pa.ChunkedArray], pa.Array]) -> None:
    """Change a raw column of the test month."""
    month = small.month_of("test")
    table = small.lake.read(asset, month.key)
    index = table.schema.get_field_index(name)
    small.rewrite(asset, month.key, table.set_column(index, table.schema.field(index), change(table[name])))


def _incomes_doubled(small: SmallLake) -> None:
    _change_column(small, SNAPSHOTS, "income", lambda income: pc.multiply(income, 2.0))
    small.compute(small.month_of("test"))


def _no_student(small: SmallLake) -> None:
    _incomes_doubled(small)
    shutil.rmtree(Path(small.lake.root) / "students", ignore_errors=True)


def _student_of(small: SmallLake, column: str) -> None:
    """Double incomes, and store one student alone, which reads one column."""
    _no_student(small)
    task = small.platform.available_tasks[0].name
    with small.lake.write(student_asset(task)) as out:
        out.put(CARD, untrained(task, columns=(column,)).to_bytes())


_student_of_age = partial(_student_of, column="age")
_student_of_income = partial(_student_of, column="income")


def _stored_without(small: SmallLake) -> None:
    _student_of(small, "age")
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
