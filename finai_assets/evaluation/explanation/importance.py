"""Importance over rows: means of absolute attributions, by input, by group and by expert."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from finai_assets.evaluation.explanation.expert_gradients import ExpertAttributions
from finai_assets.evaluation.explanation.gradients import Attributions
from finai_assets.evaluation.explanation.inputs import Inputs
from finai_assets.evaluation.explanation.rows import ExplainedRows


def completeness(attributions: Attributions, task: int, tolerance: float) -> dict[str, Any]:
    """Return how far a task's attributions are from adding up to the change of its output.

    ``gap`` is the mean absolute difference, ``share`` the same over the mean absolute change; 0 where nothing changes.
    """
    gap = float(np.abs(attributions.gap[task]).mean())
    change = float(np.abs(attributions.end[task].astype(np.float64) - attributions.start[task]).mean())
    share = gap / change if change > 0 else 0.0
    return {"gap": gap, "change": change, "share": share, "met": bool(share <= tolerance)}


def of_inputs(attributions: Attributions, task: int, inputs: Inputs, top: int) -> dict[str, Any]:
    """Return a task's importance by group, as sums over inputs, and its most important inputs."""
    size = np.abs(attributions.values[task]).mean(axis=0, dtype=np.float64)
    signed = attributions.values[task].mean(axis=0, dtype=np.float64)
    groups = sorted(set(inputs.groups))
    by_group = {name: float(size[[group == name for group in inputs.groups]].sum()) for name in groups}
    first = np.argsort(-size, kind="stable")[:top]
    return {
        "groups": by_group,
        "inputs": [
            {
                "name": inputs.names[j],
                "group": inputs.groups[j],
                "mean_absolute": float(size[j]),
                "mean": float(signed[j]),
            }
            for j in first
        ],
        "total": float(size.sum()),
    }


def of_experts(attributions: ExpertAttributions, task: int) -> dict[str, Any]:
    """Return a task's importance by expert, and how far the attributions are from adding up."""
    values, change = attributions.values[task], attributions.change[task].astype(np.float64)
    size = np.abs(values).mean(axis=0, dtype=np.float64)
    gap = np.abs(values.sum(axis=1, dtype=np.float64) - change).mean()
    moved = np.abs(change).mean()
    return {
        "experts": dict(zip(attributions.names, size.tolist(), strict=True)),
        "gap_share": float(gap / moved) if moved > 0 else 0.0,
    }


def top_table(
    attributions: Attributions, rows: ExplainedRows, inputs: Inputs, tasks: tuple[str, ...], top: int
) -> pa.Table:
    """Return each row's most important inputs, one line for each row, task and rank.

    Columns: ``customer_id``, ``month``, ``task``, ``rank`` (from 1), ``input``, ``group``, ``attribution`` in units of the
    task's output, and ``output`` and ``baseline_output``, which all attributions of the row lead from one to the other.
    """
    parts = []
    names, groups = np.array(inputs.names, dtype=object), np.array(inputs.groups, dtype=object)
    for task, name in enumerate(tasks):
        values = attributions.values[task]
        order = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :top]
        n, count = order.shape
        parts.append(
            pa.table(
                {
                    "customer_id": pa.array(np.repeat(rows.customer, count), pa.int64()),
                    "month": pa.array(np.repeat(rows.month, count).astype(object), pa.string()),
                    "task": pa.array([name] * (n * count), pa.string()),
                    "rank": pa.array(np.tile(np.arange(1, count + 1), n), pa.int16()),
                    "input": pa.array(names[order].ravel(), pa.string()),
                    "group": pa.array(groups[order].ravel(), pa.string()),
                    "attribution": pa.array(np.take_along_axis(values, order, 1).ravel(), pa.float32()),
                    "output": pa.array(np.repeat(attributions.end[task], count), pa.float32()),
                    "baseline_output": pa.array(np.repeat(attributions.start[task], count), pa.float32()),
                }
            )
        )
    return pa.concat_tables(parts)
