"""C45, the verdict: the stored labels of a month are those that their independent statement gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from finai_checks.framework.check import CheckOutcome

LookAlikes = Callable[[], Mapping[str, pa.Array]]
OTHER = "other"
_SHOWN = 5
_EXPLAINS = 0.9  # of the differing rows, that a look-alike must give as stored to be named


def labels_recomputed(
    stored: pa.Table, defined: pa.Table, kind: pa.DataType, look_alikes: LookAlikes = dict
) -> CheckOutcome:
    """Return whether each customer has one label, and exactly the one that is defined, null where it is not.

    Floats are compared by their bits.

    Parameters
    ----------
    stored : pa.Table
        ``customer_id`` and ``label``, as stored.
    defined : pa.Table
        The same by the independent statement, a row for each customer of the snapshot, ascending.
    kind
        Type of the label.
    look_alikes
        Called where labels differ: returns by name what they could be instead, in the order of ``defined``.
    """
    customers = defined["customer_id"].to_numpy()
    ids = stored["customer_id"].to_numpy()
    if not len(customers):
        return CheckOutcome.no_evidence()
    faults = _of_customers(ids, customers)
    found = stored["label"].combine_chunks()
    if found.type != kind:
        faults.append(f"labels are stored as {found.type}, and declared as {kind}")
    common, at_stored, at_defined = np.intersect1d(ids, customers, return_indices=True)
    left, right = as_label(found.take(pa.array(at_stored)), kind), as_label(defined["label"], kind)
    truth = right.take(pa.array(at_defined))
    wrong = differing(left, truth)
    observed: dict[str, Any] = {"customers": len(customers), "differing": int(wrong.sum()), "tolerance": 0}
    table: list[dict[str, Any]] = []
    if wrong.any():
        faults += _of_values(left, truth, wrong, look_alikes, pa.array(at_defined), kind)
        table = [
            {"customer_id": str(common[row]), "stored": left[row].as_py(), "defined": truth[row].as_py()}
            for row in np.flatnonzero(wrong)[:_SHOWN].tolist()
        ]
    return CheckOutcome(not faults, "; ".join(faults), len(common), observed, table)


def classes_recomputed(task: str, stored: Sequence[str], codes: Sequence[int], most: int) -> CheckOutcome:
    """Return whether the stored classes are the most frequent codes of train, ties by the smaller code, and one for all others.

    Parameters
    ----------
    codes
        The label of every customer and train month that has one.
    most : int
        How many codes are classes at most.
    """
    if not codes:
        return CheckOutcome.no_evidence(task=task)
    counted = Counter(codes)
    frequent = sorted(counted, key=lambda code: (-counted[code], code))[:most]
    defined = [*map(str, frequent), OTHER]
    observed = {f"classes_of_{task}": len(defined), f"codes_of_{task}": len(counted)}
    if list(stored) == defined:
        return CheckOutcome(True, "", len(codes), observed)
    odd = [name for name in stored if name not in defined]
    absent = [name for name in defined if name not in stored]
    told = (
        "they stand in another order"
        if not odd and not absent
        else f"{odd[:_SHOWN]} stand in place of {absent[:_SHOWN]}"
    )
    return CheckOutcome(
        False, f"the classes of {task} are not the most frequent codes of train: {told}", len(codes), observed
    )


def as_label(values: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """Return an answer in the type of a label; truth values become 0 and 1, a null stays one."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_boolean(whole.type):
        whole = whole.cast(pa.int8())
    return whole.cast(kind, safe=False)


def differing(left: pa.Array, right: pa.Array) -> np.ndarray:
    """Return where two arrays of one type differ: in being null, or in any bit of the value."""
    null_left, null_right = (values.is_null().to_numpy(zero_copy_only=False) for values in (left, right))
    bits = [np.ascontiguousarray(values.fill_null(0).to_numpy()) for values in (left, right)]
    raw = [part.view(f"u{part.dtype.itemsize}") for part in bits]
    return np.asarray((null_left != null_right) | (~null_left & ~null_right & (raw[0] != raw[1])))


def _of_customers(ids: np.ndarray, customers: np.ndarray) -> list[str]:
    absent, odd = np.setdiff1d(customers, ids), np.setdiff1d(ids, customers)
    twice = len(ids) - len(np.unique(ids))
    return [
        *([f"{len(absent)} customers of the snapshot have no label"] if len(absent) else []),
        *([f"{len(odd)} customers have a label and no snapshot"] if len(odd) else []),
        *([f"{twice} rows are of a customer who has one already"] if twice else []),
    ]


def _of_values(
    left: pa.Array, truth: pa.Array, wrong: np.ndarray, look_alikes: LookAlikes, rows: pa.Array, kind: pa.DataType
) -> list[str]:
    null, due = (values.is_null().to_numpy(zero_copy_only=False) for values in (left, truth))
    faults = [f"{int(wrong.sum())} of {len(wrong)} labels are not as defined"]
    if (null & ~due).any():
        faults.append(f"{int((null & ~due).sum())} are null where the label is defined")
    if (~null & due).any():
        faults.append(f"{int((~null & due).sum())} are given where the label is not defined")
    if len(wrong) > 1 and _sorted(left) == _sorted(truth):
        faults.append("they are the labels of these customers in another order")
    told = {
        name: float((~differing(left, as_label(values, kind).take(rows)))[wrong].mean())
        for name, values in look_alikes().items()
    }
    best = max(told, key=lambda name: told[name], default=None)
    if best is not None and told[best] >= _EXPLAINS:
        faults.append(f"they are {best}")
    return faults


def _sorted(values: pa.Array) -> list[Any]:
    return sorted(values.to_pylist(), key=lambda value: (value is None, value or 0))
