"""C29 and C30: who is champion, and by whom."""

from __future__ import annotations

from finai_assets.asset_graph import CHAMPION
from finai_assets.bundle.registry import Registry
from finai_assets.platform import Platform
from finai_assets.promotion.facts import FACTS, VERDICT, Facts, Verdict
from finai_assets.promotion.origin import origin_fault
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared, declare
from finai_checks.promotion.verdicts import beats_champion, signed_by_other

BEATS_CHAMPION = CheckKind(
    "C29",
    "challenger_beats_champion",
    "the challenger is whole, passed every mandatory check on exactly what it was made from, is on no task significantly worse "
    "than the champion on the same test rows, and on one better or promoted for a reason that is given",
    blocking=True,
    minimum=1,
    units="criteria",
    thresholds=("promotion.mandatory", "promotion.max_evidence_age_days", "metrics.confidence"),
)
SIGNED_BY_OTHER = CheckKind(
    "C30",
    "promotion_signed_by_other",
    "an author signed the proposal of this bundle on its evidence, another person with another key approved it after the "
    "mandatory checks, and people signed for every step by which the present champion became champion",
    blocking=True,
    minimum=2,
    units="signatures",
    thresholds=("promotion.people",),
)
KINDS = (BEATS_CHAMPION, SIGNED_BY_OTHER)


def declare_checks(platform: Platform) -> list[Declared]:
    """Put the checks on the champion."""
    settings = platform.settings
    return [
        declare(BEATS_CHAMPION, CHAMPION, evaluate_challenger, settings),
        declare(SIGNED_BY_OTHER, CHAMPION, evaluate_signatures, settings),
    ]


def evaluate_challenger(context: CheckContext, asset: str) -> CheckOutcome:
    """Judge the stored facts of the last decision again."""
    return beats_champion(*_stored(context, asset), context.settings.promotion)


def evaluate_signatures(context: CheckContext, asset: str) -> CheckOutcome:
    """Verify the signatures of the last decision, and of all that made the present champion, by the configured public keys."""
    settings = context.settings.promotion
    origin = origin_fault(Registry.read(context.session.lake), settings.people)
    return signed_by_other(*_stored(context, asset), settings, origin)


def _stored(context: CheckContext, asset: str) -> tuple[Facts | None, Verdict]:
    facts = context.session.read_json(asset, None, FACTS)
    verdict = Verdict.from_json(context.session.read_json(asset, None, VERDICT))
    return (Facts.from_json(facts) if facts else None), verdict
