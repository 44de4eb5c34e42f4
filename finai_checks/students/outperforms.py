"""C43, the verdict: a copy is not better than its teacher. A student that is has learnt something else than it was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finai_assets.scoring.metrics import LOWER_IS_BETTER, PRIMARY
from finai_checks.framework.check import CheckOutcome


def not_above_teacher(card: Mapping[str, Any] | None) -> CheckOutcome:
    """Return whether the interval of a copy's score less its teacher's, on the same test rows, reaches the teacher's side.

    A student that copies nobody passes, once it was compared. A difference without an interval is no evidence.

    Parameters
    ----------
    card
        ``student.json`` of the task, or None where there is none.
    """
    if card is None:
        return CheckOutcome.no_evidence()
    route, metric, found = card["route"], PRIMARY[card["kind"]], card.get("over_teacher")
    observed: dict[str, Any] = {"route": route, "metric": metric}
    if route == "SKIP":
        rows = int(((card["metrics"].get("test") or {}).get("teacher") or {}).get(metric, {}).get("n") or 0)
        return CheckOutcome(rows > 0, "route SKIP, the rules serve it" if rows else "no_evidence", rows, observed)
    if not found or found.get("low") is None or found.get("high") is None:
        return CheckOutcome.no_evidence(**observed)
    observed |= {"over_teacher": found["value"], "interval": [found["low"], found["high"]]}
    told = f"{metric} {found['value']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}] against the teacher"
    if route != "DISTILL":
        return CheckOutcome(True, f"route {route}, which copies nobody: {told}", found["n"], observed)
    above = found["high"] < 0 if metric in LOWER_IS_BETTER else found["low"] > 0
    return CheckOutcome(
        not above, f"the copy is better than its teacher: {told}" if above else "", found["n"], observed
    )
