"""C25, the verdict: a copy gives its teacher's reasons, by input among those that both read, and by feature group.

How the figures are taken: :mod:`finai_assets.students.report.explanations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finai_assets.settings.checks import ExplanationPreservedSettings
from finai_checks.framework.check import CheckOutcome

_COMPARED = ("inputs", "groups")


def same_reasons(summary: Mapping[str, Any] | None, rules: ExplanationPreservedSettings) -> CheckOutcome:
    """Return whether the reasons of every copy overlap with its teacher's, with equal signs; a copy never explained fails.

    Parameters
    ----------
    summary
        ``fidelity.json``, or None where there is none.

    Returns
    -------
    CheckOutcome
        No evidence where no task is copied, or no row was explained.
    """
    tasks = (summary or {}).get("tasks") or {}
    copies = {name: task["explanations"] for name, task in tasks.items() if task["route"] == "DISTILL"}
    asked = {"overlap": rules.overlap, "sign_agreement": rules.sign_agreement}
    table = [
        _row(name, what, found, figure, floor)
        for name, found in copies.items()
        for what in _COMPARED
        for figure, floor in asked.items()
    ]
    rows = max((row["rows"] for row in table), default=0)
    if not rows:
        return CheckOutcome.no_evidence(copies=len(copies))
    faults = [row["fault"] for row in table if row["fault"]]
    observed = {"copies": len(copies), "faults": len(faults)}
    return CheckOutcome(not faults, "; ".join(faults), rows, observed, table)


def _row(task: str, what: str, found: Mapping[str, Any] | None, figure: str, floor: float) -> dict[str, Any]:
    told = found[what][figure] if found else {"value": None, "low": None, "high": None}
    value, name = told["value"], figure.replace("_", " ")
    fault = ""
    if value is None:
        fault = f"{task}: {name} of {what} is not defined"
    elif value < floor:
        fault = f"{task}: {name} of {what} {value:.3f} (at least {floor:g})"
    return {
        "task": task,
        "compared": what,
        "figure": figure,
        **told,
        "floor": floor,
        "rows": found[what]["compared"] if found else 0,
        "read_share": found["read_share"] if found else None,
        "fault": fault,
    }
