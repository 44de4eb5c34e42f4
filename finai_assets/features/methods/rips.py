"""Exact persistent homology of the Vietoris-Rips filtration of a small cloud, in dimensions 0 and 1 with coefficients in Z/2.

The complex at scale r holds every set of points whose pairwise distances are at most r. A class is born at the length of the edge
that closes it, and dies at the length of the edge whose triangles fill it. Lengths are rounded to float32 before they are
compared: rounding keeps their order, so the diagram is the exact one with rounded coordinates, and lengths that differ by
rounding errors alone (clouds with symmetries) make no class of their own.

Edges come in order of length up to the enclosing radius min_i max_j d(i, j), beyond which the complex is a cone and nothing lives
(Bauer: Ripser, efficient computation of Vietoris-Rips persistence barcodes, 2021). Each edge carries its annotation, a vector
over the classes alive in dimension 1, whose sum over the boundary of every triangle so far is zero (Dey, Fan, Wang: Computing
topological persistence for simplicial maps, 2014); triangles are common neighbours, and neither they nor a matrix is stored.

Bars of length zero are left out, and so is the one component that never dies.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

MAX_POINTS = 64  # neighbours of a point are the bits of one word
_EDGES = MAX_POINTS * (MAX_POINTS - 1) // 2
_RADIX = 11  # three digits hold the bits of a non-negative float32
_NARROW, _WIDE = 1, 16  # words of an annotation: at most 31 x 31 = 961 classes of dimension 1 are alive at once
_ONE, _SIX, _TWELVE = np.uint64(1), np.uint64(6), np.uint64(12)
_LAST_SIX = np.uint64(63)
# Position of the lowest set bit (Leiserson, Prokop, Randall: Using de Bruijn sequences to index a 1 in a computer word, 1998).
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_POSITION = np.zeros(64, np.uint8)
_POSITION[[(int(_DE_BRUIJN) << k) % 2**64 >> 58 for k in range(64)]] = range(64)
_TOP_SIX = np.uint64(58)


@numba.njit(cache=True, nogil=True)
def workspace() -> Any:
    """Return the scratch that :func:`rips` works in; one is enough for any number of clouds, one after the other.

    Its last two entries receive the bars: float32 [.., 2] of (birth, death) in dimension 0 and in dimension 1.
    """
    return (
        np.empty(_EDGES, np.uint64),
        np.empty(_EDGES, np.uint64),
        np.empty((3, 1 << _RADIX), np.int64),
        np.empty((MAX_POINTS, MAX_POINTS, _NARROW), np.uint64),
        np.empty((MAX_POINTS, 2), np.float32),
        np.empty((_EDGES, 2), np.float32),
    )


@numba.njit(cache=True, nogil=True)
def rips(points: Any, count: int, work: Any) -> tuple[int, int]:
    """Write the bars of a cloud to the workspace.

    Parameters
    ----------
    points : float64 [dimension, at least count]
        Coordinates, a row for each axis.
    count : int
        Number of points, at most ``MAX_POINTS``.
    work
        What :func:`workspace` returns.

    Returns
    -------
    tuple of int
        Number of bars in dimension 0 and in dimension 1; their order is that of their deaths.
    """
    keys, spare, digits, annotations, bars0, bars1 = work
    edges = _edges(points, count, keys)
    _sort(keys, edges, spare, digits)
    found = _narrow(spare, edges, count, annotations, bars0, bars1)
    if found[1] < 0:
        wide = np.empty((MAX_POINTS, MAX_POINTS, _WIDE), np.uint64)
        found = _wide(spare, edges, count, wide, bars0, bars1)
    return found


def diagrams(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bars of one cloud, float32 [bars, 2] of (birth, death), in dimension 0 and in dimension 1.

    Parameters
    ----------
    points : float [count, dimension]
    """
    if len(points) > MAX_POINTS:
        raise ValueError(f"{len(points)} points are more than {MAX_POINTS}")
    work = workspace()
    counts = rips(np.ascontiguousarray(points.T, np.float64), len(points), work)
    return work[-2][: counts[0]].copy(), work[-1][: counts[1]].copy()


@numba.njit(cache=True, nogil=True)
def lengths_after(points: Any, i: int, count: int, row: Any, lengths: Any) -> None:
    """Write the lengths of the edges from point i to each point after it, float32; ``row`` is scratch."""
    row[i + 1 : count] = 0
    for axis in range(len(points)):
        at = points[axis, i]
        for j in range(i + 1, count):
            row[j] += (points[axis, j] - at) ** 2
    for j in range(i + 1, count):
        lengths[j] = np.sqrt(row[j])


@numba.njit(cache=True, nogil=True)
def _edges(points: Any, count: int, keys: Any) -> int:
    """Write a key for each pair of points not farther apart than the enclosing radius, and return how many there are.

    A key holds the length as float32 bits, which order as the non-negative numbers do, above six bits for each point.
    """
    row = np.empty(MAX_POINTS)
    lengths = np.empty(MAX_POINTS, np.float32)
    bits = lengths.view(np.uint32)
    farthest = np.zeros(MAX_POINTS, np.uint32)
    edges = 0
    for i in range(count):
        lengths_after(points, i, count, row, lengths)
        for j in range(i + 1, count):
            farthest[i] = max(farthest[i], bits[j])
            farthest[j] = max(farthest[j], bits[j])
            keys[edges] = (np.uint64(bits[j]) << _TWELVE) | np.uint64(i << 6 | j)
            edges += 1
    if not edges:
        return 0
    beyond = (np.uint64(farthest[:count].min()) + _ONE) << _TWELVE
    kept = 0
    for edge in range(edges):
        key = keys[edge]
        keys[kept] = key
        kept += key < beyond
    return kept


@numba.njit(cache=True, nogil=True)
def _sort(keys: Any, count: int, spare: Any, digits: Any) -> None:
    """Sort keys by length and write them to ``spare``; ties stay in the order of points.

    Radix sort from the lowest digit: the order of equal digits is kept.
    """
    mask = np.uint64((1 << _RADIX) - 1)
    shifts = (_TWELVE, _TWELVE + np.uint64(_RADIX), _TWELVE + np.uint64(2 * _RADIX))
    digits[:] = 0
    for k in range(count):
        for d in range(3):
            digits[d, (keys[k] >> shifts[d]) & mask] += 1
    for d in range(3):
        total = 0
        for value in range(1 << _RADIX):
            total, digits[d, value] = total + digits[d, value], total
    source, target = keys, spare
    for d in range(3):
        for k in range(count):
            digit = (source[k] >> shifts[d]) & mask
            target[digits[d, digit]] = source[k]
            digits[d, digit] += 1
        source, target = target, source


@numba.njit(cache=True, nogil=True)
def _lowest_bit(word: Any) -> Any:
    """Return the position of the lowest set bit of a word that is not zero."""
    return np.uint64(_POSITION[((word & (~word + _ONE)) * _DE_BRUIJN) >> _TOP_SIX])


def _kill_of(words: int) -> Any:
    """Compile the death of a class, for annotations of so many words."""

    @numba.njit(cache=True, nogil=True)
    def kill(annotations: Any, count: int, total: Any, born: Any) -> Any:
        """Let the youngest class of a sum die: add the sum to every edge that carries it, and return its bit."""
        youngest, latest = np.int64(0), np.int64(-1)
        for k in range(words):
            rest = total[k]
            while rest:
                bit = 64 * k + np.int64(_lowest_bit(rest))
                if born[bit] > latest:
                    youngest, latest = bit, born[bit]
                rest &= rest - _ONE
        word, shift = youngest >> 6, np.uint64(youngest & 63)
        for i in range(count):
            for j in range(count):
                carries = (annotations[i, j, word] >> shift) & _ONE
                for k in range(words):
                    annotations[i, j, k] ^= total[k] & (~carries + _ONE)
        return youngest

    return kill


def _sweep_of(words: int) -> Any:
    """Compile the sweep over sorted edges, for annotations of so many words: a constant, so that one word costs no loop."""
    kill = _kill_of(words)

    @numba.njit(cache=True, nogil=True)
    def sweep(keys: Any, edges: int, count: int, annotations: Any, bars0: Any, bars1: Any) -> tuple[int, int]:
        """Write the bars and return their numbers, the second -1 where more classes are alive than there are bits."""
        annotations[:count, :count] = 0
        neighbours = np.zeros(MAX_POINTS, np.uint64)
        component = _ONE << np.arange(MAX_POINTS).astype(np.uint64)
        born = np.empty(64 * words, np.int64)  # the edge that made each alive class
        free = np.arange(64 * words)
        unused = 64 * words
        total = np.zeros(words, np.uint64)
        found0, found1 = 0, 0
        for edge in range(edges):
            key = keys[edge]
            u, v = (key >> _SIX) & _LAST_SIX, key & _LAST_SIX
            common = neighbours[u] & neighbours[v]
            neighbours[u] |= _ONE << v
            neighbours[v] |= _ONE << u
            if (
                common
            ):  # the class that the edge closes dies in its first triangle; what other triangles sum up to dies too
                w = _lowest_bit(common)
                common &= common - _ONE
                for k in range(words):
                    annotations[u, v, k] = annotations[v, u, k] = annotations[u, w, k] ^ annotations[v, w, k]
                while common:
                    w = _lowest_bit(common)
                    common &= common - _ONE
                    differs = np.uint64(0)
                    for k in range(words):
                        total[k] = annotations[u, v, k] ^ annotations[u, w, k] ^ annotations[v, w, k]
                        differs |= total[k]
                    if differs:
                        bit = kill(annotations, count, total, born)
                        found1 = _bar(bars1, found1, keys[born[bit]], key)
                        free[unused] = bit
                        unused += 1
            elif not (component[u] >> v) & _ONE:
                _join(component, component[u] | component[v])
                found0 = _bar(bars0, found0, np.uint64(0), key)
            elif unused:
                unused -= 1
                bit = free[unused]
                born[bit] = edge
                annotations[u, v, bit >> 6] = annotations[v, u, bit >> 6] = _ONE << np.uint64(bit & 63)
            else:
                return found0, -1
        return found0, found1

    return sweep


@numba.njit(cache=True, nogil=True)
def _join(component: Any, both: Any) -> None:
    """Let all points of a set, given as bits, have it as their component."""
    rest = both
    while rest:
        component[_lowest_bit(rest)] = both
        rest &= rest - _ONE


@numba.njit(cache=True, nogil=True)
def _bar(bars: Any, found: int, birth: Any, death: Any) -> int:
    """Append the bar between two keys unless its length is zero, and return how many there are."""
    if birth >> _TWELVE == death >> _TWELVE:
        return found
    bits = bars.view(np.uint32)
    bits[found, 0] = birth >> _TWELVE
    bits[found, 1] = death >> _TWELVE
    return found + 1


_narrow, _wide = _sweep_of(_NARROW), _sweep_of(_WIDE)
