"""C44: the list that a customer is offered is not worse than what is simpler."""

from __future__ import annotations

from finai_assets.asset_graph import LISTS
from finai_assets.platform import Platform
from finai_assets.recommend.evaluate import FILE
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared, declare
from finai_checks.lists.verdicts import not_below_rivals

NOT_BELOW_RIVALS = CheckKind(
    "C44",
    "lists_not_below_rivals",
    "on test rows the bundle's list, as ranked and as served, is below no simple rival (popularity, item-kNN, EASE, ALS) by the "
    "whole interval of the paired difference of NDCG@3; a bundle whose list is, is not promoted",
    blocking=False,
    minimum=1,
    units="test rows with an acquisition",
    thresholds=("metrics.confidence",),
)
KINDS = (NOT_BELOW_RIVALS,)


def declare_checks(platform: Platform) -> list[Declared]:
    """Put the check on the evaluation of lists."""
    return [declare(NOT_BELOW_RIVALS, LISTS, evaluate_rivals, platform.settings)]


def evaluate_rivals(context: CheckContext, asset: str) -> CheckOutcome:
    """Compare the stored differences with zero."""
    return not_below_rivals(context.session.read_json(asset, None, FILE))
