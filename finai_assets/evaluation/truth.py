"""The generator's true probabilities beside the rows that models predict: the ceiling that no model can pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from finai_assets.asset_graph import PRODUCT_TRUTH, truth_asset
from finai_assets.evaluation.lists.outcomes import match_customers
from finai_resources.errors import GateError, LakeError

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
        found, present = match_customers(table["customer_id"].to_numpy(), matrix.customer[at])
        aligned[at[present]] = _in_classes(values, names, task)[found[present]]
    return aligned


def read_product_truth(
    session: LakeSession, month: np.ndarray, customer: np.ndarray, *, products: int
) -> np.ndarray | None:
    """Read the generator's true probability that each product is acquired in the next month.

    Parameters
    ----------
    month : str [n]
        Of each row, ``2015-01``; in any order.
    customer : int64 [n]
    products
        How many there are.

    Returns
    -------
    float32 [n, products], zero where the product is held; None where the data set has no such truth.

    Raises
    ------
    GateError
        The truth's columns are not those of the products.
    LakeError
        The truth has some of the months alone, or lacks a customer.
    """
    months = np.unique(month).tolist()
    if all(session.find(PRODUCT_TRUTH, key) is None for key in months):
        return None
    names = [f"p_{product}" for product in range(products)]
    aligned = np.empty((len(customer), products), dtype=np.float32)
    for key in months:
        table, rows = session.read(PRODUCT_TRUTH, key), np.flatnonzero(month == key)
        where = f"{PRODUCT_TRUTH}@{key}"
        if table.column_names != ["customer_id", *names]:
            raise GateError(
                f"the truth has {table.num_columns - 1} columns of products where there are {products}",
                where=where,
                fix="generate it again",
            )
        found, present = match_customers(table["customer_id"].to_numpy(), customer[rows])
        if absent := int((~present).sum()):
            raise LakeError(f"{absent} customers have no row", where=where, fix="generate it again")
        aligned[rows] = np.column_stack([table[name].to_numpy() for name in names])[found]
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
