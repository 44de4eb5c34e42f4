"""The checks of a data set: each kind on each asset that it sits on, with the function that looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from finai_assets.features.fit import load_states, train_sample_digest
from finai_assets.features.registry import Group
from finai_assets.features.state import state_asset
from finai_assets.labels.splits import Splits, gap_report
from finai_assets.labels.tasks import Task
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks import gates
from finai_checks.catalogue import Kind, kind
from finai_checks.outcome import CheckOutcome
from finai_checks.replay import replay_month
from finai_checks.schema_contract import schema_contract
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

Evaluate = Callable[[LakeSession, Month | None], CheckOutcome]
EvaluateTogether = Callable[[LakeSession, Month, Sequence[str]], Mapping[str, CheckOutcome]]

SPLITS_ASSET = "labels/splits"
STUDENT_PREFIX = "students/"


@dataclass(frozen=True)
class Declared:
    """One kind of check on one asset.

    Parameters
    ----------
    kind : Kind
    asset : str
        Path of the asset it sits on.
    evaluate
        Looks, and says; the month is None for an asset without partitions.
    months : tuple of Month, optional
        The partitions of the asset.
    together
        Looks at several assets of a month at the cost of one; checks that share the function are evaluated by it.
    thresholds
        What it compares with, by dotted path of the setting.
    """

    kind: Kind
    asset: str
    evaluate: Evaluate
    months: tuple[Month, ...] | None = None
    together: EvaluateTogether | None = None
    thresholds: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Return the number of the kind."""
        return self.kind.id

    @property
    def name(self) -> str:
        """Return the name of the kind."""
        return self.kind.name

    @property
    def blocking(self) -> bool:
        """Tell whether what follows waits for it."""
        return self.kind.blocking


def declared_checks(platform: Platform) -> list[Declared]:
    """Return every check of a data set."""
    settings = platform.settings
    raw, months = tuple(settings.dataset.raw_months), tuple(settings.dataset.snapshot_months)
    replay = _replay(platform)

    def on(name: str, asset: str, evaluate: Evaluate, **more: Any) -> Declared:
        known = kind(name)
        return Declared(known, asset, evaluate, thresholds=threshold_values(settings, known), **more)

    checks = [
        on("schema_contract", "raw/snapshots", _schema(platform), months=raw),
        on("gap_split", SPLITS_ASSET, _gaps(platform)),
    ]
    for group in platform.registry.available:
        checks += [
            on("fitted_on_train_only", state_asset(group.name), _fitted(platform, group)),
            on("columns_vary_on_train", state_asset(group.name), _varies_on_train(platform, group)),
            on("columns_vary", group.asset, _varies_in_month(platform, group), months=months),
            on("point_in_time_replay", group.asset, _alone(replay, group.asset), months=months, together=replay),
        ]
    checks += [
        on("student_fidelity", f"{STUDENT_PREFIX}{task.name}", _fidelity(task)) for task in platform.available_tasks
    ]
    return checks


def threshold_values(settings: Settings, known: Kind) -> dict[str, Any]:
    """Return what a kind of check compares with, by dotted path of the setting."""
    found = {}
    for path in known.thresholds:
        value: Any = settings
        for part in path.split("."):
            value = getattr(value, part)
        found[path] = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
    return found


def _alone(together: EvaluateTogether, asset: str) -> Evaluate:
    def evaluate(session: LakeSession, month: Month | None) -> CheckOutcome:
        assert month is not None  # noqa: S101 - the check is partitioned
        return together(session, month, [asset])[asset]

    return evaluate


def _replay(platform: Platform) -> EvaluateTogether:
    def evaluate(session: LakeSession, month: Month, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
        groups = [group for group in platform.registry.available if group.asset in assets]
        customers = platform.settings.checks.replay_customers
        outcomes = replay_month(session, platform.settings, groups, month, customers=customers)
        return {group.asset: outcomes[group.name] for group in groups}

    return evaluate


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
        stored = session.read_json(f"{STUDENT_PREFIX}{task.name}", None, "student.json")
        return gates.student_fidelity(task.name, stored)

    return evaluate
