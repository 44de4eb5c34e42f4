"""C11, columns by themselves: how well each single column of a matrix tells each label.

Every column is sorted once. From that one order come, for all tasks together:

- *binary*: the area under the ROC curve (AUC), two-sided, and the AUC of a score learnt per bin;
- *multiclass*: the same for each class against the rest, of which the best counts, so that a column that gives away one class
  alone shows. A mean over classes, or a normalised mutual information, would dilute it among fifty classes;
- *regression*: R2 of the best monotone function (isotonic, rising or falling), and of a mean learnt per bin.

The bins see what an order cannot: a code, a value in the middle, an absence. Missing values are a bin of their own; other bins
hold about equally many rows, or one value each where there are few values. What is learnt per bin is learnt on one half of the
customers and scored on the other, so that many bins and few positives do not look like skill. With ``b`` bins a perfect column
whose positives share a bin with negatives still has an AUC of at least 1 - 1 / (2 b): 64 bins are fine enough to see .98.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np

from finai_assets.features.labelling import MatrixTask
from finai_assets.features.sampling import customer_hash

EXACT = 1 - 1e-9  # a regression's R2 from here on is a reconstruction, but for rounding
_CHUNK = 16  # columns that a thread takes at a time


@dataclass(frozen=True)
class Targets:
    """The labels of some rows, as the walks over sorted rows read them.

    Parameters
    ----------
    tasks : tuple of MatrixTask
    codes : int16 [n, classification tasks]
        Class of each row, -1 where masked.
    first : int64 [classification tasks + 1]
        Where each of these tasks begins in the flat list of all their classes.
    judged : bool [all classes]
        Classes with enough rows inside and outside; of a binary task the second one alone, since the first is its complement.
    values : float64 [n, regression tasks]
        NaN where masked.
    fold : uint8 [n]
        Half of the customers that the row belongs to, 0 or 1.
    customer : int64 [n]
    """

    tasks: tuple[MatrixTask, ...]
    codes: np.ndarray
    first: np.ndarray
    judged: np.ndarray
    values: np.ndarray
    fold: np.ndarray
    customer: np.ndarray

    @classmethod
    def of(
        cls,
        tasks: Sequence[MatrixTask],
        labels: Mapping[str, np.ndarray],
        customer: np.ndarray,
        *,
        class_rows: int,
        seed: int,
    ) -> Targets:
        """Take the labels (float [n], NaN where masked) of some rows of some customers.

        Parameters
        ----------
        class_rows
            Fewer rows than that in a class, or outside it, and the class is not judged.
        """
        n = len(customer)
        named, numeric = _by_kind(tasks)
        codes = np.full((n, len(named)), -1, np.int16)
        for t, task in enumerate(named):
            known = np.isfinite(labels[task.name])
            codes[known, t] = labels[task.name][known]
        first = np.cumsum([0, *(classes_of(task) for task in named)])
        judged = np.zeros(first[-1], bool)
        for t, task in enumerate(named):
            size = np.bincount(codes[codes[:, t] >= 0, t], minlength=classes_of(task))
            judged[first[t] : first[t + 1]] = (size >= class_rows) & (size.sum() - size >= class_rows)
            if task.kind == "binary":
                judged[first[t]] = False
        values = np.empty((n, len(numeric)))
        for t, task in enumerate(numeric):
            values[:, t] = labels[task.name]
        fold = (customer_hash(customer, seed=seed, salt="leak halves") & np.uint64(1)).astype(np.uint8)
        return cls(tuple(tasks), codes, first.astype(np.int64), judged, values, fold, np.asarray(customer))

    def place(self, name: str) -> tuple[str, int]:
        """Return ``codes`` or ``values``, and the position of a task in it."""
        named, numeric = _by_kind(self.tasks)
        for where, members in (("codes", named), ("values", numeric)):
            for position, task in enumerate(members):
                if task.name == name:
                    return where, position
        raise KeyError(name)

    def judged_classes(self, name: str) -> np.ndarray:
        """Return the classes of a classification task that are judged, int64."""
        _, t = self.place(name)
        return np.flatnonzero(self.judged[self.first[t] : self.first[t + 1]])

    def label(self, name: str, chosen: int = -1) -> np.ndarray:
        """Return a task's label, or that of one class against the rest: float64 [n], NaN where masked."""
        where, t = self.place(name)
        if where == "values":
            return np.asarray(self.values[:, t])
        return np.where(self.codes[:, t] < 0, np.nan, self.codes[:, t] == chosen)

    def sufficient(self, name: str) -> bool:
        """Tell whether the rows can say anything about a task: a class that is judged, or values that differ."""
        where, t = self.place(name)
        if where == "codes":
            return len(self.judged_classes(name)) > 0
        known = self.values[np.isfinite(self.values[:, t]), t]
        return len(known) > 1 and bool(np.ptp(known) > 0)


def classes_of(task: MatrixTask) -> int:
    """Return the number of classes of a classification task."""
    return 2 if task.kind == "binary" else task.classes


def _by_kind(tasks: Sequence[MatrixTask]) -> tuple[list[MatrixTask], list[MatrixTask]]:
    return [t for t in tasks if t.kind != "regression"], [t for t in tasks if t.kind == "regression"]


@dataclass(frozen=True)
class Skills:
    """How well each of some columns tells each label.

    Parameters
    ----------
    skill : float64 [columns, tasks]
        AUC, best AUC of a class against the rest, or R2; NaN where the rows are too few.
    chosen : int64 [columns, tasks]
        The class that is told best; -1 for a regression.
    exact : bool [columns, tasks]
        Whether the label is a function of the column.
    """

    skill: np.ndarray
    chosen: np.ndarray
    exact: np.ndarray


def column_skills(columns: np.ndarray, targets: Targets, *, bins: int, threads: int) -> Skills:
    """Measure each column by itself.

    Parameters
    ----------
    columns : float32 [d, n]
        A column a row; NaN where missing.
    bins
        At most so many beside the one of missing values.
    """
    d = len(columns)
    tasks = len(targets.tasks)
    result = Skills(np.full((d, tasks), np.nan), np.full((d, tasks), -1, np.int64), np.zeros((d, tasks), bool))
    named, numeric = _by_kind(targets.tasks)
    at_named = np.array([i for i, task in enumerate(targets.tasks) if task.kind != "regression"], np.int64)
    at_numeric = np.array([i for i, task in enumerate(targets.tasks) if task.kind == "regression"], np.int64)

    def measure(begin: int) -> None:
        for c in range(begin, min(d, begin + _CHUNK)):
            order, value = _sorted_rows(columns[c])
            bin_of, missing = _bins(order, value, bins)
            if named:
                skill, chosen, exact = _class_skills(
                    order, value, bin_of, bins + 1, targets.codes, targets.first, targets.judged, targets.fold
                )
                result.skill[c, at_named], result.chosen[c, at_named] = skill, chosen
                result.exact[c, at_named] = exact
            if numeric:
                r2 = _value_skills(order, value, missing, bin_of, bins + 1, targets.values, targets.fold)
                result.skill[c, at_numeric], result.exact[c, at_numeric] = r2, r2 >= EXACT

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(measure, range(0, d, _CHUNK)))
    return result


def _sorted_rows(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows in ascending order of a float32 column, and its values as ordered whole numbers; missing is 0, the lowest.

    Value and row are sorted as the two halves of one whole number, which is several times quicker than sorting indices.
    """
    bits = (column + np.float32(0)).view(np.uint32)  # plus zero: -0 and 0 are one value
    ordered = np.where(bits >> np.uint32(31), ~bits, bits | np.uint32(1 << 31))
    ordered[np.isnan(column)] = 0
    key = (ordered.astype(np.uint64) << np.uint64(32)) | np.arange(len(column), dtype=np.uint64)
    key.sort()
    return (key & np.uint64(0xFFFFFFFF)).astype(np.int64), (key >> np.uint64(32)).astype(np.int64)


@numba.njit(cache=True, nogil=True)
def _bins(order: np.ndarray, value: np.ndarray, bins: int) -> tuple[np.ndarray, int]:
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
def _auc_of_bins(score: np.ndarray, positive: np.ndarray, total: np.ndarray) -> float:
    """AUC of binned rows under a score per bin; NaN without a positive or a negative."""
    order = np.argsort(score)
    won, below, positives = 0.0, 0.0, 0.0
    i = 0
    while i < len(order):
        tied_positive, tied_negative = 0.0, 0.0
        j = i
        while j < len(order) and score[order[j]] == score[order[i]]:
            tied_positive += positive[order[j]]
            tied_negative += total[order[j]] - positive[order[j]]
            j += 1
        won += tied_positive * (below + 0.5 * tied_negative)
        below += tied_negative
        positives += tied_positive
        i = j
    return won / (below * positives) if below > 0 and positives > 0 else np.nan


@numba.njit(cache=True, nogil=True)
def _class_skills(
    order: np.ndarray,
    value: np.ndarray,
    bin_of: np.ndarray,
    bins: int,
    codes: np.ndarray,
    first: np.ndarray,
    judged: np.ndarray,
    fold: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the best AUC over the judged classes of each classification task, that class, and whether nothing is in doubt."""
    n, tasks = codes.shape
    count = np.zeros((2, first[tasks], bins))
    for i in range(n):
        for t in range(tasks):
            if codes[i, t] >= 0:
                count[fold[i], first[t] + codes[i, t], bin_of[i]] += 1
    sums = _rank_sums(order, value, codes, first)
    skill, chosen = np.full(tasks, np.nan), np.full(tasks, -1)
    exact = np.zeros(tasks, np.bool_)
    for t in range(tasks):
        low, high = first[t], first[t + 1]
        total = count[:, low:high].sum(axis=1)
        rows = total.sum()
        for c in range(low, high):
            if not judged[c]:
                continue
            size = count[:, c].sum()
            auc = (sums[c] - 0.5 * size * (size + 1)) / (size * (rows - size))
            best = max(auc, 1 - auc)
            if high - low == 2 and best == 1:
                exact[t] = True
            learnt, halves = 0.0, 0
            for f in range(2):
                share = (count[1 - f, c].sum() + 1) / (total[1 - f].sum() + 2)
                score = (count[1 - f, c] + share) / (total[1 - f] + 1)
                half = _auc_of_bins(score, count[f, c], total[f])
                if half == half:
                    learnt += half
                    halves += 1
            if halves > 0:
                best = max(best, learnt / halves)
            if not best <= skill[t]:
                skill[t], chosen[t] = best, c - low
        if chosen[t] >= 0 and _without_error(count[:, low:high], total):
            exact[t] = True
    return skill, chosen, exact


@numba.njit(cache=True, nogil=True)
def _without_error(count: np.ndarray, total: np.ndarray) -> bool:
    """Tell whether the most frequent class of each bin in one half [halves, classes, bins] is that of all its rows in the other."""
    for f in range(2):
        for b in range(total.shape[1]):
            if total[f, b] > 0 and (total[1 - f, b] == 0 or count[f, np.argmax(count[1 - f, :, b]), b] < total[f, b]):
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
    return (height[:top] * height[:top] * size[:top]).sum()


@numba.njit(cache=True, nogil=True)
def _value_skills(
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
    mean, weight = np.empty(n), np.empty(n)
    for t in range(tasks):
        rows, centre = 0, 0.0
        for i in range(n):
            if not np.isnan(values[i, t]):
                rows += 1
                centre += values[i, t]
        if rows < 2:
            continue
        centre /= rows
        spread = 0.0
        sums, counts = np.zeros((2, bins)), np.zeros((2, bins))
        for i in range(n):
            y = values[i, t] - centre
            if not np.isnan(y):
                spread += y * y
                sums[fold[i], bin_of[i]] += y
                counts[fold[i], bin_of[i]] += 1
        if spread <= 1e-12 * rows * max(1.0, centre * centre):
            continue
        ties, total, mass, absent, without = 0, 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            y = values[order[i], t] - centre
            if not np.isnan(y):
                total += y
                mass += 1
            if i + 1 == n or value[i + 1] != value[i]:
                if i < missing:
                    absent, without = total, mass
                elif mass > 0:
                    mean[ties], weight[ties] = total / mass, mass
                    ties += 1
                total, mass = 0.0, 0.0
        explained = max(
            _isotonic_spread(mean[:ties], weight[:ties], 1.0), _isotonic_spread(mean[:ties], weight[:ties], -1.0)
        )
        if without > 0:
            explained += absent * absent / without
        # Sum over rows of 2 y g - g^2, with g what the other half learnt, is how much of the spread g explains.
        learnt = 0.0
        for f in range(2):
            for b in range(bins):
                g = sums[1 - f, b] / (counts[1 - f, b] + 1)
                learnt += 2 * g * sums[f, b] - g * g * counts[f, b]
        skill[t] = max(explained, learnt) / spread
    return skill


def skill_interval(kind: str, skill: float, label: np.ndarray, customer: np.ndarray, *, z: float) -> tuple[float, float]:
    """Return an analytic interval of a skill, with customers, not rows, as what was drawn.

    AUC: Hanley and McNeil, The meaning and use of the area under a ROC curve, Radiology 143, 1982. R2: Olkin and Finn,
    Correlations redux, Psychological Bulletin 118, 1995.

    Parameters
    ----------
    kind
        ``regression``, or else an AUC of a 0/1 label.
    label : float [n]
        NaN where masked.
    z
        Standard errors to either side.
    """
    if kind == "regression":
        units = len(np.unique(customer[np.isfinite(label)]))
        variance = 4 * max(skill, 0.0) * (1 - skill) ** 2 / max(units, 1)
    else:
        inside, outside = len(np.unique(customer[label == 1])), len(np.unique(customer[label == 0]))
        first, second = skill / (2 - skill), 2 * skill**2 / (1 + skill)
        variance = (
            skill * (1 - skill) + (inside - 1) * (first - skill**2) + (outside - 1) * (second - skill**2)
        ) / max(inside * outside, 1)
    error = z * float(np.sqrt(max(variance, 0.0)))
    return max(0.0, skill - error), min(1.0, skill + error)
