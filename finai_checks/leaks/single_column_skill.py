"""C11, columns by themselves: how well each single column of a matrix predicts each label.

Every column is sorted once. From that one order come, for all tasks together:

- *binary*: the area under the ROC curve (AUC), two-sided, and the AUC of a score learnt per bin;
- *multiclass*: the same for each class against the rest, of which the best counts, so that a column that reveals one class
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

import numpy as np

from finai_assets.features.sampling import customer_hash
from finai_assets.training.labelling import MatrixTask
from finai_checks.leaks.single_column_kernels import bins_of, class_skills, value_skills

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
        Classes with enough customers inside and outside; of a binary task the second alone, since the first is its complement.
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
        class_customers: int,
        task_customers: int,
        seed: int,
    ) -> Targets:
        """Take the labels (float [n], NaN where masked) of some rows of some customers.

        Parameters
        ----------
        class_customers
            A class that fewer customers have a row of, or outside of which fewer have one, is not judged where the task has
            a larger one. Customers count and not rows: a column that knows one of them by luck knows all of their months.
        task_customers
            The same number for a task none of whose classes has ``class_customers``.
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
            size = _customers_of(codes[:, t], customer, classes_of(task))
            if task.kind == "binary":
                size[0] = 0
            judged[first[t] : first[t + 1]] = size >= (
                class_customers if size.max() >= class_customers else task_customers
            )
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

    def label(self, name: str, of_class: int = -1) -> np.ndarray:
        """Return a task's label, or that of one class against the rest: float64 [n], NaN where masked."""
        where, t = self.place(name)
        if where == "values":
            return np.asarray(self.values[:, t])
        return np.where(self.codes[:, t] < 0, np.nan, self.codes[:, t] == of_class)

    def sufficient(self, name: str) -> bool:
        """Return whether the rows can judge a task: some class is judged, or the values differ."""
        where, t = self.place(name)
        if where == "codes":
            return len(self.judged_classes(name)) > 0
        known = self.values[np.isfinite(self.values[:, t]), t]
        return len(known) > 1 and bool(np.ptp(known) > 0)


def classes_of(task: MatrixTask) -> int:
    """Return the number of classes of a classification task."""
    return 2 if task.kind == "binary" else task.classes


def _customers_of(code: np.ndarray, customer: np.ndarray, classes: int) -> np.ndarray:
    """Return of each class how many customers have a row of it, or have one of another class: the fewer, int64 [classes]."""
    known = code >= 0
    names, place = np.unique(customer[known], return_inverse=True)
    rows = np.zeros((len(names), classes), np.int64)
    np.add.at(rows, (place, code[known]), 1)
    return np.minimum((rows > 0).sum(axis=0), (rows.sum(axis=1, keepdims=True) > rows).sum(axis=0))


def _by_kind(tasks: Sequence[MatrixTask]) -> tuple[list[MatrixTask], list[MatrixTask]]:
    return [t for t in tasks if t.kind != "regression"], [t for t in tasks if t.kind == "regression"]


@dataclass(frozen=True)
class Skills:
    """How well each of some columns predicts each label.

    Parameters
    ----------
    skill : float64 [columns, tasks]
        AUC, best AUC of a class against the rest, or R2; NaN where the rows are too few.
    best_class : int64 [columns, tasks]
        The class that is predicted best; -1 for a regression.
    mean : float64 [columns, tasks]
        The same skill, but averaged over the judged classes.
    exact : bool [columns, tasks]
        Whether the label is a function of the column.
    bins : uint8 [columns, n]
        The bin of each row, 0 where the column is missing.
    """

    skill: np.ndarray
    best_class: np.ndarray
    mean: np.ndarray
    exact: np.ndarray
    bins: np.ndarray


def column_skills(columns: np.ndarray, targets: Targets, *, bins: int, threads: int) -> Skills:
    """Measure each column by itself.

    Parameters
    ----------
    columns : float32 [d, n]
        A column a row; NaN where missing.
    bins
        At most so many beside the one of missing values.
    """
    d, n = columns.shape
    shape = (d, len(targets.tasks))
    result = Skills(
        skill=np.full(shape, np.nan),
        best_class=np.full(shape, -1),
        mean=np.full(shape, np.nan),
        exact=np.zeros(shape, bool),
        bins=np.empty((d, n), np.uint8),
    )
    classified = np.array([i for i, task in enumerate(targets.tasks) if task.kind != "regression"], np.int64)
    numeric = np.array([i for i, task in enumerate(targets.tasks) if task.kind == "regression"], np.int64)

    def measure(begin: int) -> None:
        for c in range(begin, min(d, begin + _CHUNK)):
            order, value = _sorted_rows(columns[c])
            bin_of, missing = bins_of(order, value, bins)
            result.bins[c] = bin_of
            if len(classified):
                measured = class_skills(
                    order, value, bin_of, bins + 1, targets.codes, targets.first, targets.judged, targets.fold
                )
                for kept, values in zip(
                    (result.skill, result.best_class, result.mean, result.exact), measured, strict=True
                ):
                    kept[c, classified] = values
            if len(numeric):
                r2 = value_skills(order, value, missing, bin_of, bins + 1, targets.values, targets.fold)
                result.skill[c, numeric], result.mean[c, numeric] = r2, r2
                result.exact[c, numeric] = r2 >= EXACT

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


def skill_interval(
    kind: str, skill: float, label: np.ndarray, customer: np.ndarray, *, z: float
) -> tuple[float, float]:
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
