"""Section of the settings about what may be offered to whom, and when."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from finai_assets.settings.base import Positive, Section
from finai_assets.settings.dataset import ProductClass
from finai_assets.settings.recommend import Grade

Hour = Annotated[int, Field(ge=0, le=23)]
MOST_DAYS = 59  # any month and the one before it hold them


class SeniorSettings(Section):
    """From an age on nothing riskier than a grade is offered automatically."""

    age: Positive  # completed years from which on the customer counts as a senior
    riskiest_grade: Grade  # riskiest grade that a senior is offered automatically: 1 is the riskiest, 6 the safest


class MessageSettings(Section):
    """Whoever got so many messages in the last days is offered nothing more."""

    most: Positive  # messages within the last `days` from which on nothing more is offered
    days: Annotated[int, Field(ge=1, le=MOST_DAYS)]  # days before the decision whose messages count


class OfferingSettings(Section):
    """What filters compare a customer with."""

    # product classes that are offered only to customers whose risk profile is valid on the day of the decision
    profile_classes: tuple[ProductClass, ...]
    senior: SeniorSettings  # riskiest products that are offered automatically from an age on
    messages: MessageSettings  # how many recent messages end the offering
    # [from, until) in local hours in which nothing is sent on an outbound channel; across midnight where the first is the later
    # one
    quiet_hours: tuple[Hour, Hour]
    outbound: tuple[Literal["app", "call", "email", "sms"], ...]  # channels for which quiet hours hold
    # minutes by which local time is ahead of UTC: 540 in Korea
    utc_offset_minutes: Annotated[int, Field(ge=-720, le=840)]

    @model_validator(mode="after")
    def _an_hour_is_quiet(self) -> OfferingSettings:
        if self.quiet_hours[0] == self.quiet_hours[1]:
            raise ValueError("quiet_hours begin when they end: write [21, 8], from 21 until 8")
        return self
