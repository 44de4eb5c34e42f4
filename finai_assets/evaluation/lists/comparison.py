"""Compares lists of the same rows: figures, differences and lift shares with intervals, over all rows or by groups of them.

Customers are resampled, each with all of its rows (:mod:`finai_assets.scoring.resampling`). The figures of each row are computed
once and added up per customer; a resample then weighs these sums. All lists, and all groups, see the same resamples, so what two
lists have in common cancels in their difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from finai_assets.evaluation.lists.metrics import (
    ACCURACY,
    COVERAGE,
    NOVELTY,
    PRIMARY,
    accuracy_of_rows,
    coverage,
    novelty_of_rows,
    rank_products,
    self_information,
)
from finai_assets.scoring.metrics import Estimate
from finai_assets.scoring.resampling import Interval, draw_copies
from finai_resources.errors import GateError

if TYPE_CHECKING:
    from finai_assets.evaluation.lists.outcomes import Outcomes
    from finai_assets.settings.method import MetricSettings

_SAMPLED = (*ACCURACY, NOVELTY)


@dataclass(frozen=True)
class ComparedLists:
    """Lists of the same rows, ready to be told and compared.

    Parameters
    ----------
    rows : int
        With or without an acquisition.
    acquiring : int
        Those with one, on which accuracy stands.
    customers : int
        Who acquire anything.
    samples : list -> figure -> float64 [1 + resamples]
        First the value on all rows; NaN where not defined.
    coverage : list -> float
    confidence : float
        Of the intervals.
    """

    rows: int
    acquiring: int
    customers: int
    samples: Mapping[str, Mapping[str, np.ndarray]]
    coverage: Mapping[str, float]
    confidence: float

    def figures(self, name: str) -> dict[str, Estimate]:
        """Return every figure of a list; ``n`` counts the rows that it stands on. Coverage has no interval."""
        found = {figure: self._estimate(samples, figure) for figure, samples in self.samples[name].items()}
        found[COVERAGE] = Estimate(self.coverage[name], math.nan, math.nan, self.rows, "a count has no interval")
        return found

    def difference(self, a: str, b: str, figure: str = PRIMARY) -> Estimate:
        """Return the difference a - b of a figure on the same resamples; above zero favours ``a``.

        :func:`finai_assets.scoring.metrics.verdict` reads it.
        """
        return self._estimate(self.samples[a][figure] - self.samples[b][figure], figure)

    def lift_share(self, name: str, *, popularity: str, ceiling: str, figure: str = PRIMARY) -> Estimate:
        """Return how far a list gets from popularity to the ceiling: (figure - popularity) / (ceiling - popularity).

        The three figures of a resample make its share. Not defined where the ceiling is not above popularity.
        """
        floor = self.samples[popularity][figure]
        room = self.samples[ceiling][figure] - floor
        share = np.divide(self.samples[name][figure] - floor, room, out=np.full(len(room), np.nan), where=room > 0)
        return self._estimate(share, figure, undefined="the ceiling is not above popularity")

    def _estimate(self, samples: np.ndarray, figure: str, *, undefined: str = "") -> Estimate:
        n = self.rows if figure == NOVELTY else self.acquiring
        found = Interval.of(samples, self.confidence)
        if not math.isfinite(found.value):
            reason = "no row acquires anything" if not self.acquiring else undefined or "no row is shown a product"
            return Estimate(math.nan, math.nan, math.nan, n, reason)
        if figure != NOVELTY and self.customers < 2:
            return Estimate(found.value, math.nan, math.nan, n, "one customer has no interval")
        note = "" if math.isfinite(found.low) else "too few customers for an interval"
        return Estimate(found.value, found.low, found.high, n, note)


def compare_lists(
    scores: Mapping[str, np.ndarray],
    outcomes: Outcomes,
    train_acquisitions: np.ndarray,
    settings: MetricSettings,
    *,
    seed: int,
) -> ComparedLists:
    """Measure lists on all rows.

    Parameters
    ----------
    scores : list -> float [n, products]
        Higher is better; NaN or minus infinity: not in the list. Given lists become scores by
        :func:`~finai_assets.evaluation.lists.metrics.scores_of_lists`. Held products are left out, and of equal scores the lower
        product id comes first.
    outcomes : Outcomes
        Of the n rows.
    train_acquisitions : int64 [products]
        Of which novelty is the self-information.
    seed : int
        The same customers and seed draw the same resamples.

    Raises
    ------
    GateError
        Shapes disagree, or there is no row.
    """
    every = np.zeros(len(outcomes), dtype=np.int64)
    return _compare(scores, outcomes, train_acquisitions, every, 1, settings, seed)[0]


def compare_by_group(
    scores: Mapping[str, np.ndarray],
    outcomes: Outcomes,
    train_acquisitions: np.ndarray,
    group: np.ndarray,
    settings: MetricSettings,
    *,
    seed: int,
) -> dict[str, ComparedLists]:
    """Measure lists within groups of rows, such as segments or age bands.

    Parameters
    ----------
    group : str [n]
        Of each row; a customer may be in another in another month.

    Returns
    -------
    group -> ComparedLists
        In the order of the names. The other arguments are those of :func:`compare_lists`.

    Raises
    ------
    GateError
        Shapes disagree, or there is no row.
    """
    if len(group) != len(outcomes):
        raise _mismatch(f"{len(group)} group labels and {len(outcomes)} rows do not belong together")
    names, label = np.unique(np.asarray(group).astype(str), return_inverse=True)
    found = _compare(scores, outcomes, train_acquisitions, label, len(names), settings, seed)
    return dict(zip(names.tolist(), found, strict=True))


def _compare(
    scores: Mapping[str, np.ndarray],
    outcomes: Outcomes,
    train_acquisitions: np.ndarray,
    label: np.ndarray,
    groups: int,
    settings: MetricSettings,
    seed: int,
) -> list[ComparedLists]:
    if not len(outcomes):
        raise _mismatch("there is no row to measure lists on")
    information = self_information(train_acquisitions)
    if len(information) != outcomes.products:
        raise _mismatch(f"{len(information)} train counts and {outcomes.products} products do not belong together")
    names, unit = np.unique(outcomes.customer, return_inverse=True)
    cell = unit * groups + label  # a customer in a group
    tops, bottoms, covered = [], [], {}
    for name, score in scores.items():
        ranked = rank_products(score, outcomes.held)
        accuracy = accuracy_of_rows(ranked, outcomes.acquired)
        told, shown = novelty_of_rows(ranked, information)
        counted = outcomes.acquires.astype(np.float64)
        tops.append(_per_cell(cell, len(names) * groups, *np.nan_to_num(accuracy).T, told))
        bottoms.append(_per_cell(cell, len(names) * groups, *[counted] * len(ACCURACY), shown))
        covered[name] = [coverage(ranked[label == group]) for group in range(groups)]
    top, bottom = (_by_customer(parts, len(names)) for parts in (tops, bottoms))
    means = []
    for copies in draw_copies(len(names), settings.bootstrap_samples, seed):
        weight = copies @ bottom
        means.append(np.divide(copies @ top, weight, out=np.full(weight.shape, np.nan), where=weight > 0))
    samples = np.concatenate(means).reshape(-1, groups, len(scores), len(_SAMPLED))
    acquires = outcomes.acquires
    return [
        ComparedLists(
            rows=int((label == group).sum()),
            acquiring=int((acquires & (label == group)).sum()),
            customers=len(np.unique(unit[acquires & (label == group)])),
            samples={
                name: {figure: samples[:, group, at, place] for place, figure in enumerate(_SAMPLED)}
                for at, name in enumerate(scores)
            },
            coverage={name: covered[name][group] for name in scores},
            confidence=settings.confidence,
        )
        for group in range(groups)
    ]


def _per_cell(cell: np.ndarray, cells: int, *columns: np.ndarray) -> np.ndarray:
    """Add up row values per customer and group: [cells, columns]."""
    return np.column_stack([np.bincount(cell, column, minlength=cells) for column in columns])


def _by_customer(parts: list[np.ndarray], customers: int) -> np.ndarray:
    """Lay the sums of all lists side by side: [customers, groups x lists x figures]."""
    return np.stack(parts, axis=1).reshape(customers, -1)


def _mismatch(what: str) -> GateError:
    return GateError(what, where="comparison of lists", fix="pass the same rows and products for every list")
