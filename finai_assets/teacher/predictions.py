"""The stored form of the teacher's predictions: one row for each row of the training matrix, one column for each output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from finai_assets.training.matrix import MatrixTask


def predictions_table(
    values: Mapping[str, np.ndarray], gates: Mapping[str, np.ndarray], slots: Mapping[str, Sequence[str]]
) -> pa.Table:
    """Return predictions and gate weights as one table.

    Parameters
    ----------
    values : dict of task to float32 [n] or [n, classes]
        Probabilities or values; a multiclass task becomes columns ``<task>:0`` .. ``<task>:K-1``.
    gates : dict of task to float32 [n, slots]
        Softmax weights of the task's layer-1 gate, as columns ``gate:<task>:<slot>``.
    slots : dict of task to names
        Names of the slots, in order.
    """
    columns: dict[str, np.ndarray] = {}
    for task, value in values.items():
        if value.ndim == 1:
            columns[task] = value
        else:
            columns.update({f"{task}:{k}": np.ascontiguousarray(value[:, k]) for k in range(value.shape[1])})
    for task, weights in gates.items():
        columns.update(
            {f"gate:{task}:{slot}": np.ascontiguousarray(weights[:, i]) for i, slot in enumerate(slots[task])}
        )
    return pa.table({name: pa.array(column, pa.float32()) for name, column in columns.items()})


def load_gates(table: pa.Table, tasks: Sequence[MatrixTask]) -> dict[str, dict[str, np.ndarray]]:
    """Return the gate weights float32 [n] of each task by slot, in the order of the slots."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for task in tasks:
        prefix = f"gate:{task.name}:"
        slots = [name for name in table.column_names if name.startswith(prefix)]
        found[task.name] = {name.removeprefix(prefix): table[name].to_numpy() for name in slots}
    return found


def load_predictions(table: pa.Table, tasks: Sequence[MatrixTask]) -> dict[str, np.ndarray]:
    """Return the predictions of each task, [n] or [n, classes], as they were given to :func:`predictions_table`."""
    loaded = {}
    for task in tasks:
        if task.kind == "multiclass":
            columns = [table[f"{task.name}:{k}"].to_numpy() for k in range(task.classes)]
            loaded[task.name] = np.column_stack(columns)
        else:
            loaded[task.name] = table[task.name].to_numpy()
    return loaded
