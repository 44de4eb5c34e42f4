"""What rivals learn from, what a fitted one gives back, and how they choose their parameters."""

from __future__ import annotations

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


def choose(
    name: str, candidates: Sequence[Mapping[str, Any]], fit: Callable[[Mapping[str, Any]], Scores], rows: RivalRows
) -> FittedRival:
    """Fit a rival with each candidate's parameters and return the one with the best NDCG@3 on validation.

    Of equal ones the first is kept, and so it is where validation has no acquisition.

    Parameters
    ----------
    name
        Under which progress is reported.
    candidates
        Parameters by name; they become facts of the rival, with what each candidate reached.
    fit
        From parameters to scores of rows, fitted on train.
    """
    validation = rows.outcomes.take(rows.validation)
    tried: list[dict[str, Any]] = []
    best: tuple[float, Mapping[str, Any], Scores] | None = None
    for done, parameters in enumerate(candidates, start=1):
        scores = fit(parameters)
        found = mean_ndcg(scores(validation.held, None), validation)
        tried.append({**parameters, NDCG_3: number(found)})
        if best is None or found > best[0]:
            best = (found, parameters, scores)
        report_progress(f"{name}: candidate", done, len(candidates))
    assert best is not None  # noqa: S101 - the settings hold no empty grid
    return FittedRival(best[2], {"train_rows": len(rows.train), **best[1], "validation": tried})


def or_popularity(score: np.ndarray, held: np.ndarray, popularity: np.ndarray) -> np.ndarray:
    """Return scores, but popularity for who holds nothing: of such a customer a model of holdings can say nothing.

    Parameters
    ----------
    score : float [n, products]
    held : bool [n, products]
    popularity : [products]
    """
    return np.where(held.any(axis=1, keepdims=True), score, popularity)
