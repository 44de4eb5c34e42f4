"""Compiled walks over sorted rows: the metrics that depend on order, under many weightings at once.

``weights`` [resamples, customers] holds copies per customer, ``unit`` the customer of each row. Where rows come sorted, so do
``unit``, ``positive`` and ``last`` (whether a row is the last of its tie). A resample in which a metric is not defined has NaN.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def auc(weights: np.ndarray, unit: np.ndarray, positive: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Chance that a positive ranks above a negative, ties counting half (Mann-Whitney), rows ascending by score."""
    result = np.full(weights.shape[0], np.nan)
    for b in range(weights.shape[0]):
        below, won, tie_negative, tie_positive, positives = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(unit.shape[0]):
            weight = weights[b, unit[i]]
            if positive[i]:
                tie_positive += weight
            else:
                tie_negative += weight
            if last[i]:
                won += tie_positive * (below + 0.5 * tie_negative)
                below += tie_negative
                positives += tie_positive
                tie_negative, tie_positive = 0.0, 0.0
        if below > 0 and positives > 0:
            result[b] = won / (below * positives)
    return result


@numba.njit(cache=True, nogil=True)
def average_precision(weights: np.ndarray, unit: np.ndarray, positive: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Sum of precision times gain of recall over distinct scores, rows descending by score."""
    result = np.full(weights.shape[0], np.nan)
    for b in range(weights.shape[0]):
        seen, hits, tie_hits, area = 0.0, 0.0, 0.0, 0.0
        for i in range(unit.shape[0]):
            weight = weights[b, unit[i]]
            seen += weight
            if positive[i]:
                tie_hits += weight
            if last[i]:
                hits += tie_hits
                if tie_hits > 0:
                    area += tie_hits * hits / seen
                tie_hits = 0.0
        if hits > 0:
            result[b] = area / hits
    return result


@numba.njit(cache=True, nogil=True)
def _midranks(weight: np.ndarray, unit: np.ndarray, order: np.ndarray, last: np.ndarray, rank: np.ndarray) -> None:
    """Write the average rank that each row's copies have in the resample."""
    begin, below, tie = 0, 0.0, 0.0
    for i in range(order.shape[0]):
        tie += weight[unit[order[i]]]
        if last[order[i]]:
            for j in range(begin, i + 1):
                rank[order[j]] = below + 0.5 * (tie + 1)
            begin, below, tie = i + 1, below + tie, 0.0


@numba.njit(cache=True, nogil=True)
def midranks_correlation(
    weights: np.ndarray,
    unit: np.ndarray,
    first: tuple[np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Pearson correlation of mid-ranks."""
    n = unit.shape[0]
    result = np.full(weights.shape[0], np.nan)
    left, right = np.empty(n), np.empty(n)
    for b in range(weights.shape[0]):
        weight = weights[b]
        _midranks(weight, unit, first[0], first[1], left)
        _midranks(weight, unit, second[0], second[1], right)
        total = 0.0
        for i in range(n):
            total += weight[unit[i]]
        centre = 0.5 * (total + 1)  # the mean rank, ties or not
        xx, yy, xy = 0.0, 0.0, 0.0
        for i in range(n):
            w, x, y = weight[unit[i]], left[i] - centre, right[i] - centre
            xx += w * x * x
            yy += w * y * y
            xy += w * x * y
        if xx > 0 and yy > 0:
            result[b] = xy / np.sqrt(xx * yy)
    return result


@numba.njit(cache=True, nogil=True)
def _sum_up_to(tree: np.ndarray, place: int) -> float:
    """Return the sum of the first ``place`` entries of a Fenwick tree."""
    total = 0.0
    while place > 0:
        total += tree[place]
        place -= place & -place
    return total


@numba.njit(cache=True, nogil=True)
def pair_order(weights: np.ndarray, unit: np.ndarray, first: np.ndarray, place: np.ndarray, gap: float) -> np.ndarray:
    """Concordant minus discordant pairs as a share of all pairs whose ``first`` values are more than ``gap`` apart.

    Rows come ascending by ``first``; ``place`` is the dense rank of the second value from 0 on. A pair that ties in the second
    value counts in the share and is neither concordant nor discordant, so that a constant scores 0.
    """
    n = unit.shape[0]
    places = place.max() + 1
    result = np.full(weights.shape[0], np.nan)
    tree = np.empty(places + 1)
    for b in range(weights.shape[0]):
        tree[:] = 0.0
        held, won, pairs, j = 0.0, 0.0, 0.0, 0
        for i in range(n):
            while first[i] - first[j] > gap:
                weight = weights[b, unit[j]]
                if weight > 0:
                    held += weight
                    at = place[j] + 1
                    while at <= places:
                        tree[at] += weight
                        at += at & -at
                j += 1
            weight = weights[b, unit[i]]
            if weight > 0 and held > 0:
                won += weight * (_sum_up_to(tree, place[i]) + _sum_up_to(tree, place[i] + 1) - held)
                pairs += weight * held
        if pairs > 0:
            result[b] = won / pairs
    return result


@numba.njit(cache=True, nogil=True)
def top_overlap(
    weights: np.ndarray,
    unit: np.ndarray,
    value: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    share: float,
    tolerance: float,
) -> np.ndarray:
    """Of the rows at the top of the second order, the share whose ``value`` reaches the top of the first within a tolerance.

    ``first`` and ``second`` are orders of the rows, best first; the first is that of ``value``. The top is a share of all copies.
    """
    n = unit.shape[0]
    result = np.full(weights.shape[0], np.nan)
    for b in range(weights.shape[0]):
        total = 0.0
        for i in range(n):
            total += weights[b, unit[i]]
        border, taken = 0.0, 0.0
        for i in range(n):
            if taken >= share * total:
                break
            taken += weights[b, unit[first[i]]]
            border = value[first[i]]
        both, reached = 0.0, 0.0
        for i in range(n):
            if reached >= share * total:
                break
            weight = weights[b, unit[second[i]]]
            reached += weight
            if value[second[i]] >= border - tolerance:
                both += weight
        if reached > 0:
            result[b] = both / reached
    return result
