"""Checks of promises that gate what follows: gaps between splits, fits on train rows, columns that vary, fidelity.

Each takes plain values and returns a :class:`~finai_checks.outcome.CheckOutcome`. No evidence is a failure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from finai_checks.outcome import NO_EVIDENCE, CheckOutcome


def gap_split(gaps: Sequence[Mapping[str, Any]], gap_days: int, *, months: Mapping[str, Sequence[str]]) -> CheckOutcome:
    """C13: between a split's last label window and the next split's first cutoff lie at least ``gap_days`` days.

    Parameters
    ----------
    gaps
        Rows with ``before``, ``window_end``, ``cutoff`` and ``days``.
    gap_days
        What is asked for.
    months
        Months of each split, as used by the stored training matrix.
    """
    if not gaps or not all(months.get(split) for split in ("train", "validation", "test")):
        return CheckOutcome.no_evidence()
    rows = [{**gap, "required": gap_days, "passed": int(gap["days"]) >= gap_days} for gap in gaps]
    used = [month for split in ("train", "validation", "test") for month in months[split]]
    purged_used = sorted(set(used) & set(months.get("purged", [])))
    ordered = used == sorted(used) and len(set(used)) == len(used)
    passed = all(row["passed"] for row in rows) and not purged_used and ordered
    reason = (
        ""
        if passed
        else "; ".join(
            [f"the gap before {row['before']} has {row['days']} days" for row in rows if not row["passed"]]
            + ([f"purged months are used: {purged_used}"] if purged_used else [])
            + ([] if ordered else ["the splits are not in order of time, or share a month"])
        )
    )
    observed = {"smallest_gap_days": min(int(gap["days"]) for gap in gaps), "required_days": gap_days}
    return CheckOutcome(passed, reason, len(used), observed, [dict(row) for row in rows])


def fitted_on_train_only(
    *,
    fitted_months: Sequence[str],
    fitted_digest: str,
    fitted_rows: int,
    train_months: Sequence[str],
    train_digest: str,
) -> CheckOutcome:
    """C12: the rows that a state was fitted on are the train sample, by months and by digest of (customer, month).

    Parameters
    ----------
    fitted_months, fitted_digest, fitted_rows
        What the stored state says of the rows it saw.
    train_months, train_digest
        The same, drawn anew from the train months as they are stored now.
    """
    if fitted_rows == 0 or not fitted_months:
        return CheckOutcome.no_evidence()
    outside = sorted(set(fitted_months) - set(train_months))
    same = fitted_digest == train_digest
    reason = "; ".join(
        ([f"fitted on months outside train: {outside}"] if outside else [])
        + ([] if same else ["the fitted rows are not the train sample (their digests differ)"])
    )
    observed = {"fitted_digest": fitted_digest, "train_digest": train_digest, "months": list(fitted_months)}
    return CheckOutcome(not outside and same, reason, fitted_rows, observed, [])


def columns_vary(names: Sequence[str], std: np.ndarray, rows: int, *, allowed: int) -> CheckOutcome:
    """C06 (in part): no column is constant over the rows given.

    Parameters
    ----------
    names
        Columns, aligned with ``std`` [columns], the standard deviation over the rows that are not missing (NaN where all are).
    rows
        Number of rows.
    allowed
        How many constant columns are let pass.
    """
    if rows < 2 or not names:
        return CheckOutcome.no_evidence(rows=rows)
    constant = [name for name, value in zip(names, std, strict=True) if not value > 0]
    passed = len(constant) <= allowed
    reason = "" if passed else f"{len(constant)} of {len(names)} columns are constant: {', '.join(constant[:8])}"
    table = [{"column": name, "std": 0.0} for name in constant]
    return CheckOutcome(passed, reason, rows, {"constant_columns": len(constant), "allowed": allowed}, table)


def student_fidelity(task: str, student: Mapping[str, Any] | None) -> CheckOutcome:
    """C23: a distilled student agrees with its teacher on test rows within every floor; a missing one fails.

    Parameters
    ----------
    student
        ``student.json`` of the task, or None where there is none.
    """
    if student is None:
        return CheckOutcome.no_evidence(task=task)
    route, fidelity = student["route"], student.get("fidelity")
    if route != "DISTILL":
        rows = _evaluated_rows(student)
        return CheckOutcome(
            rows > 0, f"route {route}: {student.get('reason', '')}" if rows else NO_EVIDENCE, rows, {"route": route}, []
        )
    if not fidelity or not fidelity.get("verdicts") or not fidelity.get("n"):
        return CheckOutcome.no_evidence(route=route)
    failed = [entry for entry in fidelity["verdicts"] if not entry["passed"]]
    reason = "; ".join(f"{entry['measure']} {entry['observed']} (floor {entry['floor']})" for entry in failed)
    return CheckOutcome(
        not failed, reason, int(fidelity["n"]), {"route": route}, [dict(entry) for entry in fidelity["verdicts"]]
    )


def _evaluated_rows(student: Mapping[str, Any]) -> int:
    """Return the number of test rows that any of the student's metrics was computed on."""
    models = (student.get("metrics") or {}).get("test") or {}
    counts = [int(entry.get("n") or 0) for metrics in models.values() if metrics for entry in metrics.values()]
    return max(counts, default=0)
