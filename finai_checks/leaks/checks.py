"""C11: no column gives a label away, and nothing foretells a future that belongs to somebody else."""

from __future__ import annotations

from finai_assets.features.sampling import sample_customers
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_assets.training.matrix import ASSET as MATRIX_ASSET
from finai_assets.training.matrix import load_matrix
from finai_checks.framework.canary import Canary, LakeCanary
from finai_checks.framework.declaration import Declared, Evaluate, declare
from finai_checks.framework.kind import Kind
from finai_checks.framework.outcome import CheckOutcome
from finai_checks.framework.theme import Theme
from finai_checks.leaks.canaries import (
    exchanged_inputs,
    in_the_features,
    label_from_the_past,
    single_column_inputs,
)
from finai_checks.leaks.shuffled_future import shuffled_future
from finai_checks.leaks.swapped_futures import exchange
from finai_checks.leaks.verdicts import no_single_column_leak
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

SINGLE_COLUMN = Kind(
    "C11",
    "no_single_column_leak",
    "on train rows no column, and no shallow tree or pair of columns of a group, tells a label almost perfectly",
    blocking=True,
    minimum=100,
    units="rows",
    thresholds=("checks.single_column",),
)
SHUFFLED_FUTURE = Kind(
    "C11",
    "shuffled_future",
    "where customers exchange their futures, features stay as they are and a model is no better than the prior",
    blocking=True,
    minimum=50,
    units="rows",
    thresholds=("checks.shuffled_future",),
    audit=True,
)


def _declare(platform: Platform) -> list[Declared]:
    return [
        declare(SINGLE_COLUMN, MATRIX_ASSET, _single_column(platform), platform.settings),
        declare(SHUFFLED_FUTURE, MATRIX_ASSET, _shuffled(platform), platform.settings),
    ]


def _single_column(platform: Platform) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        matrix, settings = load_matrix(session), platform.settings
        chosen = settings.checks.single_column
        rows = sample_customers(matrix.customer, matrix.rows("train"), chosen.rows, settings.seed)
        return no_single_column_leak(
            matrix.X[rows],
            matrix.columns,
            {group.name: group.names for group in platform.registry.available},
            matrix.tasks,
            {name: label[rows] for name, label in matrix.labels.items()},
            matrix.customer[rows],
            chosen=chosen,
            confidence=settings.metrics.confidence,
            seed=settings.seed,
            threads=settings.lake.workers,
        )

    return evaluate


def _shuffled(platform: Platform) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        matrix, settings = load_matrix(session), platform.settings
        chosen = settings.checks.shuffled_future
        months = [*platform.splits.train[-chosen.train_months :], platform.splits.validation[-1]]
        parts = [exchange(session, platform, matrix, month, customers=chosen.customers) for month in months]
        return shuffled_future(
            [part for part in parts[:-1] if part is not None],
            parts[-1],
            matrix.columns,
            matrix.tasks,
            absolute={task.name for task in platform.available_tasks if task.decided_by_window},
            chosen=chosen,
            confidence=settings.metrics.confidence,
            seed=settings.seed,
        )

    return evaluate


def _canaries(settings: Settings) -> list[Canary]:
    return [
        *(Canary(SINGLE_COLUMN, *entry) for entry in single_column_inputs(settings)),
        *(Canary(SHUFFLED_FUTURE, *entry) for entry in exchanged_inputs(settings)),
    ]


def _lake_canaries() -> list[LakeCanary]:
    told = "held_transit_card reconstructs will_acquire_payments"
    changed = "columns of the matrix are not what the past gives: held_demand_deposit"
    return [
        LakeCanary(SINGLE_COLUMN, MATRIX_ASSET, "a matrix of honest features"),
        LakeCanary(SINGLE_COLUMN, MATRIX_ASSET, "labels as columns of a group, all the way", told, in_the_features),
        LakeCanary(SHUFFLED_FUTURE, MATRIX_ASSET, "a matrix of honest features and labels"),
        LakeCanary(SHUFFLED_FUTURE, MATRIX_ASSET, "labels as columns of a group", changed, in_the_features),
        LakeCanary(
            SHUFFLED_FUTURE,
            MATRIX_ASSET,
            "a next category taken from before the cutoff",
            "next_mcc is not decided by the window",
            label_from_the_past,
        ),
    ]


THEME = Theme((SINGLE_COLUMN, SHUFFLED_FUTURE), _declare, _canaries, _lake_canaries)
