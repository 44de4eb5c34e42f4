"""What rivals learn from, what a fitted one gives back, and how they choose their parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from finai_assets.evaluation.lists.metrics import NDCG_3, mean_ndcg
from finai_assets.features.sampling import sample_customers
from finai_resources.errors import GateError
from finai_resources.json_text import number
from finai_resources.progress import report_progress

if TYPE_CHECKING:
    from finai_assets.evaluation.lists.outcomes import Outcomes
    from finai_assets.settings import Settings
    from finai_assets.training.matrix import TrainingMatrix

Scores = Callable[[np.ndarray, np.ndarray | None], np.ndarray]


@dataclass(frozen=True)
class RivalRows:
    """The rows of the training matrix, with what their customers hold and acquire.

    A rival learns from train and chooses on validation; no other row is read while it is fitted.

    Parameters
    ----------
    outcomes : Outcomes
        Of all n rows.
    train, validation : int64
        Positions of rows.
    X : float32 [n, columns], memory-mapped
    columns : int64
        Positions of the columns that models may read.
    """

    outcomes: Outcomes
    train: np.ndarray
    validation: np.ndarray
    X: np.ndarray
    columns: np.ndarray

    @classmethod
    def of(cls, matrix: TrainingMatrix, outcomes: Outcomes, settings: Settings) -> RivalRows:
        """Return the rows of a matrix: those of train from which the teacher and its baselines learn too.

        Raises
        ------
        GateError
            The outcomes are not those of the matrix's rows.
        """
        if not np.array_equal(outcomes.customer, matrix.customer):
            raise GateError(
                f"{len(outcomes)} outcomes are not of the {len(matrix)} rows of the matrix",
                where="rivals of lists",
                fix="read the outcomes of the matrix's months and customers, in its order",
            )
        validation = matrix.rows("validation")
        readable = [place for place, name in enumerate(matrix.columns) if not settings.inputs.withholds(name)]
        return cls(
            outcomes,
            sample_customers(matrix.customer, matrix.rows("train"), settings.teacher.max_train_rows, settings.seed),
            np.arange(validation.start, validation.stop),
            matrix.X,
            np.array(readable, dtype=np.int64),
        )

    @cached_property
    def train_held(self) -> np.ndarray:
        """Return what the customers of the train rows hold, float64 [train, products]."""
        return self.outcomes.held[self.train].astype(np.float64)

    @cached_property
    def train_acquisitions(self) -> np.ndarray:
        """Return how often each product is acquired in the train rows, int64 [products]."""
        return np.asarray(self.outcomes.acquired[self.train].sum(axis=0, dtype=np.int64))


@dataclass(frozen=True)
class FittedRival:
    """A rival that can score any row.

    Parameters
    ----------
    scores : (held, X) -> float64 [n, products]
    facts : dict
        How it was made: rows that it learned from, chosen parameters. JSON-able.
    """

    scores: Scores
    facts: Mapping[str, Any]

    def score(self, held: np.ndarray, X: np.ndarray | None = None) -> np.ndarray:
        """Return the score of each product, float64 [n, products]; higher is better, held products have one too.

        Parameters
        ----------
        held : bool [n, products]
        X : float32 [n, columns], optional
            Rows of the matrix, or of a month with its columns; only a rival that reads columns needs it.

        Raises
        ------
        GateError
            The rival reads columns, and there are none.
        """
        return self.scores(held, X)


def choose(name: str, candidates: Sequence[tuple[Mapping[str, Any], Scores]], rows: RivalRows) -> FittedRival:
    """Return the candidate with the best NDCG@3 on validation; of equal ones the first, as where validation has no acquisition.

    Parameters
    ----------
    name
        Under which progress is reported.
    candidates
        Parameters with what they score; nothing is fitted before it is asked for scores, or it is already.
    """
    validation = rows.outcomes.take(rows.validation)
    tried = []
    for done, (parameters, scores) in enumerate(candidates, start=1):
        found = mean_ndcg(scores(validation.held, None), validation) if validation.acquires.any() else math.nan
        tried.append({**parameters, NDCG_3: number(found)})
        report_progress(f"{name}: candidate", done, len(candidates))
    best = max(range(len(tried)), key=lambda at: -math.inf if tried[at][NDCG_3] is None else tried[at][NDCG_3])
    parameters, scores = candidates[best]
    return FittedRival(scores, {"train_rows": len(rows.train), **parameters, "validation": tried})


def or_popularity(score: np.ndarray, held: np.ndarray, popularity: np.ndarray) -> np.ndarray:
    """Return scores, but popularity for who holds nothing: of such a customer a model of holdings can say nothing.

    Parameters
    ----------
    score : float [n, products]
    held : bool [n, products]
    popularity : [products]
    """
    return np.where(held.any(axis=1, keepdims=True), score, popularity)
