"""C06, in part: columns vary, over the train sample and in each month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import state_asset
from finai_assets.features.compute import STATISTICS_FILE
from finai_assets.features.fit import load_states
from finai_assets.features.registry import Group
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks.framework.canary import Canary, LakeCanary
from finai_checks.framework.declaration import Declared, Evaluate, EvaluateTogether, declare, declare_together
from finai_checks.framework.kind import Kind
from finai_checks.framework.outcome import NO_EVIDENCE, CheckOutcome
from finai_checks.framework.small_lake import SmallLake
from finai_checks.framework.theme import Theme
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

_ALLOWED = ("checks.max_constant_columns",)
ON_TRAIN = Kind(
    "C06", "columns_vary_on_train", "no column is constant over the train sample", blocking=True, minimum=2, units="rows",
    thresholds=_ALLOWED,
)  # fmt: skip
IN_MONTH = Kind(
    "C06", "columns_vary", "no column is constant in the month", blocking=False, minimum=2, units="rows",
    thresholds=_ALLOWED,
)  # fmt: skip


def columns_vary(names: Sequence[str], spread: np.ndarray, rows: int, *, allowed: int) -> CheckOutcome:
    """Tell whether no column is constant over the rows given.

    Parameters
    ----------
    names
        Columns, aligned with ``spread`` [columns]: range or standard deviation over the rows that are not missing, NaN where
        all are.
    rows
        Number of rows.
    allowed
        How many constant columns are let pass.
    """
    if rows < 2 or not names:
        return CheckOutcome.no_evidence(rows=rows)
    constant = [name for name, value in zip(names, spread, strict=True) if not value > 0]
    passed = len(constant) <= allowed
    reason = "" if passed else f"{len(constant)} of {len(names)} columns are constant: {', '.join(constant[:8])}"
    table = [{"column": name, "spread": 0.0} for name in constant]
    return CheckOutcome(passed, reason, rows, {"constant_columns": len(constant), "allowed": allowed}, table)


def _declare(platform: Platform) -> list[Declared]:
    settings, months = platform.settings, tuple(platform.settings.dataset.snapshot_months)
    groups = platform.registry.available
    return [
        *(declare(ON_TRAIN, state_asset(group.name), _on_train(platform, group), settings) for group in groups),
        *declare_together(IN_MONTH, [group.asset for group in groups], _in_month(platform), settings, months=months),
    ]


def _on_train(platform: Platform, group: Group) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        state = load_states(session, [group])[group.name]
        allowed = platform.settings.checks.max_constant_columns
        return columns_vary(group.names, state.reference.std, int(state.meta["rows"]), allowed=allowed)

    return evaluate


def _in_month(platform: Platform) -> EvaluateTogether:
    allowed = platform.settings.checks.max_constant_columns

    def evaluate(session: LakeSession, month: Month | None, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
        assert month is not None  # noqa: S101 - the check is partitioned
        found = {}
        for group in platform.registry.available:
            if group.asset in assets:
                spread, rows = column_spread(session, group, month)
                found[group.asset] = columns_vary(group.names, spread, rows, allowed=allowed)
        return found

    return evaluate


def column_spread(session: LakeSession, group: Group, month: Month) -> tuple[np.ndarray, int]:
    """Return the range of each column over a stored month, NaN where all is missing, and the rows.

    The statistics that are stored beside the values, as a part of the same content, tell it; where there are none, the values.
    """
    manifest = session.manifest(group.asset, month.key)
    if any(stored.role == STATISTICS_FILE for stored in manifest.files):
        stored_json = session.read_json(group.asset, month.key, STATISTICS_FILE)
        low, high = (
            np.array([stored_json[name][end] for name in group.names], np.float64) for end in ("minimum", "maximum")
        )
        return high - low, manifest.rows
    table = session.read(group.asset, month.key)
    spread = []
    for name in group.names:
        values = table[name].to_numpy()
        present = values[~np.isnan(values)]
        spread.append(float(np.ptp(present)) if len(present) else np.nan)
    return np.array(spread), table.num_rows


def _canaries(_settings: Settings) -> list[Canary]:
    names = ("age", "income", "spend")
    inputs: list[tuple[str, str | None, list[float], int]] = [
        ("columns that vary", None, [1.0, 2.0, 3.0], 10),
        ("a constant column", "1 of 3 columns are constant: income", [1.0, 0.0, 3.0], 10),
        ("a column of missing values", "1 of 3 columns are constant: spend", [1.0, 1.0, np.nan], 10),
        ("a single row", NO_EVIDENCE, [1.0, 2.0, 3.0], 1),
    ]

    def canary(kind: Kind, label: str, expects: str | None, spread: list[float], rows: int) -> Canary:
        return Canary(kind, label, expects, lambda: columns_vary(names, np.array(spread), rows, allowed=0))

    return [canary(kind, *entry) for kind in (ON_TRAIN, IN_MONTH) for entry in inputs]


def _lake_canaries() -> list[LakeCanary]:
    state, behavior = state_asset("demographics"), "features/txn_behavior"
    return [
        LakeCanary(ON_TRAIN, state, "a state as it was fitted"),
        LakeCanary(ON_TRAIN, state, "a state fitted on one income", "income", _one_income),
        LakeCanary(IN_MONTH, behavior, "a month as it was computed"),
        LakeCanary(IN_MONTH, behavior, "a group of zeros", "14 of 14 columns", _zeros),
    ]


def _one_income(small: SmallLake) -> None:
    for month in small.platform.splits.train:
        table = small.lake.read("raw/snapshots", month.key)
        same = pa.array(np.full(table.num_rows, 3e7))
        changed = table.set_column(table.schema.get_field_index("income"), "income", same)
        small.rewrite("raw/snapshots", month.key, changed)
    small.refit(groups=("demographics",))


def _zeros(small: SmallLake) -> None:
    group, month = small.group("txn_behavior"), small.month
    ids = small.lake.read(group.asset, month.key, columns=["customer_id"])["customer_id"].to_numpy()
    small.put_features(group, month, ids, np.zeros((len(ids), len(group.columns)), np.float32))


THEME = Theme((ON_TRAIN, IN_MONTH), _declare, _canaries, _lake_canaries)
