"""What lawful offering needs to know of a customer, and how a request brings it.

What nobody tells is unknown, and unknown is answered conservatively: a product that needs it is not offered, and without known
consents nothing is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from serving_lambda.errors import ServingError

T = TypeVar("T")
CHANNELS = ("app", "call", "email", "sms")  # on which a customer may allow or refuse to be told of offers
RISKIEST, SAFEST = 1, 6  # grades
MOST_MESSAGES = 100_000
FIELDS = ("risk_profile", "asset_band", "consents", "recent_messages")
_DAY = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", re.ASCII)


class Standing(NamedTuple):
    """A customer's risk profile, assets and permissions; None is unknown.

    Parameters
    ----------
    risk_grade
        The riskiest grade that suits the customer, 1 (the riskiest) to 6.
    risk_expires
        ISO date: the first day on which the profile no longer counts.
    asset_band
        One of the bundle's bands.
    marketing
        Channels on which the customer agreed to be told of offers.
    automated
        Whether the customer agreed to decisions that are made automatically.
    do_not_contact
        Whether the customer objected to offers.
    recent_messages
        Number of messages in the last days.
    """

    risk_grade: int | None = None
    risk_expires: str | None = None
    asset_band: str | None = None
    marketing: frozenset[str] | None = None
    automated: bool | None = None
    do_not_contact: bool | None = None
    recent_messages: int | None = None

    def filled(self, kept: Standing | None) -> Standing:
        """Return this standing, what is unknown taken from another one; a profile's grade and its expiry stay together."""
        if kept is None:
            return self
        profile = kept if self.risk_grade is None else self

        def known(own: T | None, theirs: T | None) -> T | None:
            return theirs if own is None else own

        return Standing(
            profile.risk_grade,
            profile.risk_expires,
            known(self.asset_band, kept.asset_band),
            known(self.marketing, kept.marketing),
            known(self.automated, kept.automated),
            known(self.do_not_contact, kept.do_not_contact),
            known(self.recent_messages, kept.recent_messages),
        )


UNKNOWN = Standing()


def standing_of(body: Mapping[str, Any], bands: Sequence[str]) -> Standing:
    """Read what a request brings; what it leaves out, or gives as null, is unknown.

    Parameters
    ----------
    bands
        The asset bands of the bundle.

    Raises
    ------
    ServingError
        ``FIELD_UNKNOWN``, ``FIELD_TYPE`` or ``FIELD_VALUE``, with the field.
    """
    profile = _object(body, "risk_profile", ("grade", "expires"))
    consents = _object(body, "consents", ("marketing", "automated_decision", "do_not_contact"))
    return Standing(
        whole(profile.get("grade"), "risk_profile.grade", RISKIEST, SAFEST),
        _day(profile.get("expires"), "risk_profile.expires"),
        _one_of(body.get("asset_band"), "asset_band", bands),
        _channels(consents.get("marketing"), "consents.marketing"),
        _yes_or_no(consents.get("automated_decision"), "consents.automated_decision"),
        _yes_or_no(consents.get("do_not_contact"), "consents.do_not_contact"),
        whole(body.get("recent_messages"), "recent_messages", 0, MOST_MESSAGES),
    )


def channel_of(body: Mapping[str, Any]) -> str | None:
    """Read the channel that a request is made for.

    Raises
    ------
    ServingError
        ``FIELD_TYPE`` or ``FIELD_VALUE``.
    """
    return _one_of(body.get("channel"), "channel", CHANNELS)


def whole(found: Any, name: str, low: int, high: int) -> int | None:
    """Read a whole number from ``low`` to ``high``, both included, or null.

    Raises
    ------
    ServingError
        ``FIELD_TYPE`` or ``FIELD_VALUE``.
    """
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int):
        raise ServingError("FIELD_TYPE", "a whole number", name)
    if not low <= found <= high:
        raise ServingError("FIELD_VALUE", f"{low} to {high}", name)
    return found


def _object(body: Mapping[str, Any], name: str, fields: Sequence[str]) -> Mapping[str, Any]:
    found = body.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ServingError("FIELD_TYPE", f"an object of {', '.join(fields)}", name)
    if set(found) - set(fields):
        raise ServingError("FIELD_UNKNOWN", f"allowed: {', '.join(fields)}", name)
    return found


def _one_of(found: Any, name: str, allowed: Sequence[str]) -> str | None:
    if found is None:
        return None
    if not isinstance(found, str):
        raise ServingError("FIELD_TYPE", "text", name)
    if found not in allowed:
        raise ServingError("FIELD_VALUE", f"one of {', '.join(allowed)}", name)
    return found


def _channels(found: Any, name: str) -> frozenset[str] | None:
    if found is None:
        return None
    if not isinstance(found, list):
        raise ServingError("FIELD_TYPE", "a list of channels", name)
    return frozenset(_one_of(entry, name, CHANNELS) or _refuse_null(name) for entry in found)


def _refuse_null(name: str) -> str:
    raise ServingError("FIELD_TYPE", "a list of channels", name)


def _yes_or_no(found: Any, name: str) -> bool | None:
    if found is not None and not isinstance(found, bool):
        raise ServingError("FIELD_TYPE", "true or false", name)
    return found


def _day(found: Any, name: str) -> str | None:
    """Read an ISO date; two of them compare as text."""
    if found is None:
        return None
    if not isinstance(found, str):
        raise ServingError("FIELD_TYPE", "text", name)
    if not _DAY.fullmatch(found):
        raise ServingError("FIELD_VALUE", "a date, as in 2026-05-31", name)
    return found
