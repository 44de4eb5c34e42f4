"""Normalises raw columns for a network. Fitted on train rows alone; students never see its output.

Power-law columns get a log copy; continuous and count columns are standardised; binaries and shares stay as they are; codes
stay integers, moved up by one so that 0 means "missing or unseen in train". A channel of a transaction sequence is standardised
as a whole, so that a value means the same at each step, and each sequence gets one more column: how many steps it has, which
is its mask, since steps are filled from the newest on. Side tensors stand behind all columns: persistence diagrams are brought to
the size of one, measures stay as they are.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from finai_assets.asset_graph import MATRIX
from finai_assets.settings.method import NormaliseSettings
from finai_assets.teacher.layout import Layout
from finai_assets.teacher.normalise_kernels import AS_IS, CODE, SCALED, first_pass, lengths, second_pass, transform
from finai_resources.errors import GateError

_CHUNK_ROWS = 8192  # 928 float32 columns: 30 MB at once
_TAIL_ROWS = 20_000  # rows whose tail is looked at; a log-log slope needs no more
_DIAGRAMS = "diagrams"  # tensors of this name hold births and deaths, which have a unit


@dataclass(frozen=True)
class Normaliser:
    """The fitted state.

    Output columns, in order: the matrix columns (in place), one log copy for each of ``log_of``, one length per sequence, the
    values of the side tensors.

    Parameters
    ----------
    layout : Layout
        The columns it was fitted on.
    mode : int8 [d]
        0 left as it is, 1 standardised, 2 code.
    mean, std : float64 [d]
        Of the train rows; NaN is ignored. A column that does not vary has ``std`` 1.
    codes : int32 [d]
        Size of the embedding table of a code column (largest train code + 2), 0 for other columns.
    log_of : int32 [k]
        Columns with a log copy, ``sign(x) log(1 + |x|)``, not rescaled.
    log_mean : float64 [k]
        Train mean of each log copy, which is taken off, so that an amount's size does not drown the other inputs and a missing
        value is the mean here as well.
    tensor_scale : float64 [tensors]
        What a side tensor is divided by: of a persistence diagram, the root mean square of the deaths in train; 1 for a measure.
        A single factor leaves the shape of a diagram, and its zeros, as they are.
    clip : float
        Standardised values end at ± this.
    rows : int
        Train rows seen.
    """

    layout: Layout
    mode: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    codes: np.ndarray
    log_of: np.ndarray
    log_mean: np.ndarray
    tensor_scale: np.ndarray
    clip: float
    rows: int

    @classmethod
    def fit(  # the rows, and what they mean
        cls,
        X: np.ndarray,
        rows: slice,
        layout: Layout,
        settings: NormaliseSettings,
        side: np.ndarray | None = None,
    ) -> Normaliser:
        """Fit on ``X[rows]`` and ``side[rows]``; pass the train rows and nothing else.

        Parameters
        ----------
        X : float32 [n, d]
            May be a memory map; it is read in chunks.
        side : float32 [n, total], optional
            The side tensors, where the layout has some; may be a memory map.

        Raises
        ------
        GateError
            There are no rows, a value is infinite, a code is negative or not whole, or the side tensors of the layout are not
            given.
        """
        part = X[rows]
        if not len(part):
            raise GateError("there are no train rows", where="teacher", fix="widen splits.train")
        mode = np.array([_mode(kind) for kind in layout.kinds], dtype=np.int8)
        count, mean, powers, top = _moments(part, mode, layout)
        mean, std = _per_channel(layout, count, mean, powers[0])
        log_of = _power_laws(part, layout, mode, count, powers, settings)
        codes = np.where(mode == CODE, np.nan_to_num(top, nan=-1, neginf=-1).astype(np.int32) + 2, 0).astype(np.int32)
        for sequence in layout.sequences:
            for channel in sequence.channels:
                codes[list(channel.positions)] = codes[list(channel.positions)].max()
        std = np.where((mode == SCALED) & (std > 0), std, 1.0)
        mean = np.where(mode == SCALED, mean, 0.0)
        tensor_scale = _tensor_scales(_side_of(layout, len(X), side)[rows], layout)
        log_mean = _log_means(part, log_of)
        return cls(layout, mode, mean, std, codes, log_of, log_mean, tensor_scale, settings.clip, len(part))

    @property
    def width(self) -> int:
        """Return the number of output columns."""
        return self.tensors_first + self.layout.side_width

    @property
    def tensors_first(self) -> int:
        """Return the output column where the side tensors begin: all columns before it are scalars, codes and lengths."""
        return len(self.mode) + len(self.log_of) + len(self.layout.sequences)

    def transform(self, X: np.ndarray, side: np.ndarray | None = None) -> np.ndarray:
        """Normalise some rows.

        Parameters
        ----------
        X : float32 [n, d]
        side : float32 [n, total], optional
            The side tensors of the same rows, where the layout has some.

        Returns
        -------
        float32 [n, width]
            No NaN: a missing value is the train mean (standardised, log copy), 0 (left as is) or code 0.

        Raises
        ------
        GateError
            The rows have another width than those of the fit, or lack their side tensors.
        """
        source = np.ascontiguousarray(X, dtype=np.float32)
        if source.ndim != 2 or source.shape[1] != len(self.mode):
            raise GateError(
                f"rows of shape {source.shape[1:]}, fitted on {len(self.mode)} columns",
                where="teacher normaliser",
                fix="pass the columns of the training matrix, in its order",
            )
        out = np.empty((len(source), self.width), dtype=np.float32)
        affine = np.stack([1.0 / self.std, self.mean / self.std]).astype(np.float32)
        logs = self.log_mean.astype(np.float32)
        transform(source, self.mode, affine, self.codes, self.log_of, logs, np.float32(self.clip), out)
        first = len(self.mode) + len(self.log_of)
        for index, sequence in enumerate(self.layout.sequences):
            positions = np.array([channel.positions for channel in sequence.channels], dtype=np.int32)
            lengths(source, positions, out[:, first + index])
        if self.layout.tensors:
            factor = np.repeat(1.0 / self.tensor_scale, [tensor.size for tensor in self.layout.tensors])
            tensors = _side_of(self.layout, len(source), side)
            np.multiply(tensors, factor.astype(np.float32), out=out[:, self.tensors_first :])
        return out

    def to_bytes(self) -> bytes:
        """Return the state as npz, without pickle; equal states have equal bytes."""
        sink = io.BytesIO()
        layout = np.frombuffer(json.dumps(self.layout.to_dict()).encode(), dtype=np.uint8)
        np.savez(
            sink,
            layout=layout,
            mode=self.mode,
            mean=self.mean,
            std=self.std,
            codes=self.codes,
            log_of=self.log_of,
            log_mean=self.log_mean,
            tensor_scale=self.tensor_scale,
            clip=np.float64(self.clip),
            rows=np.int64(self.rows),
        )
        return sink.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Normaliser:
        """Read what :meth:`to_bytes` wrote."""
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return cls(
                layout=Layout.from_dict(json.loads(stored["layout"].tobytes())),
                mode=stored["mode"],
                mean=stored["mean"],
                std=stored["std"],
                codes=stored["codes"],
                log_of=stored["log_of"],
                log_mean=stored["log_mean"],
                tensor_scale=stored["tensor_scale"],
                clip=float(stored["clip"]),
                rows=int(stored["rows"]),
            )


def _mode(kind: str) -> int:
    return {"continuous": SCALED, "count": SCALED, "code": CODE}.get(kind, AS_IS)


def _side_of(layout: Layout, rows: int, side: np.ndarray | None) -> np.ndarray:
    """Return the side tensors, float32 [rows, total], if their shape is the layout's."""
    found = np.empty((rows, 0), np.float32) if side is None else side
    if found.shape != (rows, layout.side_width):
        raise GateError(
            f"side tensors of shape {found.shape}; {rows} rows of {layout.side_width} values are expected",
            where="teacher normaliser",
            fix="pass `side` of the training matrix beside `X`",
        )
    return found


def _tensor_scales(side: np.ndarray, layout: Layout) -> np.ndarray:
    """Return the divisor of each tensor; points of a diagram that do not exist (death 0) are ignored."""
    squares, counts = np.zeros(len(layout.tensors)), np.zeros(len(layout.tensors))
    for chunk in _chunks(side) if layout.tensors else ():
        first = 0
        for index, tensor in enumerate(layout.tensors):
            values = chunk[:, first : first + tensor.size]
            if not np.isfinite(values).all():
                raise GateError(
                    f"side tensor {tensor.group}.{tensor.name} holds train values that are not finite",
                    where=MATRIX,
                    fix="correct the feature group; where there is nothing, a tensor is 0",
                )
            if tensor.name == _DIAGRAMS:
                deaths = values.reshape(len(values), *tensor.shape)[..., 1].astype(np.float64)
                squares[index] += np.square(deaths).sum()
                counts[index] += np.count_nonzero(deaths)
            first += tensor.size
    return np.where(squares > 0, np.sqrt(squares / np.maximum(counts, 1)), 1.0)


def _chunks(part: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(part), _CHUNK_ROWS):
        yield np.ascontiguousarray(part[start : start + _CHUNK_ROWS], dtype=np.float32)


def _moments(part: np.ndarray, mode: np.ndarray, layout: Layout) -> tuple[np.ndarray, ...]:
    """Return per column: rows with a value, mean, central power sums [3, d] (2nd, 3rd, 4th), largest value.

    Two passes, since a one-pass fourth moment of money amounts loses its digits.
    """
    d = part.shape[1]
    count, total, top = np.zeros(d, dtype=np.int64), np.zeros(d), np.full(d, -np.inf)
    wrong = np.zeros(d, dtype=np.int64)
    for chunk in _chunks(part):
        first_pass(chunk, mode == CODE, count, total, top, wrong)
    if wrong.any():
        column = int(np.argmax(wrong > 0))
        raise GateError(
            f"column {layout.columns[column]!r} holds {wrong[column]} train values that are infinite or, as codes, negative "
            "or not whole",
            where=MATRIX,
            fix="correct the feature group; a missing value is NaN",
        )
    mean = total / np.maximum(count, 1)
    powers = np.zeros((3, d))
    for chunk in _chunks(part):
        second_pass(chunk, mean, powers)
    return count, mean, powers, top


def _per_channel(
    layout: Layout, count: np.ndarray, mean: np.ndarray, squares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and std, pooled over the steps of each sequence channel."""
    pooled_mean, std = mean.copy(), np.sqrt(squares / np.maximum(count, 1))
    for sequence in layout.sequences:
        for channel in sequence.channels:
            at = list(channel.positions)
            n = max(1, int(count[at].sum()))
            centre = float((count[at] * mean[at]).sum() / n)
            spread = float((squares[at] + count[at] * (mean[at] - centre) ** 2).sum() / n)
            pooled_mean[at], std[at] = centre, np.sqrt(spread)
    return pooled_mean, std


def _power_laws(  # the moments, and what to compare them with
    part: np.ndarray,
    layout: Layout,
    mode: np.ndarray,
    count: np.ndarray,
    powers: np.ndarray,
    settings: NormaliseSettings,
) -> np.ndarray:
    """Return the non-negative scaled columns outside sequences whose train tail looks like a power law."""
    varies = powers[0] > 0
    second, third, fourth = powers / np.maximum(count, 1)
    spread = np.sqrt(np.where(varies, second, 1.0))
    skewness, kurtosis = third / spread**3, fourth / spread**4 - 3.0
    heavy = (mode == SCALED) & varies & (skewness > settings.skewness) & (kurtosis > settings.kurtosis)
    for sequence in layout.sequences:
        heavy[list(sequence.positions)] = False
    step = -(-len(part) // _TAIL_ROWS)
    kept = []
    for column in np.flatnonzero(heavy):
        low = layout.lows[column]
        values = np.asarray(part[::step, column], dtype=np.float64)
        values = values[np.isfinite(values)]
        non_negative = low >= 0 if low is not None else bool((values >= 0).all())
        if non_negative and log_log_r2(values) >= settings.log_log_r2:
            kept.append(int(column))
    return np.array(kept, dtype=np.int32)


def _log_means(part: np.ndarray, log_of: np.ndarray) -> np.ndarray:
    """Return the mean of each log copy over the rows that have a value."""
    total, count = np.zeros(len(log_of)), np.zeros(len(log_of), dtype=np.int64)
    for chunk in _chunks(part):
        values = chunk[:, log_of].astype(np.float64)
        known = np.isfinite(values)
        total += np.where(known, np.sign(values) * np.log1p(np.abs(values)), 0.0).sum(0)
        count += known.sum(0)
    return np.asarray(total / np.maximum(count, 1))


def log_log_r2(values: np.ndarray) -> float:
    """Return R² of log rank on log value over the upper half of the positive values: near 1 for a power law.

    Parameters
    ----------
    values : float64 [n]
        Finite. Fewer than 20 positive ones give 0.
    """
    positive = np.sort(values[values > 0])[::-1]
    upper = positive[: len(positive) // 2]
    if len(upper) < 10 or upper[0] == upper[-1]:
        return 0.0
    correlation = np.corrcoef(np.log(upper), np.log(np.arange(1, len(upper) + 1)))[0, 1]
    return float(correlation**2)
