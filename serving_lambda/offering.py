"""The policy of a bundle on what may be offered to whom and when, and the occasion of an offer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_MINUTE = 60


class Occasion(NamedTuple):
    """When an offer is made, and how it reaches the customer.

    Parameters
    ----------
    today
        ISO date on which the decision is made.
    hour
        Local hour, 0 to 23; None where a list is stored, and quiet hours are kept when it is sent.
    channel
        The channel that the request names.
    """

    today: str
    hour: int | None = None
    channel: str | None = None


class Offering(NamedTuple):
    """What filters compare with.

    Parameters
    ----------
    profile_classes
        Classes of products that need a valid risk profile; a product of theirs without a grade counts as the riskiest.
    senior_age, senior_riskiest_grade
        From this age on nothing riskier than the grade is offered automatically; 1 is the riskiest.
    most_messages, message_days
        Whoever got this many messages in these days is offered nothing more.
    quiet_from, quiet_until
        Local hours between which nothing is sent on an outbound channel; they may span midnight.
    outbound
        Channels for which quiet hours hold.
    utc_offset_minutes
        Of local time.
    asset_bands
        Ascending.
    """

    profile_classes: frozenset[str]
    senior_age: int
    senior_riskiest_grade: int
    most_messages: int
    message_days: int
    quiet_from: int
    quiet_until: int
    outbound: frozenset[str]
    utc_offset_minutes: int
    asset_bands: tuple[str, ...]

    @classmethod
    def of(cls, stored: Mapping[str, Any], asset_bands: Sequence[str]) -> Offering:
        """Read a bundle's ``offering.json``: the section ``offering`` of the settings."""
        quiet_from, quiet_until = stored["quiet_hours"]
        return cls(
            frozenset(stored["profile_classes"]),
            stored["senior"]["age"],
            stored["senior"]["riskiest_grade"],
            stored["messages"]["most"],
            stored["messages"]["days"],
            quiet_from,
            quiet_until,
            frozenset(stored["outbound"]),
            stored["utc_offset_minutes"],
            tuple(asset_bands),
        )

    def occasion(self, timestamp: float, channel: str | None) -> Occasion:
        """Return the occasion of a request.

        Parameters
        ----------
        timestamp
            Seconds since 1970 (UTC).
        """
        local = time.gmtime(timestamp + self.utc_offset_minutes * _MINUTE)
        return Occasion(f"{local.tm_year:04}-{local.tm_mon:02}-{local.tm_mday:02}", local.tm_hour, channel)

    def is_quiet(self, hour: int) -> bool:
        """Tell whether an hour lies in ``[quiet_from, quiet_until)``, across midnight where the first is the later one."""
        if self.quiet_from <= self.quiet_until:
            return self.quiet_from <= hour < self.quiet_until
        return hour >= self.quiet_from or hour < self.quiet_until

    def band(self, name: str) -> int:
        """Return the rank of an asset band, 0 the lowest."""
        return self.asset_bands.index(name)
