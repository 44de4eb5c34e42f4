"""Whether a copy gives the same reasons as its teacher: its exact Shapley values beside the teacher's integrated gradients.

Both are taken on the same test rows, in units of the same output: the logit, the value, or the logit of the class that the
teacher predicts less the mean of all. They are compared in two ways, since a copy reads some of the columns and no side tensor:

- by input, among those that both read. An input of the teacher is a column, or a channel of a sequence with all its steps; the
  copy's columns are added up to the same inputs. The teacher's stored list of a row holds its first inputs of all. Of those that
  the copy reads, the first m are taken, m at most 5: they are its first m among the shared inputs, as the list has no gaps.
  ``overlap`` is the share of them among the copy's first m, ``sign_agreement`` the share of equal signs among those that both
  name.
- by feature group: the same of groups, whose size is the sum of the absolute attributions of their inputs and whose sign that of
  their sum, with m at most 3. Here no group is left out, so a group that the copy cannot read counts as missed.

A row on which the teacher names nothing that the copy reads is not compared by input; ``compared`` counts those that are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.asset_graph import EXPLANATIONS
from finai_assets.scoring.boosting import contributions
from finai_assets.scoring.resampling import mean_interval
from finai_assets.settings.method import MetricSettings
from finai_assets.students.result import StudentModel
from finai_assets.students.train import places
from finai_assets.training.matrix import TrainingMatrix
from finai_resources.errors import GateError

FIRST_INPUTS, FIRST_GROUPS = 5, 3


@dataclass(frozen=True)
class Explained:
    """The teacher's first inputs of n explained rows, the largest first.

    Parameters
    ----------
    at : int64 [n]
        Where the rows stand in the training matrix.
    inputs, groups : str [n, top]
    attribution : float64 [n, top]
    """

    at: np.ndarray
    inputs: np.ndarray
    groups: np.ndarray
    attribution: np.ndarray


def explained_rows(table: pa.Table, matrix: TrainingMatrix) -> dict[str, Explained]:
    """Return the explained rows of each task from the table of :func:`finai_assets.evaluation.explanation.importance.top_table`.

    Raises
    ------
    GateError
        A row is no test row of the matrix, or rows have lists of different lengths.
    """
    rows = matrix.rows("test")
    place = {
        key: rows.start + index
        for index, key in enumerate(zip(matrix.customer[rows].tolist(), matrix.month[rows].tolist(), strict=True))
    }
    return {
        str(task): _explained(table.filter(pc.equal(table["task"], task)), place)
        for task in pc.unique(table["task"]).to_pylist()
    }


def _explained(table: pa.Table, place: Mapping[tuple[int, str], int]) -> Explained:
    keys = list(zip(table["customer_id"].to_pylist(), table["month"].to_pylist(), strict=True))
    if strange := [key for key in keys if key not in place]:
        raise GateError(
            f"{len(strange)} explained rows are no test rows of the training matrix, such as that of {strange[0][1]}",
            where=EXPLANATIONS,
            fix="materialise the explanations again",
        )
    at, rank = np.array([place[key] for key in keys]), table["rank"].to_numpy()
    order = np.lexsort((rank, at))
    found, count = np.unique(at, return_counts=True)
    if len(set(count.tolist())) > 1:
        raise GateError(
            "explained rows have lists of different lengths",
            where=EXPLANATIONS,
            fix="materialise the explanations again",
        )
    shape = (len(found), -1)
    names, groups = (
        np.array(table[name].to_pylist(), dtype=object)[order].reshape(shape) for name in ("input", "group")
    )
    return Explained(found, names, groups, table["attribution"].to_numpy().astype(np.float64)[order].reshape(shape))


def reasons_of_copy(
    model: StudentModel, matrix: TrainingMatrix, at: np.ndarray, teacher: np.ndarray, threads: int
) -> np.ndarray:
    """Return how much each column of a copy moves its output on some rows of the matrix, float64 [n, columns].

    Parameters
    ----------
    at : int64 [n]
    teacher : float [n] or [n, classes]
        The teacher's predictions of these rows, which choose the class that is explained.
    """
    X = np.ascontiguousarray(matrix.X[np.ix_(at, places(matrix, model.columns))], dtype=np.float32)
    found = contributions(model.text, X, threads)
    if teacher.ndim == 1:
        return found[:, 0]
    return found[np.arange(len(at)), teacher.argmax(axis=1)] - found.mean(axis=1)


def compare_reasons(
    teacher: Explained,
    copy: np.ndarray,
    inputs: Sequence[str],
    groups: Mapping[str, str],
    customer: np.ndarray,
    settings: MetricSettings,
    seed: int,
) -> dict[str, Any]:
    """Compare the reasons of a copy with its teacher's, as the module says.

    Parameters
    ----------
    copy : float64 [n, columns]
        From :func:`reasons_of_copy`.
    inputs : sequence of str, one for each of the copy's columns
        The teacher's input that the column is part of.
    groups : dict
        The feature group of each input.
    customer : int64 [n]
        The unit that is resampled.

    Returns
    -------
    dict
        ``rows``; ``read_share``, how much of the absolute attributions that the teacher lists is on inputs that the copy reads;
        by ``inputs`` and by ``groups`` the number of rows ``compared``, and ``overlap`` and ``sign_agreement`` with intervals.
    """
    by_input = _added_up(copy, inputs)
    by_group = _added_up(np.abs(copy), [groups[name] for name in inputs])
    signed = _added_up(copy, [groups[name] for name in inputs])
    rows: dict[str, list[tuple[float, float]]] = {"inputs": [], "groups": []}
    read = np.isin(teacher.inputs.astype(str), list(by_input))
    for row, (names, kinds, values) in enumerate(zip(teacher.inputs, teacher.groups, teacher.attribution, strict=True)):
        told = {name: value for name, value, kept in zip(names, values, read[row], strict=True) if kept}
        mine = {name: column[row] for name, column in by_input.items()}
        rows["inputs"].append(_agreement(told, told, mine, mine, FIRST_INPUTS))
        size, sign = (_by_name(kinds, each) for each in (np.abs(values), values))
        mine, my_sign = ({name: column[row] for name, column in found.items()} for found in (by_group, signed))
        rows["groups"].append(_agreement(size, sign, mine, my_sign, FIRST_GROUPS))
    size = np.abs(teacher.attribution)
    return {
        "rows": len(copy),
        "read_share": float(size[read].sum() / size.sum()) if size.sum() > 0 else None,
        **{name: _figures(np.array(found).reshape(-1, 2), customer, settings, seed) for name, found in rows.items()},
    }


def _agreement(
    size: Mapping[str, float],
    sign: Mapping[str, float],
    other_size: Mapping[str, float],
    other_sign: Mapping[str, float],
    most: int,
) -> tuple[float, float]:
    """Return the overlap of what two explanations name first, and the share of equal signs within it; NaN without any."""
    first = _first(size, most)
    both = set(first) & set(_first(other_size, len(first)))
    overlap = len(both) / len(first) if first else float("nan")
    signs = [np.sign(sign[name]) == np.sign(other_sign[name]) for name in both]
    return overlap, float(np.mean(signs)) if signs else float("nan")


def _first(size: Mapping[str, float], most: int) -> list[str]:
    """Return the names of the largest sizes; what is zero is no reason."""
    return sorted((name for name in size if size[name]), key=lambda name: (-abs(size[name]), name))[:most]


def _added_up(values: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for name, column in zip(names, values.T, strict=True):
        found[name] = found[name] + column if name in found else column
    return found


def _by_name(names: np.ndarray, values: np.ndarray) -> dict[str, float]:
    return {name: float(values[names == name].sum()) for name in dict.fromkeys(names.tolist())}


def _figures(found: np.ndarray, customer: np.ndarray, settings: MetricSettings, seed: int) -> dict[str, Any]:
    told: dict[str, Any] = {"compared": int(np.isfinite(found[:, 0]).sum())}
    for name, values in zip(("overlap", "sign_agreement"), found.T, strict=True):
        told[name] = mean_interval(values, customer, settings, seed).plain()
    return told
