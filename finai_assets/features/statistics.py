"""Statistics of feature columns, gathered block by block: missing share, moments, range, and drift against train.

All columns of a group are measured at once, over its column-major block. A column's train reference holds at most
``psi_bins - 1`` edges; a value's bin is the number of edges below it, and missing values have a bin of their own.
"""

# ruff: noqa: FURB136, PLR0124 - in kernels NaN is found by its differing from itself, and min() would let it through.

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from finai_resources.errors import GateError

if TYPE_CHECKING:
    from finai_assets.features.registry import Column

# A share below this counts as this in the population stability index, so that an empty bin gives a finite distance.
SMALLEST_SHARE = 1e-4
_RANK_ROWS = 4096


@dataclass(frozen=True)
class Reference:
    """How columns are distributed on train.

    Parameters
    ----------
    edges : float32 [columns, psi_bins - 1]
        Ascending; unused ones are infinite.
    counts : int64 [columns, psi_bins + 1]
        Train rows in each bin; the last one counts missing values.
    mean, std : float64 [columns]
        Of the known values; NaN where there is none.
    """

    edges: np.ndarray
    counts: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the four arrays by name."""
        return {"edges": self.edges, "counts": self.counts, "mean": self.mean, "std": self.std}

    def digest(self) -> str:
        """Return a hash of the four arrays; a month's statistics record it to identify their reference."""
        found = hashlib.sha256()
        for name, array in self.arrays().items():
            found.update(f"{name} {array.dtype.str} {array.shape} ".encode())
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """One column over one month; floats are NaN where no value is known."""

    name: str
    rows: int
    null_rate: float
    mean: float
    std: float
    minimum: float
    maximum: float
    psi: float

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, for metadata."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> ColumnStatistics:
        """Restore statistics from the stored form of :meth:`as_dict`; null becomes NaN."""
        fields: dict[str, Any] = {key: float("nan") if value is None else value for key, value in stored.items()}
        return cls(**fields)


@dataclass(frozen=True)
class Measured:
    """Sums over some rows, from which statistics follow; add them in the order of blocks."""

    rows: int
    nulls: np.ndarray
    total: np.ndarray
    squares: np.ndarray
    low: np.ndarray
    high: np.ndarray
    above: np.ndarray

    def __add__(self, other: Measured) -> Measured:
        return Measured(
            self.rows + other.rows,
            self.nulls + other.nulls,
            self.total + other.total,
            self.squares + other.squares,
            np.fmin(self.low, other.low),
            np.fmax(self.high, other.high),
            self.above + other.above,
        )

    def bins(self) -> np.ndarray:
        """Return int64 [columns, psi_bins + 1]: rows in each bin, missing ones last."""
        known = self.rows - self.nulls[:, None]
        reached = np.hstack([known, self.above, np.zeros_like(known)])
        return np.hstack([reached[:, :-1] - reached[:, 1:], self.nulls[:, None]])


def measure(values: np.ndarray, reference: Reference) -> Measured:
    """Measure float32 [rows, columns], best column-major, against the columns' reference."""
    columns = values.shape[1]
    shift = np.nan_to_num(reference.mean)
    sums = np.zeros((columns, 4))
    nulls = np.zeros(columns, np.int64)
    above = np.zeros(reference.edges.shape, np.int64)
    _measure(values.T, shift, reference.edges, sums, nulls, above)
    return Measured(len(values), nulls, sums[:, 0], sums[:, 1], sums[:, 2], sums[:, 3], above)


def conclude(measured: Measured, reference: Reference, names: Sequence[str]) -> list[ColumnStatistics]:
    """Return the statistics of each column."""
    known = np.where(measured.rows > measured.nulls, measured.rows - measured.nulls, np.nan)
    offset = measured.total / known
    mean = np.nan_to_num(reference.mean) + offset
    std = np.sqrt(np.maximum(0.0, measured.squares / known - offset**2))
    psi = stability_index(measured.bins(), reference.counts)
    rows = max(measured.rows, 1)
    return [
        ColumnStatistics(
            name, measured.rows, float(measured.nulls[c] / rows), float(mean[c]), float(std[c]),
            float(measured.low[c]), float(measured.high[c]), float(psi[c]),
        )
        for c, name in enumerate(names)
    ]  # fmt: skip


def effective_rank(values: np.ndarray, reference: Reference) -> float:
    """Return how many directions the columns really span: the exponential of the entropy of their correlation's spectrum.

    1 where all columns say the same, the number of columns where they are uncorrelated (Roy, Vetterli: The effective rank,
    2007). Missing values stand at the train mean; a constant column spans nothing. To one decimal.
    """
    gram = np.zeros((values.shape[1], values.shape[1]))
    scale = np.where(reference.std > 0, reference.std, np.inf)
    for begin in range(0, len(values), _RANK_ROWS):
        part = np.nan_to_num((values[begin : begin + _RANK_ROWS] - reference.mean) / scale)
        gram += part.T @ part
    spectrum = np.clip(np.linalg.eigvalsh(gram), 0.0, None)
    if not spectrum.sum() > 0:
        return 0.0
    share = spectrum[spectrum > 0] / spectrum.sum()
    return round(float(np.exp(-(share * np.log(share)).sum())), 1)


def stability_index(counts: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the population stability index of each row of bins against its reference (0 = the same shares)."""
    p = np.maximum(counts / np.maximum(1, counts.sum(axis=1, keepdims=True)), SMALLEST_SHARE)
    q = np.maximum(reference / np.maximum(1, reference.sum(axis=1, keepdims=True)), SMALLEST_SHARE)
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=1))


def build_reference(values: np.ndarray, psi_bins: int) -> Reference:
    """Take the train reference of float32 [rows, columns].

    A column of at most ``psi_bins`` distinct values gets one bin a value, any other one quantile bins.
    """
    columns = values.shape[1]
    edges = np.full((columns, psi_bins - 1), np.inf, np.float32)
    mean, std = np.full(columns, np.nan), np.full(columns, np.nan)
    steps = np.arange(1, psi_bins) / psi_bins
    for c in range(columns):
        known = np.sort(values[:, c][~np.isnan(values[:, c])])
        if not len(known):
            continue
        wide = known.astype(np.float64)
        mean[c] = wide.mean()
        std[c] = wide.std()
        distinct = known[np.concatenate([[True], known[1:] != known[:-1]])]
        if len(distinct) <= psi_bins:
            found = distinct[:-1]
        else:
            found = np.unique(np.quantile(known, steps, method="inverted_cdf").astype(np.float32))
            found = found[found < known[-1]]
        edges[c, : len(found)] = found
    empty = Reference(edges, np.zeros((columns, psi_bins + 1), np.int64), mean, std)
    return Reference(edges, measure(values, empty).bins(), mean, std)


def enforce_missing_policy(columns: Sequence[Column], measured: Measured, *, where: str) -> None:
    """Refuse missing values in columns whose declaration does not allow them.

    Raises
    ------
    GateError
        Names the columns and the rows.
    """
    wrong = [
        f"{column.name} ({count} of {measured.rows} rows)"
        for column, count in zip(columns, measured.nulls.tolist(), strict=True)
        if count and column.missing != "nan"
    ]
    if wrong:
        raise GateError(
            f"{len(wrong)} columns hold missing values against their declaration: {', '.join(wrong[:3])}",
            where=where,
            fix="declare the columns in dataset.unavailable_columns if the source cannot carry them",
        )


@numba.njit(cache=True, nogil=True)
def _measure(columns: Any, shift: Any, edges: Any, sums: Any, nulls: Any, above: Any) -> None:
    """Fill ``sums`` (total, squares about the shift, least, greatest), ``nulls`` and ``above`` (values over each edge)."""
    for c in range(len(columns)):
        values = columns[c]
        rows = len(values)
        missing = np.int32(0)
        for r in range(rows):
            missing += np.int32(values[r] != values[r])
        nulls[c] = missing
        total, squares, least, greatest = _moments(values, shift[c])
        sums[c, 0] = total
        sums[c, 1] = squares
        sums[c, 2] = least if missing < rows else np.nan
        sums[c, 3] = greatest if missing < rows else np.nan
        for e in range(edges.shape[1]):
            edge = edges[c, e]
            if edge == np.inf:
                break
            count = np.int32(0)
            for r in range(rows):
                count += np.int32(values[r] > edge)
            above[c, e] = count


@numba.njit(cache=True, nogil=True)
def _moments(values: Any, shift: float) -> tuple[float, float, float, float]:
    """Return total and squares about the shift, least and greatest of the known values.

    Sums run in four lanes: four times as fast as one, and in an order that does not depend on the machine. A comparison with
    NaN is false, so that a missing value leaves least and greatest as they are.
    """
    rows = len(values)
    t0 = t1 = t2 = t3 = s0 = s1 = s2 = s3 = 0.0
    low0 = low1 = low2 = low3 = np.float32(np.inf)
    high0 = high1 = high2 = high3 = np.float32(-np.inf)
    whole = rows - rows % 4
    for r in range(0, whole, 4):
        v0, v1, v2, v3 = values[r], values[r + 1], values[r + 2], values[r + 3]
        d0 = np.float64(v0) - shift if v0 == v0 else 0.0
        d1 = np.float64(v1) - shift if v1 == v1 else 0.0
        d2 = np.float64(v2) - shift if v2 == v2 else 0.0
        d3 = np.float64(v3) - shift if v3 == v3 else 0.0
        t0, t1, t2, t3 = t0 + d0, t1 + d1, t2 + d2, t3 + d3
        s0, s1, s2, s3 = s0 + d0 * d0, s1 + d1 * d1, s2 + d2 * d2, s3 + d3 * d3
        low0 = v0 if v0 < low0 else low0
        low1 = v1 if v1 < low1 else low1
        low2 = v2 if v2 < low2 else low2
        low3 = v3 if v3 < low3 else low3
        high0 = v0 if v0 > high0 else high0
        high1 = v1 if v1 > high1 else high1
        high2 = v2 if v2 > high2 else high2
        high3 = v3 if v3 > high3 else high3
    for r in range(whole, rows):
        v0 = values[r]
        d0 = np.float64(v0) - shift if v0 == v0 else 0.0
        t0 += d0
        s0 += d0 * d0
        low0 = v0 if v0 < low0 else low0
        high0 = v0 if v0 > high0 else high0
    least, greatest = min(low0, low1, low2, low3), max(high0, high1, high2, high3)
    return (t0 + t1) + (t2 + t3), (s0 + s1) + (s2 + s3), np.float64(least), np.float64(greatest)
