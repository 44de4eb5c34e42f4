"""C23, the verdict: a student that imitates its teacher agrees with it within the floors of the configuration.

The figures are those that were measured when the student was trained. They are compared again with the floors of now, by the one
function that chose the route (:func:`finai_assets.students.fidelity.compare_fidelity`), so that the outcome records the floors
that the verdict was compared with, and a changed floor changes the verdict without training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finai_assets.settings.method import FidelitySettings
from finai_assets.students.fidelity import FidelityVerdict, compare_stored
from finai_checks.framework.check import NO_EVIDENCE, CheckOutcome


def student_fidelity(
    task: str,
    card: Mapping[str, Any] | None,
    floors: FidelitySettings,
    ceiling: Mapping[str, float] | None = None,
) -> CheckOutcome:
    """Return whether a distilled student agrees with its teacher on test rows within every floor; a missing one fails.

    Parameters
    ----------
    card
        ``student.json`` of the task, or None where there is none.
    floors
        The floors of the configuration.
    ceiling
        What one teacher as the copy of another reaches, by measure; shown beside the floors, and compared with nothing.

    Returns
    -------
    CheckOutcome
        ``observed`` holds the floors that the verdict was compared with. Where the student's route was chosen with other floors,
        it names these too.
    """
    if card is None:
        return CheckOutcome.no_evidence(task=task)
    route, verdict = card["route"], compare_stored(card, floors)
    observed = {"route": route, **_floors(card, verdict)}
    if route != "DISTILL":
        rows = _evaluated_rows(card)
        reason = f"route {route}: {card.get('reason', '')}" if rows else NO_EVIDENCE
        return CheckOutcome(rows > 0, reason, rows, observed)
    if verdict is None:
        return CheckOutcome.no_evidence(**observed)
    table = [{**row, "noise_ceiling": (ceiling or {}).get(row["measure"])} for row in verdict.to_json()["verdicts"]]
    reason = "; ".join(
        f"{row['measure']} {row['observed']} (floor {row['floor']})" for row in table if not row["passed"]
    )
    return CheckOutcome(verdict.passed, reason, verdict.n, observed, table)


def _floors(card: Mapping[str, Any], verdict: FidelityVerdict | None) -> dict[str, Any]:
    """Return the floors compared with, and where the route was chosen with others, those by measure."""
    if verdict is None:
        return {}
    floors, then = verdict.bounds(), FidelityVerdict.from_json(card["fidelity"]).bounds()
    other = {
        measure: then.get(measure)
        for measure in dict.fromkeys([*floors, *then])
        if then.get(measure) != floors.get(measure)
    }
    return {"floors": floors, **({"route_chosen_with_floors": other} if other else {})}


def _evaluated_rows(card: Mapping[str, Any]) -> int:
    """Return the number of test rows that any of the student's metrics was computed on."""
    models = (card.get("metrics") or {}).get("test") or {}
    counts = [int(entry.get("n") or 0) for metrics in models.values() if metrics for entry in metrics.values()]
    return max(counts, default=0)
