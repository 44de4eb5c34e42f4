"""C22, the verdicts: what a student serves as a probability happens as often as it says, on test rows.

The error as served is judged by its value and warns; the error before the calibrator stands beside it
(:func:`finai_assets.scoring.calibration_error.calibration_error`). Where few come true, probabilities may be ten times too low
and the error is still small: so the number that come true is compared with the number expected, which refuses (calibration in
the large; Steyerberg, Clinical Prediction Models, 2019, section 15.3).
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


def calibrated_in_the_large(
    summary: Mapping[str, Any] | None, rules: CalibrationSettings, confidence: float
) -> CheckOutcome:
    """Return whether about as many rows come true as each model that gives probabilities expects.

    Parameters
    ----------
    summary
        ``fidelity.json``, or None where there is none.
    confidence
        Of the exact interval of a Poisson count (Garwood, Biometrika 28, 1936); a model fails where the whole interval is above
        the limit, or below its reciprocal.
    """
    tasks = (summary or {}).get("tasks") or {}
    table = [
        {
            "task": task,
            "layer": layer,
            **_ratio(found["observed"], found["expected"], confidence),
            "rows": found["after"]["n"],
        }
        for task, entry in tasks.items()
        for layer, found in entry["calibration"].items()
        if found["after"]["n"]
    ]
    if not table:
        return CheckOutcome.no_evidence(models=0)
    limit = rules.in_the_large
    faults = [
        f"{row['task']} ({row['layer']}): {row['observed']:,} come true where {row['expected']:,.1f} are expected, "
        f"{row['ratio']:.2f} [{row['low']:.2f}, {row['high']:.2f}] times"
        for row in table
        if row["low"] > limit or row["high"] < 1 / limit
    ]
    observed = {"models": len(table), "refused": len(faults)}
    return CheckOutcome(not faults, "; ".join(faults), max(row["rows"] for row in table), observed, table)


def _ratio(observed: int, expected: float, confidence: float) -> dict[str, Any]:
    from scipy.stats import chi2

    tail, least = (1 - confidence) / 2, max(expected, 1e-9)
    low = float(chi2.ppf(tail, 2 * observed)) / 2 if observed else 0.0
    high = float(chi2.ppf(1 - tail, 2 * observed + 2)) / 2
    ends = {"ratio": observed / least, "low": low / least, "high": high / least}
    return {"observed": observed, "expected": expected, **ends}


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
