"""A reservoir of closed-form continuous-time units that runs over irregularly spaced transactions.

The state x of a unit after a gap of t days under the constant input I is

    sigmoid(-f t) g + (1 - sigmoid(-f t)) h,

with heads f = W_f x + U_f I + b_f (a rate per day), g = tanh(W_g x + U_g I + b_g) and h alike (Hasani, Lechner, Amini,
Liebenwein, Ray, Tschaikowski, Teschl, Rus: Closed-form continuous-time neural networks, 2022). The weights are drawn once and
never trained, as in an echo state network (Jaeger: The echo state approach to analysing and training recurrent neural
networks, 2001).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from finai_assets.features.inputs import DAY_US

HEADS = 3  # f, g and h, in this order along the columns of the weights
_KEPT_EVENTS = (2.0, 60.0)  # transactions that the quickest and the slowest pair of units remember
_CLOCK_DAYS = (45.0, 0.25)  # days in which the gates of the slowest and the quickest unit close
_COUPLING, _DRIVE = 0.1, 0.7
_MOST_KEPT = 0.98  # spectral radius that g and h may have
_LANES = 16  # float32 of the widest vector registers: heads are padded to whole ones
_SALT = 0x11C41D


def draw_reservoir(units: int, seed: int) -> dict[str, np.ndarray]:
    """Draw fixed weights.

    Returns
    -------
    dict
        ``recurrent`` float32 [units, 3 x units] (row: the unit that is read), ``drive`` and ``bias`` float32 [3 x units].

    Notes
    -----
    At short gaps g and h take equal parts in the next state, so that both must carry the present one on for a unit to remember.
    Their recurrent weights share damped rotations of pairs of units, whose memories span from the quickest to the slowest
    and whose angles grow from 0 to nearly a half turn with the quickness: slow units average, quick ones see changes. Drive and
    bias shrink with the memory, which keeps the variances of the units alike, and the opposite biases of g and h let the gate
    write the gaps into the state.
    """
    rng = np.random.default_rng([seed, _SALT])
    rotation, kept = _damped_rotations(units)
    loose = np.sqrt(1 - kept**2)
    g, h = (_coupled(rotation, loose, rng) for _ in range(2))
    rate = rng.permutation(1 / np.geomspace(*_CLOCK_DAYS, units))
    clock = rng.normal(0, 0.5 / np.sqrt(units), (units, units))
    bias = _signed(rng, units) * _DRIVE * loose
    return {
        "recurrent": np.concatenate([clock.T * rate, g.T, h.T], axis=1).astype(np.float32),
        "drive": np.concatenate(
            [
                rng.normal(0, 0.3, units) * rate,
                _signed(rng, units) * _DRIVE * loose,
                _signed(rng, units) * _DRIVE * loose,
            ]
        ).astype(np.float32),
        "bias": np.concatenate(
            [2 * _signed(rng, units) * rate, bias, -bias * rng.uniform(0.5, 1, units)]
        ).astype(np.float32),
    }  # fmt: skip


def _damped_rotations(units: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a block-diagonal matrix [units, units] of rotations of pairs, and by how much each unit is damped."""
    pairs = -(-units // 2)
    kept = np.exp(-1 / np.geomspace(*_KEPT_EVENTS, pairs))
    angles = 3 * np.linspace(1, 0, pairs) ** 2
    matrix = np.zeros((2 * pairs, 2 * pairs))
    for p in range(pairs):
        cosine, sine = np.cos(angles[p]), np.sin(angles[p])
        matrix[2 * p : 2 * p + 2, 2 * p : 2 * p + 2] = kept[p] * np.array([[cosine, -sine], [sine, cosine]])
    return matrix[:units, :units], np.repeat(kept, 2)[:units]


def _coupled(rotation: np.ndarray, loose: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the rotations with weak random weights between all units, within the spectral radius."""
    units = len(rotation)
    matrix = rotation + _COUPLING / np.sqrt(units) * loose[:, None] * rng.normal(size=(units, units))
    return np.asarray(matrix * min(1.0, _MOST_KEPT / float(np.abs(np.linalg.eigvals(matrix)).max())))


def _signed(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return numbers of either sign whose sizes lie between a half and 1."""
    return np.where(rng.random(count) < 0.5, -1.0, 1.0) * rng.uniform(0.5, 1, count)


def padded(weights: np.ndarray) -> np.ndarray:
    """Return weights with zero columns up to a whole number of vector registers."""
    missing = -weights.shape[-1] % _LANES
    return np.ascontiguousarray(np.pad(weights, [(0, 0)] * (weights.ndim - 1) + [(0, missing)]))


@numba.njit(cache=True, nogil=True)
def amount_sums(events: Any, transactions: int, out: Any) -> None:
    """Write count, sum and sum of squares of each customer's last signed log amounts, float64 [n, 3]."""
    start, _, amount, _, _ = events
    for i in range(len(start) - 1):
        count, total, squares = 0, 0.0, 0.0
        for e in range(max(start[i], start[i + 1] - transactions), start[i + 1]):
            size = signed_log(amount[e])
            count += 1
            total += size
            squares += size * size
        out[i, 0], out[i, 1], out[i, 2] = count, total, squares


@numba.njit(cache=True, nogil=True)
def signed_log(amount: float) -> float:
    """Return the logarithm of 1 + the amount's size, with the amount's sign."""
    size = np.log1p(abs(amount))
    return -size if amount < 0 else size


@numba.njit(cache=True, nogil=True, error_model="numpy")
def run_reservoir(events: Any, cutoff: int, transactions: int, scale: Any, weights: Any, out: Any) -> None:
    """Write each customer's state at the cutoff, float32 [n, units].

    ``weights`` are recurrent, drive and bias, each :func:`padded`; ``scale`` holds mean and deviation of signed log amounts.
    Every transaction's standardised signed log amount is the input from its instant to that of the next one, the newest one's
    to the cutoff; the state before the oldest of the last ``transactions`` is 0, and so is that of a customer without any.
    """
    start, ts, amount, _, _ = events
    recurrent, drive, bias = weights
    units, width = recurrent.shape  # width: three heads and the padding
    state = np.zeros(units, np.float32)
    heads = np.empty(width, np.float32)
    bits = np.empty(width, np.int32)
    power = bits.view(np.float32)
    centre, spread = scale[0], scale[1]
    for i in range(len(start) - 1):
        end = start[i + 1]
        state[:] = 0
        for e in range(max(start[i], end - transactions), end):
            until = ts[e + 1] if e + 1 < end else cutoff
            gap = np.float32((until - ts[e]) / DAY_US)
            value = np.float32((signed_log(amount[e]) - centre) / spread)
            for c in range(width):
                heads[c] = bias[c] + value * drive[c]
            for u in range(units):
                at = state[u]
                for c in range(width):
                    heads[c] += at * recurrent[u, c]
            for c in range(units):
                heads[c] *= gap
            for c in range(units, width):
                heads[c] *= np.float32(2)
            _falling(heads, bits, power)
            # 1 - 2 / (1 + exp(2 z)) is tanh z
            for u in range(units):
                keep = heads[u]
                mixed = keep * heads[units + u] + (np.float32(1) - keep) * heads[2 * units + u]
                state[u] = np.float32(1) - np.float32(2) * mixed
        for u in range(units):
            out[i, u] = state[u]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _falling(values: Any, bits: Any, power: Any) -> None:
    """Replace each value z by 1 / (1 + exp(z)), to 1e-7; ``power`` is ``bits`` seen as float32.

    exp(z) = 2^k exp(r) with |r| <= ln 2 / 2, where exp(r) is a polynomial; every loop is one that the compiler can vectorise.
    """
    for c in range(len(values)):
        z = min(np.float32(80), max(np.float32(-80), values[c]))
        k = np.floor(z * np.float32(1.4426950408889634) + np.float32(0.5))
        r = (z - k * np.float32(0.693359375)) + k * np.float32(2.12194440e-4)
        p = np.float32(1 / 720)
        p = p * r + np.float32(1 / 120)
        p = p * r + np.float32(1 / 24)
        p = p * r + np.float32(1 / 6)
        p = p * r + np.float32(0.5)
        p = p * r + np.float32(1)
        p = p * r + np.float32(1)
        bits[c] = np.int32((k + np.float32(127)) * np.float32(8388608))  # the exponent of 2^k, where a float32 keeps it
        values[c] = p
    for c in range(len(values)):
        values[c] = np.float32(1) / (np.float32(1) + values[c] * power[c])
