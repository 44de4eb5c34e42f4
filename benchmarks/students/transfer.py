"""Transfer sets: rows without labels that the teacher answers, for a copy to learn from.

Rows of purged months: those between the splits, whose features are stored and whose labels nobody may use. And rows that nobody
has lived: of two train customers of the same month one gives what is known of profile and holdings, the other all that the
transactions tell (Bucila, Caruana, Niculescu-Mizil, KDD 2006, by blocks of columns instead of single ones).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from benchmarks.students.home import Home
from finai_assets.asset_graph import MATRIX
from finai_assets.students.transfer import Answering, transfer_customers
from finai_assets.teacher.train import predict
from finai_assets.training.matrix import TrainingMatrix
from finai_resources.errors import GateError
from finai_resources.progress import report_progress

# Groups whose columns and tensors hold profile and holdings.
HOLDINGS = frozenset(
    {"demographics", "product_holdings", "product_hierarchy", "nba_history_multihot", "graph_collaborative"}
)
_BLOCK = 8192  # rows that are in memory with their tensors at a time

Answer = Callable[[np.ndarray, np.ndarray | None], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class TransferSet:
    """Rows with the teacher's answers.

    Parameters
    ----------
    X : float32 [m, columns]
    predictions : dict of task to float [m] or [m, classes]
        The teacher's.
    holdings, events : int64 [m]
        Of recombined rows: positions in the matrix of the rows that gave profile and holdings, and of those that gave the rest.
    """

    X: np.ndarray
    predictions: dict[str, np.ndarray]
    holdings: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    events: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.X)


def purged_set_of(home: Home) -> TransferSet:
    """Return the rows that students learn from beside the train rows, with all columns, answered by a home's stored teacher."""
    session, settings, registry = home.session, home.settings, home.platform.registry
    customers = transfer_customers(session, settings, registry, home.platform.splits.transfer)
    months = list(Answering(session, settings, registry, home.teacher, home.matrix.tensors).answered(customers))
    tasks = [task.name for task in home.matrix.tasks]
    return TransferSet(
        np.concatenate([month.X for month in months]),
        {task: np.concatenate([month.predictions[task] for month in months]) for task in tasks},
    )


def transfer_set(
    matrix: TrainingMatrix, group_of: Mapping[str, str], answer: Answer, *, share: float, seed: int
) -> TransferSet:
    """Recombine train rows, and let the teacher answer them.

    Parameters
    ----------
    group_of : dict of column to group
    answer
        Takes ``X`` float32 [m, columns] and the side tensors float32 [m, total] or None, and returns predictions by task.
    share
        Rows, as a share of the train rows.
    """
    rows = matrix.rows("train")
    holdings, events = draw_pairs(matrix, max(1, round(share * (rows.stop - rows.start))), seed)
    parts, answers = [], []
    for begin in range(0, len(holdings), _BLOCK):
        report_progress("transfer set", begin, len(holdings))
        block = slice(begin, begin + _BLOCK)
        X, side = recombine(matrix, group_of, holdings[block], events[block])
        parts.append(X)
        answers.append(answer(X, side))
    predictions = {task: np.concatenate([told[task] for told in answers]) for task in answers[0]}
    return TransferSet(np.concatenate(parts), predictions, holdings, events)


def draw_pairs(matrix: TrainingMatrix, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``count`` pairs of different train rows of the same month, int64 [count] each.

    Raises
    ------
    GateError
        No month has two train rows.
    """
    rows = matrix.rows("train")
    _, begins, of_month, sizes = np.unique(
        matrix.month[rows], return_index=True, return_inverse=True, return_counts=True
    )
    usable = np.flatnonzero(sizes[of_month] > 1)
    if not len(usable):
        raise GateError("no month has two train rows", where=MATRIX, fix="widen splits.train")
    rng = np.random.default_rng(seed)
    first = rng.choice(usable, count)
    month = of_month[first]
    # Train rows lie month by month, so that another row of the month is some steps further on in its circle.
    steps = 1 + rng.integers(0, sizes[month] - 1)
    second = begins[month] + (first - begins[month] + steps) % sizes[month]
    return first + rows.start, second + rows.start


def recombine(
    matrix: TrainingMatrix, group_of: Mapping[str, str], holdings: np.ndarray, events: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return features float32 [m, columns] and side tensors float32 [m, total]: holdings of one row, all else of the other."""
    columns = np.array([group_of[name] in HOLDINGS for name in matrix.columns])
    X = np.where(columns, matrix.X[holdings], matrix.X[events])
    if matrix.side is None:
        return X, None
    tensors = np.repeat(
        [tensor.group in HOLDINGS for tensor in matrix.tensors], [tensor.size for tensor in matrix.tensors]
    )
    return X, np.where(tensors, matrix.side[holdings], matrix.side[events])


def transfer_set_of(home: Home, share: float) -> TransferSet:
    """Return a home's transfer set, answered by its stored teacher."""
    settings, teacher = home.settings, home.teacher
    group_of = {name: group.name for group in home.platform.registry.available for name in group.names}

    def answer(X: np.ndarray, side: np.ndarray | None) -> Mapping[str, np.ndarray]:
        return predict(teacher, X, settings.teacher.batch_rows, side)[0]

    return transfer_set(home.matrix, group_of, answer, share=share, seed=settings.seed)
