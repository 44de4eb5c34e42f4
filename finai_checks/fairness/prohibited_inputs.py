"""C14, the verdict: no model reads a prohibited attribute under its own name, a derivative of it, or an exact proxy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from finai_assets.settings.checks import ProhibitedInputSettings
from finai_assets.settings.method import TeacherSettings
from finai_assets.teacher.layout import Layout
from finai_assets.teacher.result import TeacherResult, predict
from finai_assets.training.matrix import TrainingMatrix
from finai_checks.fairness.protected import ASSET, Carrier
from finai_checks.framework.check import CheckOutcome

_NAMED = 6


def prohibited_inputs_absent(
    read: Sequence[str],
    declared: Mapping[str, Sequence[str]],
    carried: Mapping[str, Sequence[Carrier]],
    *,
    policy: ProhibitedInputSettings,
    reacts: Sequence[str] = (),
    **observed: Any,
) -> CheckOutcome:
    """Return whether a model reads no prohibited input.

    Parameters
    ----------
    read
        Names of the columns that the model reads.
    declared
        The raw columns (``raw/snapshots.gender``) from which each feature is declared to be made.
    carried
        Columns that are one-to-one with a protected attribute, by name.
    reacts
        Tasks whose predictions change where columns are altered that the model is not said to read.
    """
    if not read:
        return CheckOutcome.no_evidence(**observed)
    table: list[dict[str, Any]] = []
    for name in read:
        faults = _faults(name, declared.get(name), carried.get(name, ()), policy)
        permitted = [c for c in carried.get(name, ()) if policy.permits(c.attribute, name)]
        if faults or permitted:
            reasons_of_policy = "; ".join(policy.permitted[c.attribute].reason for c in permitted)
            row = {"column": name, "passed": not faults, "fault": "; ".join(faults), "permitted": reasons_of_policy}
            table.append(row)
    reasons = [row["fault"] for row in table if not row["passed"]]
    if reacts:
        reasons.append(f"predictions of {', '.join(reacts)} follow columns that the model is not said to read")
    more = f"; and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
    observed = {"columns": len(read), "prohibited": sum(not row["passed"] for row in table), **observed}
    return CheckOutcome(not reasons, "; ".join(reasons[:_NAMED]) + more, len(read), observed, table)


def prohibited(
    columns: Sequence[str],
    declared: Mapping[str, Sequence[str]],
    carried: Mapping[str, Sequence[Carrier]],
    policy: ProhibitedInputSettings,
) -> list[str]:
    """Return the columns of a matrix that no model may read."""
    return [name for name in columns if _faults(name, declared.get(name), carried.get(name, ()), policy)]


def _faults(
    name: str, declared: Sequence[str] | None, carried: Sequence[Carrier], policy: ProhibitedInputSettings
) -> list[str]:
    if declared is None:
        return [f"{name} is declared by no feature group, so that its inputs are unknown"]
    faults = []
    if trait := policy.trait(name):
        faults.append(f"{name} has the name of {trait} ({policy.denied[trait].law})")
    for source in declared:
        if source.partition(".")[0] == ASSET:
            faults.append(f"{name} is made from {source}, which no model may read")
        elif trait := policy.trait(source.rpartition(".")[2]):
            faults.append(f"{name} is made from {source}: {trait} ({policy.denied[trait].law})")
    return faults + [c.sentence() for c in carried if not policy.permits(c.attribute, name)]


def read_by_teacher(layout: Layout, settings: TeacherSettings) -> tuple[str, ...]:
    """Return the columns and side tensors (``tda_local.diagram``) of the groups that some expert is routed to."""
    routed = settings.read_groups
    columns = (name for name, group in zip(layout.columns, layout.groups, strict=True) if group in routed)
    tensors = (f"{tensor.group}.{tensor.name}" for tensor in layout.tensors if tensor.group in routed)
    return (*columns, *tensors)


def reacting_tasks(
    teacher: TeacherResult, matrix: TrainingMatrix, altered: Sequence[str], *, rows: int
) -> tuple[str, ...]:
    """Return the tasks whose predictions change by any bit when some columns take the values of other rows.

    Parameters
    ----------
    altered
        Columns of the matrix.
    rows
        How many of the last rows are predicted, unaltered and altered.
    """
    part = slice(max(0, len(matrix) - rows), len(matrix))
    X = np.array(matrix.X[part])
    side = None if matrix.side is None else np.array(matrix.side[part])
    spoiled = X.copy()
    place = {name: index for index, name in enumerate(matrix.columns)}
    for name in altered:  # the same values in the opposite order, and where that changes too little, another value
        values = X[::-1, place[name]]
        spoiled[:, place[name]] = np.where(
            values == X[:, place[name]], X[:, place[name]].max() - X[:, place[name]], values
        )
    stored, _ = predict(teacher, X, teacher.settings.batch_rows, side)
    again, _ = predict(teacher, spoiled, teacher.settings.batch_rows, side)
    return tuple(name for name, values in stored.items() if not np.array_equal(values, again[name], equal_nan=True))
