"""Which products a customer may be offered, whether anything may be, and for each refusal, why.

A filter looks at one product and one customer and returns a code of :data:`CODES`, or None; the first that returns one decides.
A stop looks at the customer alone and returns a code of :data:`STOP_CODES`: then nothing is offered, and nothing is scored.
Nothing is ranked or cut before it has passed them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from serving_lambda.catalogue import Product
from serving_lambda.contract import Customer
from serving_lambda.offering import Occasion, Offering
from serving_lambda.standing import CHANNELS, RISKIEST

ALREADY_HELD = "ALREADY_HELD"
AGE_UNKNOWN, AGE_BELOW_MINIMUM, AGE_ABOVE_MAXIMUM = "AGE_UNKNOWN", "AGE_BELOW_MINIMUM", "AGE_ABOVE_MAXIMUM"
ASSETS_UNKNOWN, ASSETS_BELOW_MINIMUM = "ASSETS_UNKNOWN", "ASSETS_BELOW_MINIMUM"
RISK_PROFILE_UNKNOWN, RISK_PROFILE_EXPIRED = "RISK_PROFILE_UNKNOWN", "RISK_PROFILE_EXPIRED"
RISK_ABOVE_PROFILE, RISK_ABOVE_SENIOR_LIMIT = "RISK_ABOVE_PROFILE", "RISK_ABOVE_SENIOR_LIMIT"
CODES = (
    ALREADY_HELD,
    AGE_UNKNOWN,
    AGE_BELOW_MINIMUM,
    AGE_ABOVE_MAXIMUM,
    ASSETS_UNKNOWN,
    ASSETS_BELOW_MINIMUM,
    RISK_PROFILE_UNKNOWN,
    RISK_PROFILE_EXPIRED,
    RISK_ABOVE_PROFILE,
    RISK_ABOVE_SENIOR_LIMIT,
)

DO_NOT_CONTACT, CONSENT_UNKNOWN, MESSAGES_UNKNOWN = "DO_NOT_CONTACT", "CONSENT_UNKNOWN", "MESSAGES_UNKNOWN"
NO_MARKETING_CONSENT, NO_AUTOMATED_DECISION_CONSENT = "NO_MARKETING_CONSENT", "NO_AUTOMATED_DECISION_CONSENT"
TOO_MANY_MESSAGES, QUIET_HOURS = "TOO_MANY_MESSAGES", "QUIET_HOURS"
STOP_CODES = (
    DO_NOT_CONTACT,
    CONSENT_UNKNOWN,
    NO_MARKETING_CONSENT,
    NO_AUTOMATED_DECISION_CONSENT,
    MESSAGES_UNKNOWN,
    TOO_MANY_MESSAGES,
    QUIET_HOURS,
)
NOTHING_SUITABLE = "NOTHING_SUITABLE"  # no stop, but no product that may be offered

Filter = Callable[[Product, Customer, Occasion, Offering], str | None]


class Removed(NamedTuple):
    """A product that may not be offered, and the code of the reason."""

    product_id: int
    code: str


def already_held(product: Product, customer: Customer, _: Occasion, __: Offering) -> str | None:
    """Remove what the customer holds."""
    return ALREADY_HELD if product.product_id in customer.held else None


def outside_ages(product: Product, customer: Customer, _: Occasion, __: Offering) -> str | None:
    """Remove what is not opened at the customer's age."""
    if product.minimum_age is None and product.maximum_age is None:
        return None
    if customer.age is None:
        return AGE_UNKNOWN
    if product.minimum_age is not None and customer.age < product.minimum_age:
        return AGE_BELOW_MINIMUM
    return AGE_ABOVE_MAXIMUM if product.maximum_age is not None and customer.age > product.maximum_age else None


def below_assets(product: Product, customer: Customer, _: Occasion, offering: Offering) -> str | None:
    """Remove what asks for more assets than the customer has."""
    if product.minimum_asset_band is None:
        return None
    if customer.standing.asset_band is None:
        return ASSETS_UNKNOWN
    least = offering.band(product.minimum_asset_band)
    return ASSETS_BELOW_MINIMUM if offering.band(customer.standing.asset_band) < least else None


def above_profile(product: Product, customer: Customer, occasion: Occasion, offering: Offering) -> str | None:
    """Remove what is riskier than the customer's risk profile allows, and all that needs a profile where none counts."""
    if product.product_class not in offering.profile_classes:
        return None
    grade, expires = customer.standing.risk_grade, customer.standing.risk_expires
    if grade is None or expires is None:
        return RISK_PROFILE_UNKNOWN
    if expires <= occasion.today:  # both ISO dates
        return RISK_PROFILE_EXPIRED
    return RISK_ABOVE_PROFILE if (product.risk_grade or RISKIEST) < grade else None


def above_senior_limit(product: Product, customer: Customer, _: Occasion, offering: Offering) -> str | None:
    """Remove what is too risky to be offered automatically to a senior, and to whoever may be one."""
    if product.risk_grade is None or product.risk_grade >= offering.senior_riskiest_grade:
        return None
    if customer.age is None:
        return AGE_UNKNOWN
    return RISK_ABOVE_SENIOR_LIMIT if customer.age >= offering.senior_age else None


def filters_of(*, exclude_held: bool) -> tuple[Filter, ...]:
    """Return the filters in the order in which they are asked."""
    always = (outside_ages, below_assets, above_profile, above_senior_limit)
    return (already_held, *always) if exclude_held else always


def apply(
    filters: Sequence[Filter],
    candidates: Sequence[Product],
    customer: Customer,
    occasion: Occasion,
    offering: Offering,
) -> tuple[list[Product], list[Removed]]:
    """Return the products that pass every filter, and those that do not."""
    offered, removed = [], []
    for product in candidates:
        for check in filters:
            if code := check(product, customer, occasion, offering):
                removed.append(Removed(product.product_id, code))
                break
        else:
            offered.append(product)
    return offered, removed


def objection(customer: Customer, _: Occasion, __: Offering) -> str | None:
    """Stop at whoever asked not to be offered anything."""
    return DO_NOT_CONTACT if customer.standing.do_not_contact else None


def unknown_consent(customer: Customer, _: Occasion, __: Offering) -> str | None:
    """Stop where nobody knows what the customer agreed to."""
    standing = customer.standing
    unknown = standing.do_not_contact is None or standing.marketing is None or standing.automated is None
    return CONSENT_UNKNOWN if unknown else None


def no_marketing_consent(customer: Customer, occasion: Occasion, _: Offering) -> str | None:
    """Stop at whoever agreed to be told of offers on no channel, or not on the one that the request names."""
    channels = customer.standing.marketing or frozenset()
    return NO_MARKETING_CONSENT if not channels or occasion.channel not in {None, *channels} else None


def no_automated_decision_consent(customer: Customer, _: Occasion, __: Offering) -> str | None:
    """Stop at whoever did not agree to automated decisions."""
    return None if customer.standing.automated else NO_AUTOMATED_DECISION_CONSENT


def too_many_messages(customer: Customer, _: Occasion, offering: Offering) -> str | None:
    """Stop at whoever got the most messages that the last days may have, or may have got them."""
    count = customer.standing.recent_messages
    if count is None:
        return MESSAGES_UNKNOWN
    return TOO_MANY_MESSAGES if count >= offering.most_messages else None


def quiet_hours(_: Customer, occasion: Occasion, offering: Offering) -> str | None:
    """Stop what would be sent on an outbound channel in quiet hours."""
    sent = occasion.channel in offering.outbound and occasion.hour is not None
    return QUIET_HOURS if sent and offering.is_quiet(occasion.hour or 0) else None


STOPS: tuple[Callable[[Customer, Occasion, Offering], str | None], ...] = (
    objection,
    unknown_consent,
    no_marketing_consent,
    no_automated_decision_consent,
    too_many_messages,
    quiet_hours,
)


def stop(customer: Customer, occasion: Occasion, offering: Offering) -> str | None:
    """Return why nothing may be offered to a customer on an occasion, by the first stop that holds, or None."""
    return next((code for check in STOPS if (code := check(customer, occasion, offering))), None)


def channels(customer: Customer, occasion: Occasion, offering: Offering) -> list[str]:
    """Return the channels on which a customer may be told of an offer on an occasion: those that no stop refuses."""
    return [name for name in CHANNELS if stop(customer, occasion._replace(channel=name), offering) is None]
