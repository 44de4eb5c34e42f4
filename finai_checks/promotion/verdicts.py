"""C29 and C30, the verdicts: the facts of a decision, judged again by the lattice, hold, and say what was decided."""

from __future__ import annotations

from typing import Any

from finai_assets.promotion.facts import Criterion, Facts, Fault, Verdict
from finai_assets.promotion.lattice import SIGNED, judge
from finai_assets.settings.promotion import PromotionSettings
from finai_checks.framework.check import CheckOutcome


def beats_champion(facts: Facts | None, stored: Verdict, settings: PromotionSettings) -> CheckOutcome:
    """Return whether every criterion but the signatures holds, and whether the stored verdict is that of the facts.

    Parameters
    ----------
    facts
        None where they could not be gathered: then the stored verdict says why, and the check fails.
    """
    if facts is None:
        return _outcome(stored, stored.criteria, {})
    again = judge(facts, settings)
    if again.codes != stored.codes:
        told = f"{', '.join(stored.codes) or 'passed'}; the facts say {', '.join(again.codes) or 'passed'}"
        return CheckOutcome(
            False, f"VERDICT_DIFFERS: the stored verdict is {told}", len(again.criteria), _figures(facts)
        )
    judged = tuple(criterion for criterion in again.criteria if criterion.name != SIGNED)
    return _outcome(again, judged, _figures(facts))


def signed_by_other(
    facts: Facts | None, stored: Verdict, settings: PromotionSettings, origin: Fault | None = None
) -> CheckOutcome:
    """Return whether two people signed for the bundle, and for the champion that there is, by the keys that are configured now.

    Parameters
    ----------
    origin
        What is wrong with the way in which the present champion became champion.
    """
    if origin is not None:
        return CheckOutcome(False, f"{origin.code}: {origin.what}", 1, {"champion": stored.champion or "none"})
    if facts is None:
        return CheckOutcome.no_evidence(bundle=stored.bundle)
    again = judge(facts, settings)
    judged = tuple(criterion for criterion in again.criteria if criterion.name == SIGNED)
    outcome = _outcome(again, judged, {})
    return CheckOutcome(outcome.passed, outcome.reason, judged[0].n, outcome.observed, outcome.table)


def _outcome(verdict: Verdict, criteria: tuple[Criterion, ...], figures: dict[str, Any]) -> CheckOutcome:
    failed = [criterion for criterion in criteria if not criterion.passed]
    reason = "; ".join(f"{criterion.code}: {criterion.reason}" for criterion in failed)
    table = [{"criterion": c.name, "holds": c.passed, "code": c.code, "n": c.n, "reason": c.reason} for c in criteria]
    observed = {
        "bundle": verdict.bundle,
        "champion": verdict.champion or "none",
        "codes": [criterion.code for criterion in failed],
        "awaited": list(verdict.awaited),
        **figures,
    }
    return CheckOutcome(not failed, reason, len(criteria), observed, table)


def _figures(facts: Facts) -> dict[str, Any]:
    """Return what was compared: of each task the difference with its interval, and the rank correlation of both outputs."""
    return {
        "checks": len(facts.checks),
        "tasks": {
            row.task: f"{row.verdict} {_text(row.difference)} [{_text(row.low)}, {_text(row.high)}]"
            for row in facts.comparison
        },
        "moved": {row.task: _text(row.rank_correlation) for row in facts.shifts},
    }


def _text(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
