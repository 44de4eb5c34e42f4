"""The section `automation`: when sensors look, when schedules run, and by when a month is expected."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from finai_assets.settings.base import Section
from finai_assets.settings.checks import known_timezone

Owner = Annotated[str, Field(pattern=r"^(team:[\w-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$")]
Cron = Annotated[str, Field(pattern=r"^[\d*/,\-]+( [\dA-Za-z*/,\-]+){4}$")]


class AutomationSettings(Section):
    """Sensors and schedules; all are off until somebody switches them on in the UI."""

    sensor_seconds: Annotated[int, Field(ge=30)]  # least seconds between two looks of a sensor
    # so many months of a feature group in a row at or above `checks.drift.warn` open an incident that asks for a retraining
    drift_months: Annotated[int, Field(ge=2)]
    scoring_cron: Cron  # when the schedule monthly_scoring runs: minute, hour, day, month, weekday
    # deadline of freshness: after each of these times the month that ended before it is expected to be there
    freshness_cron: Cron
    # who answers for assets, as the UI shows it: team:NAME or an e-mail address -> groups of assets
    owners: dict[Owner, tuple[str, ...]]
    timezone: Annotated[str, AfterValidator(known_timezone)]  # time zone in which the cron expressions are read
