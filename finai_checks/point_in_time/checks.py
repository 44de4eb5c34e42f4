"""C09: the features of a month are those that a reader without a future would have computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from finai_assets.platform import Platform
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared, declare_together
from finai_checks.point_in_time.replay import replay_month

REPLAY = CheckKind(
    "C09",
    "point_in_time_replay",
    "recomputing the month's features gives the stored values bit for bit, both from raw tables that end at the cutoff and from "
    "raw tables with garbage after it",
    blocking=True,
    minimum=1,
    units="values",
    thresholds=("checks.replay_customers",),
)
KINDS = (REPLAY,)


def declare_checks(platform: Platform) -> list[Declared]:
    """Put the check on each feature group; one call replays all groups of a month."""
    assets = [group.asset for group in platform.registry.available]
    months = tuple(platform.settings.dataset.snapshot_months)
    return declare_together(REPLAY, assets, evaluate_replay, platform.settings, months=months)


def evaluate_replay(context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
    """Replay the groups of a month together, so that raw tables are copied once."""
    groups, settings = context.groups(assets), context.settings
    outcomes = replay_month(
        context.session,
        settings,
        list(groups.values()),
        context.required_month,
        customers=settings.checks.replay_customers,
    )
    return {asset: outcomes[group.name] for asset, group in groups.items()}
