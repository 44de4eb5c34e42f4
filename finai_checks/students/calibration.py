"""C22, the verdict: what a student serves as a probability happens as often as it says, on test rows.

The error as served is judged by its value; the error before the calibrator stands beside it
(:func:`finai_assets.scoring.calibration_error.calibration_error`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finai_assets.settings.checks import CalibrationSettings
from finai_checks.framework.check import CheckOutcome


def calibrated(summary: Mapping[str, Any] | None, rules: CalibrationSettings) -> CheckOutcome:
    """Return whether every model that gives probabilities, layer 2 included, is calibrated; one without labels is not.

    Parameters
    ----------
    summary
        ``fidelity.json``, or None where there is none.
    """
    tasks = (summary or {}).get("tasks") or {}
    table = [
        _row(task, layer, found, rules.ece)
        for task, entry in tasks.items()
        for layer, found in entry["calibration"].items()
    ]
    rows = max((row["rows"] for row in table), default=0)
    if not rows:
        return CheckOutcome.no_evidence(models=len(table))
    faults = [row["fault"] for row in table if row["fault"]]
    worst = max(row["after"] for row in table if row["after"] is not None)
    observed = {"models": len(table), "above": len(faults), "worst": worst}
    return CheckOutcome(not faults, "; ".join(faults), rows, observed, table)


def _row(task: str, layer: str, found: Mapping[str, Any], limit: float) -> dict[str, Any]:
    before, after = found["before"], found["after"]
    value, who = after["value"], f"{task} ({layer})"
    if value is None:
        fault = f"{who}: no test row has a label"
    else:
        fault = f"{who}: {value:.4f} [{_end(after['low'])}, {_end(after['high'])}]" if value > limit else ""
    return {
        "task": task,
        "layer": layer,
        "calibrator": found["calibrator"],
        "before": before["value"],
        "after": value,
        "low": after["low"],
        "high": after["high"],
        "rows": after["n"],
        "fault": fault,
    }


def _end(value: float | None) -> str:
    return "?" if value is None else f"{value:.4f}"
