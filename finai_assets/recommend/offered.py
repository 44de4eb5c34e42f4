"""The filters and stops of :mod:`serving_lambda.filters` on arrays of customers; a test compares them customer by customer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from finai_assets.recommend.standing import UNKNOWN_BAND, UNKNOWN_COUNT, UNKNOWN_GRADE, Standings
from serving_lambda import filters
from serving_lambda.bundle import Bundle
from serving_lambda.catalogue import Product
from serving_lambda.standing import RISKIEST

LIFTED = frozenset({filters.CONSENT_UNKNOWN, filters.MESSAGES_UNKNOWN})  # stops that a permission may lift
_CODES = np.array(["", *filters.CODES])
_STOP_CODES = np.array(["", *filters.STOP_CODES])


class Offered(NamedTuple):
    """What may be offered to n customers.

    Parameters
    ----------
    unheld : bool [n, products]
        What is left before constraints.
    open : bool [n, products]
        What may be offered: nothing where the customer is stopped.
    removed : str [n, products]
        The code of the first filter that removes a product, empty where none does.
    stopped : str [n]
        Why nothing may be offered, empty where something may.
    """

    unheld: np.ndarray
    open: np.ndarray
    removed: np.ndarray
    stopped: np.ndarray


def offered_to(
    bundle: Bundle, held: np.ndarray, age: np.ndarray, standings: Standings, *, unknown_permitted: bool = False
) -> Offered:
    """Return what passes the filters and stops of a bundle.

    Parameters
    ----------
    held : bool or uint8 [n, products]
    age : float [n]
        NaN where unknown.
    standings
        Of the n customers.
    unknown_permitted
        Whether something may be offered although consents or messages are unknown.
    """
    held, years = held.astype(bool), np.trunc(age)
    products, exclude = bundle.ranking.products, bundle.ranking.exclude_held
    removed = np.zeros(held.shape, np.int8)
    for product in products:
        first = np.zeros(len(held), np.int8)
        reasons = [(filters.ALREADY_HELD, held[:, product.product_id])] if exclude else []
        for code, applies in (*reasons, *_reasons(bundle, product, years, standings)):
            first[(first == 0) & applies] = 1 + filters.CODES.index(code)
        removed[:, product.product_id] = first
    stopped = _stops(bundle, standings, unknown_permitted=unknown_permitted)
    unheld = ~held if exclude else np.ones_like(held)
    return Offered(unheld, (removed == 0) & (stopped == 0)[:, None], _CODES[removed], _STOP_CODES[stopped])


def _reasons(bundle: Bundle, product: Product, age: np.ndarray, standings: Standings) -> list[tuple[str, np.ndarray]]:
    """Return the codes that may remove a product, in the order of the handler's filters, with whom each holds for."""
    offering, found = bundle.offering, list[tuple[str, np.ndarray]]()
    nobody, unknown_age = np.zeros(len(age), bool), np.isnan(age)
    if product.minimum_age is not None or product.maximum_age is not None:
        low, high = product.minimum_age, product.maximum_age
        found += [
            (filters.AGE_UNKNOWN, unknown_age),
            (filters.AGE_BELOW_MINIMUM, nobody if low is None else age < low),
            (filters.AGE_ABOVE_MAXIMUM, nobody if high is None else age > high),
        ]
    if product.minimum_asset_band is not None:
        found += [
            (filters.ASSETS_UNKNOWN, standings.band == UNKNOWN_BAND),
            (filters.ASSETS_BELOW_MINIMUM, standings.band < offering.band(product.minimum_asset_band)),
        ]
    if product.product_class in offering.profile_classes:
        found += [
            (filters.RISK_PROFILE_UNKNOWN, standings.grade == UNKNOWN_GRADE),
            (filters.RISK_PROFILE_EXPIRED, standings.expires <= standings.day),
            (filters.RISK_ABOVE_PROFILE, standings.grade > (product.risk_grade or RISKIEST)),
        ]
    if product.risk_grade is not None and product.risk_grade < offering.senior_riskiest_grade:
        found += [
            (filters.AGE_UNKNOWN, unknown_age),
            (filters.RISK_ABOVE_SENIOR_LIMIT, age >= offering.senior_age),
        ]
    return found


def _stops(bundle: Bundle, standings: Standings, *, unknown_permitted: bool) -> np.ndarray:
    """Return 1 + the place of the first stop among the codes, 0 where none holds: int8 [n]."""
    known = standings.consents_known
    reasons = [
        (filters.DO_NOT_CONTACT, known & standings.do_not_contact),
        (filters.CONSENT_UNKNOWN, ~known),
        (filters.NO_MARKETING_CONSENT, known & ~standings.marketing.any(axis=1)),
        (filters.NO_AUTOMATED_DECISION_CONSENT, known & ~standings.automated),
        (filters.MESSAGES_UNKNOWN, standings.messages == UNKNOWN_COUNT),
        (filters.TOO_MANY_MESSAGES, standings.messages >= bundle.offering.most_messages),
    ]
    first = np.zeros(len(standings), np.int8)
    for code, applies in reasons:
        if not (unknown_permitted and code in LIFTED):
            first[(first == 0) & applies] = 1 + filters.STOP_CODES.index(code)
    return first
