"""The selective state-space recurrence (S6) and the encoder around it, compiled, one customer after another.

Gu and Dao, Mamba: Linear-time sequence modeling with selective state spaces, 2023. For each channel c and state n

    h[t] = exp(delta[t] A) h[t - 1] + delta[t] B[t] x[t],    y[t] = C[t] h[t] + D x[t],

where delta, B and C are functions of the input: what a step writes, how long it stays and what is read are chosen by the
sequence itself. The recurrence is run as it stands, step by step.

Every sum has one order, set by the loops: vectors run over channels or over time, never along a sum. So a customer's result
does not depend on its neighbours, nor on the width of the machine's vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numba
import numpy as np

from finai_assets.features.inputs import DAY_US, HOUR_US
from finai_assets.features.mcc_vocabulary import rank_of

CONVOLUTION = 4  # steps that the causal convolution spans
NUMBERS = 3  # of a step: log amount, whether it is a credit, log gap
_MONDAY = 3  # 1970-01-01 was a Thursday

_LOG2E = np.float32(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_ROUND = np.float32(12582912.0)  # 1.5 x 2^23: adding it leaves the nearest whole number in the low bits
_ROUND_BITS = np.int32(0x4B400000)
_MOST, _LEAST = np.float32(88.0), np.float32(-87.0)
_ONE, _TWO, _ZERO = np.float32(1.0), np.float32(2.0), np.float32(0.0)
_E2, _E3, _E4, _E5, _E6, _E7 = (np.float32(1.0 / f) for f in (2, 6, 24, 120, 720, 5040))
_L3, _L5, _L7, _L9, _L11, _L13 = (np.float32(1.0 / k) for k in (3, 5, 7, 9, 11, 13))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def exp32(x: Any) -> Any:
    """Return e^x of a float32 to about 1e-7 of its value, by operations that loops over channels vectorise.

    x = k ln 2 + r with |r| <= ln 2 / 2; e^r by its series; 2^k by its bits. Arguments are held to -87 .. 88.
    """
    x = min(max(x, _LEAST), _MOST)
    shifted = x * _LOG2E + _ROUND
    k = shifted - _ROUND
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    series = _ONE + r * (_ONE + r * (_E2 + r * (_E3 + r * (_E4 + r * (_E5 + r * (_E6 + r * _E7))))))
    bits = (np.float32(shifted).view(np.int32) - _ROUND_BITS + np.int32(127)) << np.int32(23)
    return series * np.int32(bits).view(np.float32)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def softplus32(x: Any) -> Any:
    """Return log(1 + e^x) of a float32: max(x, 0) + log(1 + e^-|x|), the logarithm by the series of 2 atanh(s)."""
    e = exp32(-abs(x))
    s = e / (_TWO + e)
    q = s * s
    series = _ONE + q * (_L3 + q * (_L5 + q * (_L7 + q * (_L9 + q * (_L11 + q * _L13)))))
    return max(x, _ZERO) + _TWO * s * series


@numba.njit(cache=True, nogil=True, error_model="numpy")
def silu32(x: Any) -> Any:
    """Return x / (1 + e^-x) of a float32."""
    return x / (_ONE + exp32(-x))


class Encoder(NamedTuple):
    """Parameters as the kernel reads them: all that is linear in front of the convolution is folded into tables.

    C channels, N states, R numbers that set the step, W components of the encoding; all float32.
    """

    mcc: np.ndarray  # [vocabulary + 1, C]
    hour: np.ndarray  # [24, C]
    weekday: np.ndarray  # [7, C]
    numbers: np.ndarray  # [3, C]
    cutoff: np.ndarray  # [2, C]: of the cutoff step, and of its gap
    convolution: np.ndarray  # [4, C], the present step last
    convolution_bias: np.ndarray  # [C]
    select: np.ndarray  # [R + 2 N, C]: rows for the step, for B and for C
    step: np.ndarray  # [R, C]
    step_bias: np.ndarray  # [C]
    a: np.ndarray  # [N, C], negative
    d: np.ndarray  # [C]
    gate: np.ndarray  # [2, C]: of the cutoff step, and of its gap
    out: np.ndarray  # [C, W]
    skip: np.ndarray  # [2, W]: of the cutoff step, and of its gap
    norm: np.ndarray  # [W]
    scale: np.ndarray  # [2, 2]: mean and 1 / deviation of log amount, of log gap


def fold(params: Mapping[str, np.ndarray]) -> Encoder:
    """Return the kernel's view of the parameters that pretraining gives."""
    channels = len(params["step_bias"])
    enter, gate = params["in_proj"][:channels], params["in_proj"][channels:]
    last = np.stack([params["token_cutoff"], params["token_numbers"][NUMBERS - 1]])
    return Encoder(
        mcc=_product(params["token_mcc"], enter),
        hour=_product(params["token_hour"], enter),
        weekday=_product(params["token_weekday"], enter),
        numbers=_product(params["token_numbers"], enter),
        cutoff=_product(last, enter),
        convolution=_plain(params["convolution"].T),
        convolution_bias=_plain(params["convolution_bias"]),
        select=_plain(params["select"]),
        step=_plain(params["step"].T),
        step_bias=_plain(params["step_bias"]),
        a=_plain(-np.exp(params["log_a"].astype(np.float64)).T),
        d=_plain(params["d"]),
        gate=_product(last, gate),
        out=_plain(params["out_proj"].T),
        skip=_product(last, params["skip_proj"]),
        norm=_plain(params["norm"]),
        scale=_plain(params["scale"]),
    )


def _plain(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32)


def _product(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return ``rows @ weights.T``, summed in double precision and in one order."""
    return _plain(np.einsum("ij,kj->ik", rows.astype(np.float64), weights.astype(np.float64)))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def log_amount(amount: Any) -> Any:
    """Return log(1 + |amount|)."""
    return np.log1p(np.abs(amount))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def log_gap(microseconds: Any) -> Any:
    """Return log(1 + hours)."""
    return np.log1p(microseconds / HOUR_US)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def hour_of(ts: Any) -> Any:
    """Return the hour of the day, 0 .. 23."""
    return (ts % DAY_US) // HOUR_US


@numba.njit(cache=True, nogil=True, error_model="numpy")
def weekday_of(ts: Any) -> Any:
    """Return the day of the week, 0 = Monday."""
    return (ts // DAY_US + _MONDAY) % 7


@numba.njit(cache=True, nogil=True, error_model="numpy")
def encode(events: Any, keys: Any, ranks: Any, cutoff: int, length: int, encoder: Any, out: Any) -> None:
    """Write the encoding of each customer's last ``length`` transactions, and of the time since then, to ``out`` [n, W].

    ``keys`` and ``ranks`` are the MCC vocabulary as ``hash_table`` gives it.
    """
    start, ts = events[0], events[1]
    states, channels = encoder.a.shape
    steps = length + 1
    entered = np.zeros((CONVOLUTION - 1 + steps, channels), np.float32)  # zeros stand before the first step
    x = np.empty((steps, channels), np.float32)
    across = np.empty((channels, steps), np.float32)
    chosen = np.empty((len(encoder.select) - states, steps), np.float32)
    h = np.empty((states, channels), np.float32)
    row = np.empty(out.shape[1], np.float32)
    for i in range(len(start) - 1):
        end = start[i + 1]
        begin = max(start[i], end - length)
        count = end - begin
        _enter(events, begin, end, keys, ranks, encoder, entered)
        gap = _ZERO
        if count:
            gap = _standard(log_gap(cutoff - ts[end - 1]), encoder.scale[1])
        last = entered[CONVOLUTION - 1 + count]
        for c in range(channels):
            last[c] = encoder.cutoff[0, c] + gap * encoder.cutoff[1, c]
        _convolve(entered, encoder, count + 1, x)
        _choose(x, encoder.select, count + 1, across, chosen)
        _scan(x, chosen, encoder, count + 1, h)
        _read(x[count], h, gap, encoder, row)
        for k in range(out.shape[1]):
            out[i, k] = row[k]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _standard(value: float, scale: Any) -> Any:
    return (np.float32(value) - scale[0]) * scale[1]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _enter(events: Any, begin: int, end: int, keys: Any, ranks: Any, encoder: Any, entered: Any) -> None:
    """Write what each transaction brings into the channels; the first one has no gap, as what came before is unknown."""
    _, ts, amount, mcc, _ = events
    numbers = encoder.numbers
    for e in range(begin, end):
        kind = encoder.mcc[rank_of(keys, ranks, mcc[e])]
        hour = encoder.hour[hour_of(ts[e])]
        weekday = encoder.weekday[weekday_of(ts[e])]
        size = _standard(log_amount(amount[e]), encoder.scale[0])
        credit = _ONE if amount[e] > 0 else _ZERO
        gap = _standard(log_gap(ts[e] - ts[e - 1]), encoder.scale[1]) if e > begin else _ZERO
        row = entered[CONVOLUTION - 1 + e - begin]
        for c in range(len(row)):
            known = (kind[c] + hour[c]) + weekday[c]
            row[c] = ((known + size * numbers[0, c]) + credit * numbers[1, c]) + gap * numbers[2, c]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _convolve(entered: Any, encoder: Any, steps: int, x: Any) -> None:
    """Write the causal depthwise convolution of each step with the three before it, through SiLU."""
    w, bias = encoder.convolution, encoder.convolution_bias
    for t in range(steps):
        for c in range(x.shape[1]):
            value = bias[c] + w[0, c] * entered[t, c]
            value = value + w[1, c] * entered[t + 1, c]
            value = value + w[2, c] * entered[t + 2, c]
            x[t, c] = silu32(value + w[3, c] * entered[t + 3, c])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _choose(x: Any, select: Any, steps: int, across: Any, chosen: Any) -> None:
    """Write what each step selects, the numbers behind delta and then B, as rows over time."""
    channels = x.shape[1]
    for t in range(steps):
        for c in range(channels):
            across[c, t] = x[t, c]
    for k in range(len(chosen)):
        row = chosen[k]
        row[:steps] = 0
        for c in range(channels):
            weight, source = select[k, c], across[c]
            for t in range(steps):
                row[t] += weight * source[t]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _scan(x: Any, chosen: Any, encoder: Any, steps: int, h: Any) -> None:
    """Run the recurrence from zero and leave the last state, [N, C], in ``h``."""
    states, channels = h.shape
    rank = len(encoder.step)
    delta = np.empty(channels, np.float32)
    fed = np.empty(channels, np.float32)
    h[:] = 0
    for t in range(steps):
        for c in range(channels):
            delta[c] = encoder.step_bias[c]
        for r in range(rank):
            weight, source = chosen[r, t], encoder.step[r]
            for c in range(channels):
                delta[c] += weight * source[c]
        for c in range(channels):
            delta[c] = softplus32(delta[c])
            fed[c] = delta[c] * x[t, c]
        for n in range(states):
            a, state, b = encoder.a[n], h[n], chosen[rank + n, t]
            for c in range(channels):
                state[c] = exp32(delta[c] * a[c]) * state[c] + b * fed[c]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _read(x: Any, h: Any, gap: Any, encoder: Any, row: Any) -> None:
    """Read the last step out: C h + D x, gated, projected, with the step itself added, and scaled to unit mean square."""
    states, channels = h.shape
    first = len(encoder.select) - states
    y = encoder.d * x
    for n in range(states):
        weight = _ZERO
        for c in range(channels):
            weight += encoder.select[first + n, c] * x[c]
        for c in range(channels):
            y[c] += weight * h[n, c]
    for k in range(len(row)):
        row[k] = encoder.skip[0, k] + gap * encoder.skip[1, k]
    for c in range(channels):
        weight = y[c] * silu32(encoder.gate[0, c] + gap * encoder.gate[1, c])
        for k in range(len(row)):
            row[k] += weight * encoder.out[c, k]
    square = _ZERO
    for k in range(len(row)):
        square += row[k] * row[k]
    factor = _ONE / np.sqrt(square / np.float32(len(row)) + np.float32(1e-6))
    for k in range(len(row)):
        row[k] = row[k] * factor * encoder.norm[k]
