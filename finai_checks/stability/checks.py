"""C06 and C17: columns vary, are distributed as on train, and volumes and missing values stay as in the last months."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from finai_assets.asset_graph import state_asset
from finai_assets.features.fit import load_states
from finai_assets.features.inputs import SNAPSHOTS
from finai_assets.features.registry import Group
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks.framework.check import (
    CheckContext,
    CheckKind,
    CheckOutcome,
    Declared,
    declare,
    declare_together,
)
from finai_checks.stability.inputs import (
    column_spread,
    earlier_months,
    measured_drift,
    month_nulls,
    raw_flows,
    snapshot_nulls,
    student_columns,
    train_nulls,
)
from finai_checks.stability.verdicts import (
    EARLIER_MONTHS,
    columns_vary,
    declared_reason,
    feature_drift,
    missingness_stable,
    typical_missing,
    volume_stable,
)
from finai_resources.months import Month

_ALLOWED = ("checks.max_constant_columns",)
ON_TRAIN = CheckKind(
    "C06", "columns_vary_on_train", "no column of the group is constant over the train sample",
    blocking=True, minimum=2, units="rows", thresholds=_ALLOWED,
)  # fmt: skip
IN_MONTH = CheckKind(
    "C06", "columns_vary", "no column of the group is constant in the month",
    blocking=False, minimum=2, units="rows", thresholds=_ALLOWED,
)  # fmt: skip
DRIFT = CheckKind(
    "C17", "feature_drift_psi",
    "no column's distribution in the month, missing values included, has a population stability index (PSI) against train at or "
    "above the warning threshold",
    blocking=False, minimum=1, units="rows",
    thresholds=("checks.drift.warn", "checks.drift.chance_share", "checks.drift.declared"),
)  # fmt: skip
IMPORTANT_DRIFT = CheckKind(
    "C17", "feature_drift_psi_important",
    "no column that a student reads (while there is no student: no column of the raw groups) has a population stability index "
    "(PSI) against train at or above the failure threshold",
    blocking=True, minimum=1, units="rows",
    thresholds=("checks.drift.fail", "checks.drift.chance_share", "checks.drift.declared", "baselines.raw_groups"),
)  # fmt: skip
VOLUME = CheckKind(
    "C06", "volume_stable",
    "the month's number of rows, and for the raw tables the transactions and the amount moved a day, lie near the median of the "
    "last months",
    blocking=False, minimum=EARLIER_MONTHS, units="earlier months", thresholds=("checks.volume",),
    compares_months=True,
)  # fmt: skip
MISSINGNESS = CheckKind(
    "C06", "missingness_stable",
    "no column's share of missing values differs from its share on train, or in the last months, by more than the allowed jump",
    blocking=False, minimum=1, units="rows", thresholds=("checks.missingness", "metrics.confidence", "checks.drift.declared"),
    compares_months=True,
)  # fmt: skip
KINDS = (ON_TRAIN, IN_MONTH, DRIFT, IMPORTANT_DRIFT, VOLUME, MISSINGNESS)


def declare_checks(platform: Platform) -> list[Declared]:
    """Put the checks on the states and the months of feature groups, and on the snapshots of each month."""
    settings, dataset = platform.settings, platform.settings.dataset
    groups = [group.asset for group in platform.registry.available]
    states = [state_asset(group.name) for group in platform.registry.available]
    months, raw = tuple(dataset.snapshot_months), tuple(dataset.raw_months)
    # The first months have too few before them to be compared with, so that nothing is asserted of them.
    later, later_raw = months[EARLIER_MONTHS:], raw[EARLIER_MONTHS:]
    return [
        *(declare(ON_TRAIN, state, evaluate_variation_on_train, settings) for state in states),
        *declare_together(IN_MONTH, groups, evaluate_variation, settings, months=months),
        *declare_together(DRIFT, groups, evaluate_drift, settings, months=months),
        *declare_together(IMPORTANT_DRIFT, groups, evaluate_important_drift, settings, months=months),
        *declare_together(VOLUME, groups, evaluate_volume, settings, months=later),
        declare(VOLUME, SNAPSHOTS, evaluate_raw_volume, settings, months=later_raw),
        *declare_together(MISSINGNESS, groups, evaluate_missingness, settings, months=months),
        declare(MISSINGNESS, SNAPSHOTS, evaluate_raw_missingness, settings, months=later_raw),
    ]


def evaluate_variation_on_train(context: CheckContext, asset: str) -> CheckOutcome:
    """Judge the standard deviations that a group's state keeps of the train sample."""
    group = context.group(asset)
    state = load_states(context.session, [group])[group.name]
    allowed = context.settings.checks.max_constant_columns
    return columns_vary(group.names, state.reference.std, int(state.meta["rows"]), allowed=allowed)


def evaluate_variation(context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
    """Judge the ranges of the columns of each group of a month."""
    allowed, outcomes = context.settings.checks.max_constant_columns, {}
    for asset, group in context.groups(assets).items():
        spread, rows = column_spread(context.session, group, context.required_month)
        outcomes[asset] = columns_vary(group.names, spread, rows, allowed=allowed)
    return outcomes


def evaluate_drift(context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
    """Compare each group of a month with train."""
    rules, outcomes = context.settings.checks.drift, {}
    for asset, group in context.groups(assets).items():
        outcomes[asset] = feature_drift(
            measured_drift(context.session, group, context.required_month),
            threshold=rules.warn,
            chance_share=rules.chance_share,
            declared=_declared_to_drift(context.settings, group),
        )
    return outcomes


def evaluate_important_drift(context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
    """Compare each group of a month with train, and count the columns that students read."""
    read = student_columns(context.session, context.platform)
    rules, raw_groups = context.settings.checks.drift, context.settings.baselines.raw_groups
    outcomes = {}
    for asset, group in context.groups(assets).items():
        outcomes[asset] = feature_drift(
            measured_drift(context.session, group, context.required_month),
            threshold=rules.fail,
            chance_share=rules.chance_share,
            declared=_declared_to_drift(context.settings, group),
            important=read or frozenset(group.names if group.name in raw_groups else ()),
        )
        source = "those that students read" if read else "those of baselines.raw_groups"
        outcomes[asset].observed["important_columns"] = source
    return outcomes


def _declared_to_drift(settings: Settings, group: Group) -> dict[str, str]:
    patterns = settings.checks.drift.declared
    reasons = {name: declared_reason(patterns, group.name, name) for name in group.names}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def evaluate_volume(context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
    """Compare the rows of each group of a month with those of the last months."""
    return {asset: _volume(context, asset) for asset in assets}


def _volume(context: CheckContext, asset: str) -> CheckOutcome:
    session, month, rules = context.session, context.required_month, context.settings.checks.volume

    def figures(of: Month) -> dict[str, float]:
        return {"rows": float(session.manifest(asset, of.key).rows)}

    earlier = {past.key: figures(past) for past in earlier_months(session, asset, month, rules.months)}
    return volume_stable(figures(month), earlier, deviations=rules.deviations, floor_share=rules.floor_share)


def evaluate_raw_volume(context: CheckContext, asset: str) -> CheckOutcome:
    """Compare customers, transactions and amounts of a month with those of the last months."""
    session, month, rules = context.session, context.required_month, context.settings.checks.volume
    months = earlier_months(session, asset, month, rules.months)
    earlier = {past.key: raw_flows(session, context.settings, past) for past in months}
    current = raw_flows(session, context.settings, month)
    return volume_stable(current, earlier, deviations=rules.deviations, floor_share=rules.floor_share)


def evaluate_missingness(context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
    """Compare the missing values of each group of a month with train and with the last months."""
    return {asset: _missingness(context, group) for asset, group in context.groups(assets).items()}


def _missingness(context: CheckContext, group: Group) -> CheckOutcome:
    session, month, settings = context.session, context.required_month, context.settings
    rules = settings.checks.missingness
    reference = load_states(session, [group])[group.name].reference
    past = [
        month_nulls(session, group, earlier, reference)
        for earlier in earlier_months(session, group.asset, month, rules.months)
    ]
    current = month_nulls(session, group, month, reference)
    references = [train_nulls(reference, _declared_to_drift(settings, group))]
    if len(past) >= EARLIER_MONTHS:
        references.append(typical_missing(past, deviations=rules.deviations))
    confidence = settings.metrics.confidence
    return missingness_stable(group.names, current, references, jump=rules.jump, confidence=confidence)


def evaluate_raw_missingness(context: CheckContext, asset: str) -> CheckOutcome:
    """Compare the missing values of a month's snapshots with those of the last months."""
    session, month, settings = context.session, context.required_month, context.settings
    rules = settings.checks.missingness
    past = [snapshot_nulls(session, earlier)[1] for earlier in earlier_months(session, asset, month, rules.months)]
    if len(past) < EARLIER_MONTHS:
        return CheckOutcome.no_evidence(earlier_months=len(past), needed=EARLIER_MONTHS)
    names, current = snapshot_nulls(session, month)
    last = typical_missing(past, deviations=rules.deviations)
    return missingness_stable(names, current, [last], jump=rules.jump, confidence=settings.metrics.confidence)
