"""C28, C31 and C32, the months that prove them: one sound, and one for each rule that is broken for one customer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa

from finai_assets.settings import Settings
from finai_checks.framework.check import NO_EVIDENCE, Canary, LakeCanary
from finai_checks.offering.checks import CONSENT, REPLAYED, SUITABILITY
from finai_checks.offering.consent import no_leak
from finai_checks.offering.offers import Offers
from finai_checks.offering.replayed import Answer, Told, recommendations_replayed
from finai_checks.offering.suitability import suitable

DAY = date(2016, 6, 1)
_BANDS = ("low", "high")
_DEPOSIT, _FUND, _STEADY_FUND, _YOUTH, _WRAP = range(5)  # products; the fund is the riskiest
_SENIOR, _YOUNG, _CAUTIOUS, _OBJECTING, _STRANGER = 1, 2, 3, 4, 9  # customers
_OFFERS = [
    (_SENIOR, _DEPOSIT),
    (_SENIOR, _STEADY_FUND),
    (_YOUNG, _FUND),
    (_YOUNG, _YOUTH),
    (_YOUNG, _WRAP),
    (_CAUTIOUS, _DEPOSIT),
]
_AGES = {_SENIOR: 70, _YOUNG: 30, _CAUTIOUS: 50, _OBJECTING: 40}
_WITHDRAWN = DAY - timedelta(days=1)


def plain_canaries(settings: Settings) -> list[Canary]:
    """Return months that the checks must let pass or reject."""
    return [*_of_suitability(settings), *_of_consent(settings), *_of_replay()]


def lake_canaries() -> list[LakeCanary]:
    """Return nothing: an offer needs a bundle of all students, which the small lake does not have."""
    return []


def _of_suitability(settings: Settings) -> list[Canary]:
    def canary(label: str, expects: str | None, offers: Callable[[], Offers]) -> Canary:
        return Canary(SUITABILITY, label, expects, lambda: suitable(offers(), settings.offering, _BANDS))

    def offered(label: str, expects: str, customer: int, product: int) -> Canary:
        return canary(label, expects, lambda: _month(offers=[*_OFFERS, (customer, product)]))

    return [
        canary("a month whose offers all suit", None, _month),
        canary("a month that offers nothing, without any table", None, lambda: _bare([])),
        offered("a fund for one customer with a cautious profile", "riskier than the risk profile", _CAUTIOUS, _FUND),
        offered("a fund for one customer without a profile", "there is no risk profile", _OBJECTING, _STEADY_FUND),
        offered("a risky fund for one senior", "too risky for a senior", _SENIOR, _FUND),
        offered("a youth account for one customer of 50", "above the maximum age", _CAUTIOUS, _YOUTH),
        offered(
            "a product of the wealthy for one customer who is not", "the assets are below the minimum", _SENIOR, _WRAP
        ),
        offered("a customer whom the month does not know", "the month does not know the customer", _STRANGER, _DEPOSIT),
        offered("a product that is not in the catalogue", "the catalogue does not know the product", _YOUNG, 77),
        canary("a profile that expires at the cutoff", "the risk profile has expired", lambda: _month(expires=DAY)),
        canary(
            "a youth account for a customer of 17", "below the minimum age", lambda: _month(ages={**_AGES, _YOUNG: 17})
        ),
        canary("a customer without an age", "the age is unknown", lambda: _month(ages={**_AGES, _YOUNG: None})),
        canary("a customer of unknown assets", "the assets are unknown", lambda: _month(bands={_SENIOR: "low"})),
        canary("data without risk profiles", "there is no risk profile", lambda: replace(_month(), profiles=None)),
        canary("a month without customers", NO_EVIDENCE, lambda: replace(_month(), snapshots=_snapshots({}))),
    ]


def _of_consent(settings: Settings) -> list[Canary]:
    def canary(label: str, expects: str | None, offers: Callable[[], Offers]) -> Canary:
        return Canary(CONSENT, label, expects, lambda: no_leak(offers(), settings.offering))

    def consents(label: str, expects: str | None, **changes: Any) -> Canary:
        return canary(label, expects, lambda: replace(_month(), consents=_consents(**changes)))

    def contacts(label: str, expects: str | None, count: int, before: timedelta) -> Canary:
        return canary(label, expects, lambda: replace(_month(), contacts=_contacts(count, before)))

    def decided(label: str, expects: str, change: Callable[[dict[int, dict[str, Any]]], Any]) -> Canary:
        return canary(label, expects, lambda: _month(change=change))

    most, days = settings.offering.messages.most, settings.offering.messages.days
    return [
        canary("a month whose offers are all agreed to", None, _month),
        canary("a month without consents that offers nothing and says so", None, lambda: _bare([])),
        canary("a month without consents that offers something", "consents are unknown", lambda: _bare(_OFFERS)),
        consents("a consent to marketing that was withdrawn the day before", "no consent to marketing stands",
                 withdrawn=(_YOUNG, "marketing")),
        consents("a consent to automated decisions that was withdrawn the day before",
                 "no consent to automated decisions stands", withdrawn=(_YOUNG, "automated_decision")),
        consents("a customer who never agreed to automated decisions", "no consent to automated decisions stands",
                 without=(_SENIOR, "automated_decision")),
        consents("an objection", "the customer objected", objecting=(_OBJECTING, _YOUNG)),
        consents("an objection that was withdrawn", None, objecting=(_OBJECTING, _YOUNG),
                 withdrawn=(_YOUNG, "do_not_contact")),
        contacts("the last message that is allowed", None, most - 1, timedelta(days=1)),
        contacts("one message more than is allowed before an offer", "the messages of the last days are too many", most,
                 timedelta(days=days)),
        contacts("messages that lie longer ago", None, most, timedelta(days=days, microseconds=1)),
        canary("data without contacts", "messages are unknown", lambda: replace(_month(), contacts=None)),
        decided("a dropped decision", "1 customers without a decision", lambda rows: rows.pop(_OBJECTING)),
        decided("a decision about a stranger", "whom the month does not know",
                lambda rows: rows.update({_STRANGER: {"served": [], "code": "NO_MARKETING_CONSENT", "channels": []}})),
        decided("nothing served without a reason", "say no reason", lambda rows: rows[_OBJECTING].update(code=None)),
        decided("something served with a reason not to", "say a reason not to",
                lambda rows: rows[_YOUNG].update(code="TOO_MANY_MESSAGES")),
        decided("an offer that was not decided", "offered and not decided", lambda rows: rows[_YOUNG]["served"].pop()),
        decided("a channel to which the customer did not agree", "channels without consent",
                lambda rows: rows[_YOUNG].update(channels=["call"])),
        canary("a month without customers", NO_EVIDENCE, lambda: replace(_month(), snapshots=_snapshots({}))),
    ]  # fmt: skip


def _of_replay() -> list[Canary]:
    fund = Told(_FUND, 0.25, 1, "이유", "reason")
    told = Answer((fund, fund._replace(product_id=_DEPOSIT)), None)
    nothing = Answer((), "NO_MARKETING_CONSENT")

    def canary(label: str, expects: str | None, changed: dict[int, Answer]) -> Canary:
        stored = {_YOUNG: told, _SENIOR: nothing}
        again = {_YOUNG: told, _SENIOR: nothing} if changed else {}
        return Canary(REPLAYED, label, expects, lambda: recommendations_replayed({**stored, **changed}, again))

    first, second = told.told

    def first_changed(label: str, expects: str, **changed: Any) -> Canary:
        return canary(label, expects, {_YOUNG: Answer((first._replace(**changed), second), None)})

    return [
        canary("a month that is answered alike", None, {_YOUNG: told}),
        canary("products in another order", "in another order", {_YOUNG: Answer((second, first), None)}),
        canary("the list of another customer", "customer 1: the code is None", {_SENIOR: told, _YOUNG: nothing}),
        first_changed("a score of another model", "another score of product 1", score=0.26),
        first_changed("the layer of another model", "another layer", layer=2),
        first_changed("the reason of another product", "another reason_ko", reason_ko="다른 이유"),
        canary("a filter that one alone applies", "product 1 is filtered (RISK_ABOVE_PROFILE) by one alone",
               {_SENIOR: nothing._replace(removed=((_FUND, "RISK_ABOVE_PROFILE"),))}),
        canary("another code", "the handler says NO_MARKETING_CONSENT", {_SENIOR: nothing._replace(code="DO_NOT_CONTACT")}),
        canary("nobody answered again", NO_EVIDENCE, {}),
    ]  # fmt: skip


def _month(
    *,
    offers: list[tuple[int, int]] = _OFFERS,
    ages: dict[int, int | None] | None = None,
    bands: dict[int, str] | None = None,
    expires: date = DAY + timedelta(days=1),
    change: Callable[[dict[int, dict[str, Any]]], Any] | None = None,
) -> Offers:
    """Return a month: sound, unless something is given otherwise."""
    known: dict[int, int | None] = ages or {**_AGES}
    banded = bands or {_SENIOR: "low", _YOUNG: "high"}
    return Offers(
        DAY,
        _recommendations(offers),
        _decisions(offers, "NO_MARKETING_CONSENT", ["app"], change),
        _snapshots(known),
        pa.table(
            {
                "product_id": pa.array(range(5), pa.int16()),
                "product_class": ["deposit", "investment", "investment", "account", "investment"],
                "risk_grade": pa.array([6, 2, 4, None, 5], pa.int8()),
            }
        ),
        pa.table(
            {
                "product_id": pa.array(range(5), pa.int16()),
                "minimum_age": pa.array([None, None, None, 19, None], pa.int16()),
                "maximum_age": pa.array([None, None, None, 34, None], pa.int16()),
                "minimum_asset_band": pa.array([None, None, None, None, "high"], pa.string()),
            }
        ),
        pa.table(
            {
                "customer_id": pa.array([_SENIOR, _YOUNG, _CAUTIOUS], pa.int64()),
                "grade": pa.array([2, 1, 6], pa.int8()),
                "expires_on": pa.array([expires] * 3, pa.date32()),
            }
        ),
        pa.table({"customer_id": pa.array(list(banded), pa.int64()), "band": list(banded.values())}),
        _consents(),
        _contacts(0, timedelta()),
    )


def _bare(offers: list[tuple[int, int]]) -> Offers:
    """Return a month of a data set that has none of the tables."""
    decisions = _decisions(offers, "CONSENT_UNKNOWN", [])
    return replace(_month(offers=offers), decisions=decisions, profiles=None, bands=None, consents=None, contacts=None)


def _snapshots(ages: dict[int, int | None]) -> pa.Table:
    return pa.table({"customer_id": pa.array(list(ages), pa.int64()), "age": pa.array(list(ages.values()), pa.int16())})


def _recommendations(offers: list[tuple[int, int]]) -> pa.Table:
    return pa.table(
        {
            "customer_id": pa.array([customer for customer, _ in offers], pa.int64()),
            "product_id": pa.array([product for _, product in offers], pa.int16()),
        }
    )


def _decisions(
    offers: list[tuple[int, int]],
    code: str,
    channels: list[str],
    change: Callable[[dict[int, dict[str, Any]]], Any] | None = None,
) -> pa.Table:
    rows: dict[int, dict[str, Any]] = {customer: {"served": [], "code": code, "channels": []} for customer in _AGES}
    for customer, product in offers:
        if customer in rows:
            rows[customer].update(code=None, channels=channels)
            rows[customer]["served"].append(product)
    if change is not None:
        change(rows)
    return pa.table(
        {
            "customer_id": pa.array(list(rows), pa.int64()),
            "served": pa.array([row["served"] for row in rows.values()], pa.list_(pa.int16())),
            "code": pa.array([row["code"] for row in rows.values()], pa.string()),
            "channels": pa.array([row["channels"] for row in rows.values()], pa.list_(pa.string())),
        }
    )


def _consents(
    *,
    objecting: tuple[int, ...] = (_OBJECTING,),
    without: tuple[int, str] | None = None,
    withdrawn: tuple[int, str] | None = None,
) -> pa.Table:
    agreed = [(customer, purpose) for customer in _AGES for purpose in ("marketing", "automated_decision")]
    rows = [*agreed, *((customer, "do_not_contact") for customer in objecting)]
    kept = [row for row in rows if row != without]
    return pa.table(
        {
            "customer_id": pa.array([customer for customer, _ in kept], pa.int64()),
            "purpose": [purpose for _, purpose in kept],
            "channel": pa.array(["app" if purpose == "marketing" else None for _, purpose in kept], pa.string()),
            "given_on": pa.array([date(2015, 3, 1)] * len(kept), pa.date32()),
            "withdrawn_on": pa.array([_WITHDRAWN if row == withdrawn else None for row in kept], pa.date32()),
        }
    )


def _contacts(count: int, before: timedelta) -> pa.Table:
    at = datetime(DAY.year, DAY.month, DAY.day) - before
    return pa.table(
        {"customer_id": pa.array([_YOUNG] * count, pa.int64()), "ts": pa.array([at] * count, pa.timestamp("us"))}
    )
