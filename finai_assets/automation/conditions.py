"""The automation condition of feature groups: stored months are computed again once what they read has other bytes.

Sensors request what depends on the source; this condition requests what follows within the lake. Columns have none: they are
logged by their group's step. Fitted states have none either: a refit changes every model, so that somebody decides it.
"""

from typing import Any

import dagster as dg

FEATURES = "features"  # Dagster's group of the feature groups
STALE_MONTHS = "stale_feature_months"


def again_when_inputs_change() -> dg.AutomationCondition[Any]:
    """Return the condition of an asset with months: a stored month whose inputs have other bytes than when it was computed.

    A month that is not stored is left to the sensor for new months and to backfills. An input that was stored again with the same
    bytes asks for nothing. Nothing is requested while a blocking check of an input has failed. One that has never run, such as an
    audit before its time, is left to the gate that the run asks first.
    """
    condition = dg.AutomationCondition
    changed = condition.any_deps_match(condition.data_version_changed()).with_label("an input has other bytes")
    refused = condition.any_deps_match(
        condition.any_checks_match(condition.check_failed(), blocking_only=True)
    ).with_label("a blocking check of an input has failed")
    handled = condition.newly_requested() | condition.newly_updated() | condition.initial_evaluation()
    wanted = (
        changed.since(handled)
        & ~condition.missing()
        & ~condition.any_deps_missing()
        & ~condition.any_deps_in_progress()
        & ~condition.in_progress()
        & ~refused
    )
    return wanted.with_label("stale month")


def build_condition_sensor(seconds: int) -> dg.AutomationConditionSensorDefinition:
    """Return what evaluates the conditions of feature groups, at most every so many seconds.

    Like every sensor it is off until somebody switches it on.
    """
    return dg.AutomationConditionSensorDefinition(
        STALE_MONTHS,
        target=dg.AssetSelection.groups(FEATURES),
        minimum_interval_seconds=seconds,
        description="Computes a stored feature month again when what it reads has other bytes and no failed blocking check.",
    )
