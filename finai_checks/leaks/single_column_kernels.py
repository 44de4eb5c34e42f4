"""C11, compiled walks over the sorted rows of a column, for all labels together.

Of a column, ``order`` int64 [n] holds the rows in ascending order, ``value`` int64 [n] the values in that order as whole numbers,
0 where missing, and ``bin_of`` int64 [n] the bin of each row, 0 where missing. Of labels, ``codes`` int16 [n, tasks] are classes,
-1 where masked, ``first`` [tasks + 1] tells where the classes of each task begin in the list of all, ``judged`` which of them
are looked at, and ``values`` float64 [n, tasks] are those of regressions, NaN where masked. ``fold`` uint8 [n] is the half of the
customers.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def bins_of(order: np.ndarray, value: np.ndarray, bins: int) -> tuple[np.ndarray, int]:
    """Return the bin of each row (0 holds what is missing) and how many rows are missing; equal values share a bin."""
    n = len(order)
    bin_of = np.zeros(n, np.int64)
    missing = 0
    while missing < n and value[missing] == 0:
        missing += 1
    distinct = 0
    for i in range(missing, n):
        if i == missing or value[i] != value[i - 1]:
            distinct += 1
    now, filled = 1, 0
    for i in range(missing, n):
        fresh = i > missing and value[i] != value[i - 1]
        # What is left is shared among the bins that are left: a value that fills several shares takes nothing from the others.
        if fresh and now < bins and (distinct <= bins or filled * (bins - now + 1) >= n - i + filled):
            now += 1
            filled = 0
        bin_of[order[i]] = now
        filled += 1
    return bin_of, missing


@numba.njit(cache=True, nogil=True)
def _rank_sums(order: np.ndarray, value: np.ndarray, codes: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the sum of mid-ranks of each class among the labelled rows of its task."""
    n, tasks = codes.shape
    sums = np.zeros(first[tasks])
    below, tied = np.zeros(tasks), np.zeros(tasks)
    begin = 0
    for i in range(n):
        for t in range(tasks):
            if codes[order[i], t] >= 0:
                tied[t] += 1
        if i + 1 == n or value[i + 1] != value[i]:
            for j in range(begin, i + 1):
                for t in range(tasks):
                    code = codes[order[j], t]
                    if code >= 0:
                        sums[first[t] + code] += below[t] + 0.5 * (tied[t] + 1)
            for t in range(tasks):
                below[t] += tied[t]
                tied[t] = 0
            begin = i + 1
    return sums


@numba.njit(cache=True, nogil=True)
def auc_of_bins(score: np.ndarray, positive: np.ndarray, total: np.ndarray) -> float:
    """AUC of binned rows under a score per bin; NaN without a positive or a negative."""
    bins = len(score)
    order = np.empty(bins, np.int64)
    for b in range(bins):  # sorted by insertion: the bins are few
        place = b
        while place > 0 and score[order[place - 1]] > score[b]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = b
    won, below, positives = 0.0, 0.0, 0.0
    tied_positive, tied_negative = 0.0, 0.0
    for i in range(bins):
        tied_positive += positive[order[i]]
        tied_negative += total[order[i]] - positive[order[i]]
        if i + 1 == bins or score[order[i + 1]] > score[order[i]]:
            won += tied_positive * (below + 0.5 * tied_negative)
            below += tied_negative
            positives += tied_positive
            tied_positive, tied_negative = 0.0, 0.0
    return won / (below * positives) if below > 0 and positives > 0 else np.nan


@numba.njit(cache=True, nogil=True)
def _counts(bin_of: np.ndarray, bins: int, codes: np.ndarray, first: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return rows of each class in each bin, by half: [2, all classes, bins]."""
    n, tasks = codes.shape
    count = np.zeros((2, first[tasks], bins))
    for i in range(n):
        for t in range(tasks):
            if codes[i, t] >= 0:
                count[fold[i], first[t] + codes[i, t], bin_of[i]] += 1
    return count


@numba.njit(cache=True, nogil=True)
def _learnt_auc(count: np.ndarray, total: np.ndarray, c: int) -> float:
    """AUC of a class's share in each bin, learnt on one half and scored on the other, meant over both; 0 where neither can."""
    bins = total.shape[1]
    score = np.empty(bins)
    learnt, halves = 0.0, 0
    for f in range(2):
        inside, rows = 0.0, 0.0
        for b in range(bins):
            inside += count[1 - f, c, b]
            rows += total[1 - f, b]
        share = (inside + 1) / (rows + 2)
        for b in range(bins):
            score[b] = (count[1 - f, c, b] + share) / (total[1 - f, b] + 1)
        half = auc_of_bins(score, count[f, c], total[f])
        if not np.isnan(half):
            learnt += half
            halves += 1
    return learnt / halves if halves > 0 else 0.0


@numba.njit(cache=True, nogil=True)
def class_skills(
    order: np.ndarray,
    value: np.ndarray,
    bin_of: np.ndarray,
    bins: int,
    codes: np.ndarray,
    first: np.ndarray,
    judged: np.ndarray,
    fold: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return for each classification task the best AUC of its judged classes, that class, the mean, and whether it is exact."""
    tasks = codes.shape[1]
    count = _counts(bin_of, bins, codes, first, fold)
    sums = _rank_sums(order, value, codes, first)
    skill, best_class, mean = np.full(tasks, np.nan), np.full(tasks, -1), np.full(tasks, np.nan)
    exact = np.zeros(tasks, np.bool_)
    total = np.empty((2, bins))
    for t in range(tasks):
        rows = 0.0
        for f in range(2):
            for b in range(bins):
                total[f, b] = 0.0
                for c in range(first[t], first[t + 1]):
                    total[f, b] += count[f, c, b]
                rows += total[f, b]
        added, classes = 0.0, 0
        for c in range(first[t], first[t + 1]):
            if not judged[c]:
                continue
            size = 0.0
            for f in range(2):
                for b in range(bins):
                    size += count[f, c, b]
            auc = (sums[c] - 0.5 * size * (size + 1)) / (size * (rows - size))
            best = max(auc, 1 - auc)
            if first[t + 1] - first[t] == 2 and best == 1:
                exact[t] = True
            best = max(best, _learnt_auc(count, total, c))
            added += best
            classes += 1
            if not best <= skill[t]:
                skill[t], best_class[t] = best, c - first[t]
        if classes > 0:
            mean[t] = added / classes
            if _without_error(count, total, first[t], first[t + 1]):
                exact[t] = True
    return skill, best_class, mean, exact


@numba.njit(cache=True, nogil=True)
def _without_error(count: np.ndarray, total: np.ndarray, begin: int, end: int) -> bool:
    """Return whether the most frequent class of each bin in one half is that of all its rows in the other."""
    for f in range(2):
        for b in range(total.shape[1]):
            if total[f, b] == 0:
                continue
            top, most = -1, 0.0
            for c in range(begin, end):
                if count[1 - f, c, b] > most:
                    top, most = c, count[1 - f, c, b]
            if top < 0 or count[f, top, b] < total[f, b]:
                return False
    return True


@numba.njit(cache=True, nogil=True)
def _isotonic_spread(mean: np.ndarray, weight: np.ndarray, sign: float) -> float:
    """Return the weighted sum of squares of the best rising (falling: sign -1) fit to centred means (pool adjacent violators).

    Barlow, Bartholomew, Bremner and Brunk: Statistical inference under order restrictions, 1972.
    """
    height, size = np.empty(len(mean)), np.empty(len(mean))
    top = 0
    for i in range(len(mean)):
        level, mass = sign * mean[i], weight[i]
        while top > 0 and height[top - 1] >= level:
            top -= 1
            level = (level * mass + height[top] * size[top]) / (mass + size[top])
            mass += size[top]
        height[top], size[top] = level, mass
        top += 1
    squares = 0.0
    for i in range(top):
        squares += height[i] * height[i] * size[i]
    return squares


@numba.njit(cache=True, nogil=True)
def _monotone_spread(order: np.ndarray, value: np.ndarray, missing: int, y: np.ndarray) -> float:
    """Return the sum of squares of the best monotone fit to centred labels; missing values have a mean of their own."""
    n = len(order)
    mean, weight = np.empty(n), np.empty(n)
    ties, total, mass, squares = 0, 0.0, 0.0, 0.0
    for i in range(n):
        if not np.isnan(y[order[i]]):
            total += y[order[i]]
            mass += 1
        if i + 1 < n and value[i + 1] == value[i]:
            continue
        if mass > 0 and i < missing:
            squares = total * total / mass
        elif mass > 0:
            mean[ties], weight[ties] = total / mass, mass
            ties += 1
        total, mass = 0.0, 0.0
    rising = _isotonic_spread(mean[:ties], weight[:ties], 1.0)
    return squares + max(rising, _isotonic_spread(mean[:ties], weight[:ties], -1.0))


@numba.njit(cache=True, nogil=True)
def _learnt_spread(bin_of: np.ndarray, bins: int, y: np.ndarray, fold: np.ndarray) -> float:
    """Return how much of the spread of centred labels the means per bin explain that the other half has learnt."""
    sums, counts = np.zeros((2, bins)), np.zeros((2, bins))
    for i in range(len(y)):
        if not np.isnan(y[i]):
            sums[fold[i], bin_of[i]] += y[i]
            counts[fold[i], bin_of[i]] += 1
    explained = 0.0
    for f in range(2):
        for b in range(bins):
            g = sums[1 - f, b] / (counts[1 - f, b] + 1)
            explained += 2 * g * sums[f, b] - g * g * counts[f, b]  # y^2 - (y - g)^2, over the bin's rows
    return explained


@numba.njit(cache=True, nogil=True)
def value_skills(
    order: np.ndarray,
    value: np.ndarray,
    missing: int,
    bin_of: np.ndarray,
    bins: int,
    values: np.ndarray,
    fold: np.ndarray,
) -> np.ndarray:
    """Return the R2 of the best of three predictors of each regression task: rising, falling, a mean per bin."""
    n, tasks = values.shape
    skill = np.full(tasks, np.nan)
    y = np.empty(n)
    for t in range(tasks):
        rows, centre, spread = 0, 0.0, 0.0
        for i in range(n):
            if not np.isnan(values[i, t]):
                rows += 1
                centre += values[i, t]
        centre /= max(rows, 1)
        for i in range(n):
            y[i] = values[i, t] - centre
            if not np.isnan(y[i]):
                spread += y[i] * y[i]
        if spread > 1e-12 * rows * max(1.0, centre * centre):
            monotone = _monotone_spread(order, value, missing, y)
            skill[t] = max(monotone, _learnt_spread(bin_of, bins, y, fold)) / spread
    return skill
