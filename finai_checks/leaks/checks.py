"""C11: no column predicts a label almost perfectly, and no model predicts the future of a swapped customer."""

from __future__ import annotations

from finai_assets.asset_graph import MATRIX
from finai_assets.features.sampling import sample_customers
from finai_assets.platform import Platform
from finai_assets.training.matrix import load_matrix
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared, declare
from finai_checks.leaks.shuffled_future import shuffled_future
from finai_checks.leaks.shuffled_future_lake import swap_futures
from finai_checks.leaks.single_column import no_single_column_leak

SINGLE_COLUMN = CheckKind(
    "C11",
    "no_single_column_leak",
    "on train rows no single column, and no pair of columns or shallow tree of one feature group, predicts a label almost "
    "perfectly",
    blocking=True,
    minimum=100,
    units="rows",
    thresholds=("checks.single_column",),
)
SHUFFLED_FUTURE = CheckKind(
    "C11",
    "shuffled_future",
    "when customers' futures are swapped, every feature keeps its value, labels that the future alone decides follow the swap, "
    "and a model trained on the swapped labels has no skill",
    blocking=True,
    minimum=50,
    units="rows",
    thresholds=("checks.shuffled_future",),
    audit=True,
)
KINDS = (SINGLE_COLUMN, SHUFFLED_FUTURE)


def declare_checks(platform: Platform) -> list[Declared]:
    """Put both checks on the training matrix."""
    return [
        declare(SINGLE_COLUMN, MATRIX, evaluate_single_columns, platform.settings),
        declare(SHUFFLED_FUTURE, MATRIX, evaluate_shuffled_future, platform.settings),
    ]


def evaluate_single_columns(context: CheckContext, asset: str) -> CheckOutcome:
    """Measure the skill of each column, and of trees and pairs of each group, on a sample of train rows."""
    matrix, settings = load_matrix(context.session), context.settings
    rules = settings.checks.single_column
    rows = sample_customers(matrix.customer, matrix.rows("train"), rules.rows, settings.seed)
    return no_single_column_leak(
        matrix.X[rows],
        matrix.columns,
        {group.name: group.names for group in context.platform.registry.available},
        matrix.tasks,
        {name: label[rows] for name, label in matrix.labels.items()},
        matrix.customer[rows],
        rules=rules,
        confidence=settings.metrics.confidence,
        seed=settings.seed,
        threads=settings.lake.workers,
    )


def evaluate_shuffled_future(context: CheckContext, asset: str) -> CheckOutcome:
    """Swap the futures of a sample of customers in the last train months and the last validation month."""
    matrix, settings, platform = load_matrix(context.session), context.settings, context.platform
    rules = settings.checks.shuffled_future
    months = [*platform.splits.train[-rules.train_months :], platform.splits.validation[-1]]
    parts = [swap_futures(context.session, platform, matrix, month, customers=rules.customers) for month in months]
    return shuffled_future(
        [part for part in parts[:-1] if part is not None],
        parts[-1],
        matrix.columns,
        matrix.tasks,
        absolute={task.name for task in platform.available_tasks if task.decided_by_window},
        rules=rules,
        confidence=settings.metrics.confidence,
        seed=settings.seed,
    )
