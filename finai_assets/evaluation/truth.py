"""The generator's true probabilities beside the rows of the training matrix: the ceiling that no model can pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from finai_assets.asset_graph import truth_asset
from finai_resources.errors import GateError

if TYPE_CHECKING:
    from finai_assets.training.matrix import MatrixTask, TrainingMatrix
    from finai_resources.lake_session import LakeSession


def align_truth(session: LakeSession, matrix: TrainingMatrix, task: MatrixTask) -> np.ndarray | None:
    """Read the generator's true probabilities or expectations for every row of the matrix.

    Returns
    -------
    float32 [n] (binary: probability; regression: expectation) or [n, classes], NaN where the truth has no such customer;
    None where the data set has no truth for the task.

    Raises
    ------
    GateError
        The truth's columns are not those of the task's classes.
    """
    asset = truth_asset(task.name)
    months = sorted(set(matrix.month.tolist()))
    if all(session.find(asset, month) is None for month in months):
        return None
    shape = (len(matrix.customer), task.classes) if task.kind == "multiclass" else (len(matrix.customer),)
    aligned = np.full(shape, np.nan, dtype=np.float32)
    for month in months:
        table = session.read(asset, month)
        at = np.flatnonzero(matrix.month == month)
        names = [name for name in table.column_names if name != "customer_id"]
        values = np.column_stack([table[name].to_numpy() for name in names])
        customer = table["customer_id"].to_numpy()
        order = np.argsort(customer, kind="stable")
        wanted = matrix.customer[at]
        found = order[np.minimum(np.searchsorted(customer, wanted, sorter=order), len(order) - 1)]
        present = customer[found] == wanted
        aligned[at[present]] = _in_classes(values, names, task)[found[present]]
    return aligned


def _in_classes(values: np.ndarray, names: list[str], task: MatrixTask) -> np.ndarray:
    """Bring the truth's columns into the order of the classes; codes outside the vocabulary add up to the last, "other"."""
    if task.kind != "multiclass":
        return np.asarray(values[:, 0])
    codes = [name.removeprefix("p_") for name in names]
    by_position = [str(k) for k in range(task.classes)]
    labels = by_position if codes == by_position else list(task.class_labels)
    if unknown := [label for label in labels[: len(labels) - 1] if label not in codes]:
        raise GateError(
            f"the truth has no column for {unknown[:3]}", where=truth_asset(task.name), fix="generate it again"
        )
    out = np.zeros((len(values), task.classes), dtype=np.float64)
    for column, code in enumerate(codes):
        out[:, labels.index(code) if code in labels else task.classes - 1] += values[:, column]
    return out / out.sum(1, keepdims=True)
