"""Persistent homology of the filtration of ``rips``, by gudhi's fork of Ripser.

Births and deaths are values of the filtration, so an engine that is given the kernel's values gives the kernel's bars. Gudhi is
given the bits of each float32 length as a whole number: numbers that are not negative are in the order of their bits, a
float64 holds every one of them, and a length that is infinite or not a number has its place at the end.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from finai_assets.features.methods.rips import MAX_POINTS, lengths_after


class GudhiRips:
    """The bars of clouds by gudhi, with the signature of the kernel ``rips``.

    Gudhi is imported here and nowhere else: it and scikit-learn, which it builds on, take a second and more, and only who
    chooses it waits for them.
    """

    def __init__(self) -> None:
        from gudhi.sklearn import RipsPersistence  # noqa: PLC0415 - see the class

        self._persistence = RipsPersistence(
            homology_dimensions=[0, 1], input_type="full distance matrix", homology_coeff_field=2, n_jobs=1
        ).fit([])  # which checks the dimensions and learns nothing

    def __call__(self, points: np.ndarray, count: int, work: Any) -> tuple[int, int]:
        """Write the bars of a cloud to the workspace and return how many there are, as ``rips`` does."""
        if count < 2:
            return 0, 0  # gudhi takes no empty matrix, and the component of one point never dies
        (diagrams,) = self._persistence.transform([length_bits(points, count)])
        *_, bars0, bars1 = work
        return _write(diagrams[0], bars0), _write(diagrams[1], bars1)


@numba.njit(cache=True, nogil=True)
def length_bits(points: Any, count: int) -> Any:
    """Return the bits of the length between each two points as a number, float64 [count, count]."""
    row = np.empty(MAX_POINTS)
    lengths = np.empty(MAX_POINTS, np.float32)
    bits = lengths.view(np.uint32)
    matrix = np.zeros((count, count))
    for i in range(count):
        lengths_after(points, i, count, row, lengths)
        for j in range(i + 1, count):
            matrix[i, j] = matrix[j, i] = bits[j]
    return matrix


def _write(diagram: np.ndarray, bars: np.ndarray) -> int:
    """Write the bars that end to the workspace in the order of their deaths, and return how many there are."""
    ending = diagram[np.isfinite(diagram[:, 1])]
    order = np.lexsort((ending[:, 0], ending[:, 1]))
    bars.view(np.uint32)[: len(ending)] = ending[order]
    return len(ending)
