"""The count of copies (C23), the verdict: enough tasks are served by a faithful copy, and each other task has a reason.

It stops no run and no bundle; a promotion asks for it. A copy counts by its stored figures and the floors of now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finai_assets.settings.method import StudentSettings
from finai_assets.students.fidelity import compare_stored
from finai_checks.framework.check import CheckOutcome


def enough_copies(summary: Mapping[str, Any] | None, tasks: Sequence[str], settings: StudentSettings) -> CheckOutcome:
    """Return whether enough tasks are served by a copy within every floor, and whether the others have an accepted reason.

    Parameters
    ----------
    summary
        ``fidelity.json``, or None where there is none.
    tasks
        The tasks that the data set carries; one that is not among the students has no copy.
    """
    stored = (summary or {}).get("tasks") or {}
    if not stored or not tasks:
        return CheckOutcome.no_evidence(tasks=len(tasks))
    table = [_row(name, stored.get(name), settings) for name in tasks]
    copies = sum(row["copy"] for row in table)
    faults = []
    if copies < settings.minimum_copies:
        faults.append(
            f"{copies} of {len(tasks)} tasks are served by a faithful copy, {settings.minimum_copies} are needed"
        )
    faults += [
        f"{row['task']}: {row['why']}, and no reason is accepted" for row in table if row["why"] and not row["accepted"]
    ]
    observed = {"copies": copies, "tasks": len(tasks), "others": [row["task"] for row in table if not row["copy"]]}
    return CheckOutcome(not faults, "; ".join(faults), len(stored), observed, table)


def _row(name: str, entry: Mapping[str, Any] | None, settings: StudentSettings) -> dict[str, Any]:
    why = _why_no_copy(entry, settings)
    return {
        "task": name,
        "route": entry["route"] if entry else "",
        "copy": not why,
        "why": why,
        "accepted": settings.accepted.get(name, ""),
    }


def _why_no_copy(entry: Mapping[str, Any] | None, settings: StudentSettings) -> str:
    """Return why a task is served by no faithful copy, empty where it is."""
    if entry is None:
        return "no student"
    if entry["route"] != "DISTILL":
        return f"route {entry['route']}"
    verdict = compare_stored(entry, settings.fidelity)
    if verdict is None:
        return "a copy that was never compared"
    return "" if verdict.passed else f"a copy that misses a floor ({'; '.join(verdict.failures)})"
