"""C11, columns together: how well a shallow tree, or a pair of columns, of one feature group predicts each label.

A leak may be spread over two or three columns of a group. A tree of depth 3 over all columns of the group finds most of them. It
grows greedily, so that it misses a pair of which neither column predicts anything alone (an exclusive or). Therefore of each
group the pair whose *product of signs* (above or below the median) goes best with a label is looked up among all pairs, and
judged as one column of nine values: either column missing, low or high.

Trees split where the sum of squares within the parts (of a label's values, or of the class shares: Gini's index) falls most.
They are grown on one half of the customers and scored on the other. The pair is chosen on the rows that are looked at, so luck
has a hand in which one it is; its skill is again learnt on one half and scored on the other.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np

from finai_checks.leaks.single_column_kernels import auc_of_bins
from finai_checks.leaks.single_column_skill import Targets

DEPTH = 3
LEAVES = 2**DEPTH
_MIN_LEAF = 3
_CELLS = 3  # missing, low, high


@dataclass(frozen=True)
class Tree:
    """A tree of depth 3 over binned columns: node ``k`` has the children ``2k + 1`` and ``2k + 2``.

    Parameters
    ----------
    column : int64 [7]
        The column that a node splits on, -1 where it does not split.
    bin : int64 [7]
        Rows up to this bin go left.
    """

    column: np.ndarray
    bin: np.ndarray

    def leaves(self, bins: np.ndarray) -> np.ndarray:
        """Return the leaf (0..7) of each row of binned columns, uint8 [d, n]."""
        node = np.zeros(bins.shape[1], np.int64)
        for _ in range(DEPTH):
            column = self.column[node]
            value = bins[np.maximum(column, 0), np.arange(bins.shape[1])]
            node = 2 * node + 1 + ((column >= 0) & (value > self.bin[node]))
        return node - (LEAVES - 1)


def tree_skills(
    bins: np.ndarray, targets: Targets, allowed: np.ndarray, *, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Grow a tree of depth 3 for each task on each half of the customers, and score it on the other.

    Parameters
    ----------
    bins : uint8 [d, n]
        Columns as bins, 0 where missing.
    allowed : bool [d, tasks]
        Columns that the tree of a task may split on.
    count
        Number of bins, that of missing values included.

    Returns
    -------
    skill : float64 [tasks]
        AUC, best AUC of a class against the rest, or R2; NaN where the rows are too few.
    best_class : int64 [tasks]
        The class that is predicted best; -1 for a regression.
    """
    with ThreadPoolExecutor(2) as pool:
        grown = list(pool.map(lambda half: _grown(bins, targets, allowed, half, count), range(2)))
    skill, best_class = np.full(len(targets.tasks), np.nan), np.full(len(targets.tasks), -1)
    for t, task in enumerate(targets.tasks):
        if not targets.sufficient(task.name):
            continue
        leaves = [trees[t].leaves(bins) for trees in grown]
        for c in [-1] if task.kind == "regression" else targets.judged_classes(task.name):
            label = targets.label(task.name, int(c))
            halves = [_half_skill(leaves[half], label, targets.fold == half, task.kind) for half in range(2)]
            if np.isfinite(halves).any() and not np.nanmean(halves) <= skill[t]:
                skill[t], best_class[t] = np.nanmean(halves), c
    return skill, best_class


def _half_skill(leaf: np.ndarray, label: np.ndarray, learn: np.ndarray, kind: str) -> float:
    """Return the skill, on the other rows, of the mean label that some rows have in each leaf; NaN without a contrast."""
    known = np.isfinite(label)
    there, here = learn & known, ~learn & known
    if not there.any() or not here.any():
        return float("nan")
    size = np.bincount(leaf[there], minlength=LEAVES)
    mean = (np.bincount(leaf[there], label[there], minlength=LEAVES) + label[there].mean()) / (size + 1)
    if kind == "regression":
        spread = float(np.sum((label[here] - label[here].mean()) ** 2))
        return 1 - float(np.sum((label[here] - mean[leaf[here]]) ** 2)) / spread if spread > 0 else float("nan")
    total = np.bincount(leaf[here], minlength=LEAVES).astype(np.float64)
    return float(auc_of_bins(mean, np.bincount(leaf[here], label[here], minlength=LEAVES), total))


def _grown(bins: np.ndarray, targets: Targets, allowed: np.ndarray, half: int, count: int) -> list[Tree]:
    """Grow the tree of each task on the rows of a half."""
    rows = np.flatnonzero(targets.fold == half)
    mine = np.ascontiguousarray(bins[:, rows])
    trees = []
    for t, task in enumerate(targets.tasks):
        where, position = targets.place(task.name)
        if where == "codes":
            classes, codes = targets.first[position + 1] - targets.first[position], targets.codes[rows, position]
            values = np.ones(len(rows), np.float32)
        else:
            values = targets.values[rows, position]
            known = np.isfinite(values)
            classes, codes = 1, np.where(known, 0, -1).astype(np.int16)
            values = np.where(known, values - (values[known].mean() if known.any() else 0.0), 0.0).astype(np.float32)
        trees.append(Tree(*_tree(mine, codes, values, int(classes), np.flatnonzero(allowed[:, t]), count)))
    return trees


@numba.njit(cache=True, nogil=True)
def _tree(
    bins: np.ndarray, codes: np.ndarray, values: np.ndarray, classes: int, columns: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Grow a tree level by level; a label is a class (values are 1) or a value (its class is 0), -1 where masked."""
    n = len(codes)
    split_column, split_bin = np.full(LEAVES - 1, -1), np.zeros(LEAVES - 1, np.int64)
    node = np.zeros(n, np.int64)  # position within the level
    sums = np.zeros((LEAVES // 2, count, classes), np.float32)
    size = np.zeros((LEAVES // 2, count), np.float32)
    for level in range(DEPTH):
        width = 1 << level
        best = np.zeros(width)
        for c in columns:
            sums[:width] = 0
            size[:width] = 0
            for i in range(n):
                if codes[i] >= 0:
                    sums[node[i], bins[c, i], codes[i]] += values[i]
                    size[node[i], bins[c, i]] += 1
            for k in range(width):
                gain, last_bin = _best_split(sums[k], size[k])
                if gain > best[k]:
                    best[k] = gain
                    split_column[width - 1 + k], split_bin[width - 1 + k] = c, last_bin
        for i in range(n):
            k = width - 1 + node[i]
            right = split_column[k] >= 0 and bins[split_column[k], i] > split_bin[k]
            node[i] = 2 * node[i] + (1 if right else 0)
    return split_column, split_bin


@numba.njit(cache=True, nogil=True)
def _best_split(sums: np.ndarray, size: np.ndarray) -> tuple[float, int]:
    """Return how much the best split lowers the sum of squares, and the last bin of its left part."""
    count, classes = sums.shape
    total, rows = np.zeros(classes), 0.0
    for b in range(count):
        rows += size[b]
        for c in range(classes):
            total[c] += sums[b, c]
    if rows < 2 * _MIN_LEAF:
        return 0.0, 0
    whole = 0.0
    for c in range(classes):
        whole += total[c] * total[c] / rows
    left, inside = np.zeros(classes), 0.0
    best, last_bin = 0.0, 0
    for b in range(count - 1):
        if size[b] == 0:
            continue
        inside += size[b]
        squares_left, squares_right = 0.0, 0.0
        for c in range(classes):
            left[c] += sums[b, c]
            squares_left += left[c] * left[c]
            squares_right += (total[c] - left[c]) ** 2
        if inside < _MIN_LEAF or rows - inside < _MIN_LEAF:
            continue
        gain = squares_left / inside + squares_right / (rows - inside) - whole
        if gain > best:
            best, last_bin = gain, b
    return best, last_bin


def strongest_pairs(
    columns: np.ndarray, targets: Targets, allowed: np.ndarray, *, rows: int
) -> dict[str, tuple[int, int]]:
    """Return for each task the two columns whose product of signs goes best with its label.

    Parameters
    ----------
    columns : float32 [d, n]
    allowed : bool [d, tasks]
    rows
        So many rows, evenly spread, are looked at: an exclusive or shows on few, and the cost is ``rows`` times the square of
        the number of columns for each class.
    """
    n = columns.shape[1]
    picked = np.unique(np.linspace(0, n - 1, min(rows, n)).astype(np.int64))
    signs = np.array([_signs(column) for column in columns[:, picked]], np.float32).T  # [rows, d]
    pairs = {}
    for t, task in enumerate(targets.tasks):
        if not targets.sufficient(task.name) or allowed[:, t].sum() < 2:
            continue
        best, pair = 0.0, (0, 0)
        for c in [-1] if task.kind == "regression" else targets.judged_classes(task.name):
            label = targets.label(task.name, int(c))[picked]
            known = np.isfinite(label)
            if not known.any() or not np.ptp(label[known]):
                continue
            y = np.where(known, label - label[known].mean(), 0.0)
            weighted = signs * (y / np.linalg.norm(y)).astype(np.float32)[:, None] * allowed[:, t]
            together = np.abs(weighted.T @ signs) * allowed[:, t]
            np.fill_diagonal(together, 0.0)
            strongest = int(together.argmax())
            if together.flat[strongest] > best:
                best, pair = float(together.flat[strongest]), divmod(strongest, len(columns))
        if best > 0:
            pairs[task.name] = (min(pair), max(pair))
    return pairs


def cells(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the nine cells of two columns as one float32 column."""
    return (_CELLS * _levels(first) + _levels(second)).astype(np.float32)


def _signs(column: np.ndarray) -> np.ndarray:
    """Return -1 where a column is low, 1 where it is high, 0 where it is missing."""
    return np.array([0, -1, 1])[_levels(column)]


def _levels(column: np.ndarray) -> np.ndarray:
    """Return 0 where missing, 1 up to the median, 2 above; where nothing lies above the median, 2 begins at it."""
    present = column[~np.isnan(column)]
    middle = np.median(present) if len(present) else 0.0
    high = column > middle if len(present) and present.max() > middle else column >= middle
    return np.where(np.isnan(column), 0, np.where(high, 2, 1))
