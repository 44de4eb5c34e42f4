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
    """From ``age`` on nothing riskier than ``riskiest_grade`` is offered automatically; 1 is the riskiest."""

    age: Positive
    riskiest_grade: Grade


class MessageSettings(Section):
    """Whoever got ``most`` messages in the last ``days`` is offered nothing more."""

    most: Positive
    days: Annotated[int, Field(ge=1, le=MOST_DAYS)]


class OfferingSettings(Section):
    """What filters compare a customer with."""

    profile_classes: tuple[ProductClass, ...]  # need a valid risk profile
    senior: SeniorSettings
    messages: MessageSettings
    quiet_hours: tuple[Hour, Hour]  # local, [from, until), across midnight where the first is the later one
    outbound: tuple[Literal["app", "call", "email", "sms"], ...]  # channels for which quiet hours hold
    utc_offset_minutes: Annotated[int, Field(ge=-720, le=840)]  # of local time

    @model_validator(mode="after")
    def _an_hour_is_quiet(self) -> OfferingSettings:
        if self.quiet_hours[0] == self.quiet_hours[1]:
            raise ValueError("quiet_hours begin when they end: write [21, 8], from 21 until 8")
        return self
