"""C13: between the splits lie gaps."""

from __future__ import annotations

from finai_assets.asset_graph import SPLITS
from finai_assets.labels.splits import Splits, gap_report
from finai_assets.platform import Platform
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared, declare
from finai_checks.splits.gap_split import gap_split
from finai_resources.months import Month

GAP_SPLIT = CheckKind(
    "C13",
    "gap_split",
    "enough days lie between the end of a split's label windows and the next split's first cutoff, the splits follow each other "
    "in time, and no label of a purged month is used",
    blocking=True,
    minimum=3,
    units="months",
    thresholds=("gap_days",),
)
KINDS = (GAP_SPLIT,)


def declare_checks(platform: Platform) -> list[Declared]:
    """Put the check on the stored splits."""
    return [declare(GAP_SPLIT, SPLITS, evaluate_gaps, platform.settings)]


def evaluate_gaps(context: CheckContext, asset: str) -> CheckOutcome:
    """Measure the gaps between the splits as stored, which training reads, not as the settings would make them now."""
    stored, settings = context.session.read_json(asset, None, "splits.json"), context.settings
    used = Splits(**{name: tuple(Month.parse(month) for month in months) for name, months in stored.items()})
    return gap_split(gap_report(used, settings), settings.gap_days, months=stored)
