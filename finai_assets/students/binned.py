"""The bins of the copies: all copies of the same columns learn from the same rows, which are binned once."""

from __future__ import annotations

from finai_assets.scoring.boosting import BinnedRows, Sample
from finai_assets.students.distill import Aim, bin_splits
from finai_assets.students.rows import TaskRows


class BinnedCopies:
    """Keeps the bins of one copy for the next ones, which set their targets on them one after the other.

    A direct student has rows, the labelled ones, and columns of its own: its bins are its own too.
    """

    def __init__(self) -> None:
        self._of: tuple[TaskRows, tuple[str, ...]] | None = None
        self._kept: tuple[BinnedRows, BinnedRows] | None = None

    def samples(self, rows: TaskRows, aim: Aim, names: tuple[str, ...]) -> tuple[Sample, Sample]:
        """Return what a model learns from, and what it is stopped on, in the bins of the former."""
        train, validation = self._splits(rows, aim, names)
        return Sample(train, rows.targets("train", aim)), Sample(validation, rows.targets("validation", aim))

    def _splits(self, rows: TaskRows, aim: Aim, names: tuple[str, ...]) -> tuple[BinnedRows, BinnedRows]:
        if aim == "copy" and self._kept is not None and self._of is not None and _same(self._of, (rows, names)):
            return self._kept
        train, validation = (rows.inputs(split, aim, names) for split in ("train", "validation"))
        binned = bin_splits(train, validation, names, rows.settings)
        if aim == "copy":
            self._of, self._kept = (rows, names), binned
        return binned


def _same(one: tuple[TaskRows, tuple[str, ...]], other: tuple[TaskRows, tuple[str, ...]]) -> bool:
    """Return whether two copies learn from the same rows and columns, binned by the same settings."""
    (first, names), (second, others) = one, other
    same_rows = first.matrix is second.matrix and first.transfer is second.transfer
    return same_rows and first.settings is second.settings and names == others
