"""Every filter and stop says its code at its boundary, what is unknown is not offered, and the first reason decides."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving_lambda import filters
from serving_lambda.catalogue import Product
from serving_lambda.contract import Customer
from serving_lambda.filters import apply, filters_of, stop
from serving_lambda.offering import Occasion, Offering
from serving_lambda.standing import CHANNELS, UNKNOWN, Standing

BANDS = ("low", "middle", "high")
OFFERING = Offering(frozenset({"investment"}), 65, 4, 5, 7, 21, 8, frozenset({"app", "sms"}), 540, BANDS)
TODAY = Occasion("2026-06-01")
AGREED = Standing(
    risk_grade=3,
    risk_expires="2026-06-02",
    asset_band="middle",
    marketing=frozenset({"app", "email"}),
    automated=True,
    do_not_contact=False,
    recent_messages=4,
)


def product(place: int = 0, **known: Any) -> Product:
    values = {
        "product_class": "deposit", "risk_grade": None, "minimum_age": None, "maximum_age": None, "minimum_asset_band": None,
    }  # fmt: skip
    return Product(
        product_id=place, code=f"p{place}", name="", name_ko="", family=0, sets=(), disclosures=(), benefits=(),
        **{**values, **known},
    )  # fmt: skip


def customer(age: int | None = 40, held: frozenset[int] = frozenset(), **standing: Any) -> Customer:
    return Customer(1, [], held, age, None, (), standing=AGREED._replace(**standing))


def code(of: Product, who: Customer) -> str | None:
    _, removed = apply(filters_of(exclude_held=True), [of], who, TODAY, OFFERING)
    return removed[0].code if removed else None


FUND = {"product_class": "investment", "risk_grade": 4}


@pytest.mark.parametrize(
    ("limits", "who", "expected"),
    [
        ({}, {}, None),
        ({}, {"age": None, "risk_grade": None, "asset_band": None}, None),
        ({}, {"held": frozenset({0})}, "ALREADY_HELD"),
        ({"minimum_age": 19}, {"age": 19}, None),
        ({"minimum_age": 19}, {"age": 18}, "AGE_BELOW_MINIMUM"),
        ({"maximum_age": 34}, {"age": 34}, None),
        ({"maximum_age": 34}, {"age": 35}, "AGE_ABOVE_MAXIMUM"),
        ({"maximum_age": 34}, {"age": None}, "AGE_UNKNOWN"),
        ({"minimum_asset_band": "middle"}, {}, None),
        ({"minimum_asset_band": "high"}, {}, "ASSETS_BELOW_MINIMUM"),
        ({"minimum_asset_band": "low"}, {"asset_band": None}, "ASSETS_UNKNOWN"),
        (FUND, {}, None),
        ({**FUND, "risk_grade": 3}, {"age": 40}, None),
        ({**FUND, "risk_grade": 2}, {}, "RISK_ABOVE_PROFILE"),
        ({**FUND, "risk_grade": None}, {}, "RISK_ABOVE_PROFILE"),
        (FUND, {"risk_grade": None}, "RISK_PROFILE_UNKNOWN"),
        (FUND, {"risk_expires": None}, "RISK_PROFILE_UNKNOWN"),
        (FUND, {"risk_expires": "2026-06-01"}, "RISK_PROFILE_EXPIRED"),
        ({**FUND, "risk_grade": 3}, {"age": 64}, None),
        ({**FUND, "risk_grade": 3}, {"age": 65}, "RISK_ABOVE_SENIOR_LIMIT"),
        (FUND, {"age": 99}, None),
        ({"risk_grade": 3}, {"age": 65}, "RISK_ABOVE_SENIOR_LIMIT"),
        ({"risk_grade": 3}, {"age": None}, "AGE_UNKNOWN"),
        ({"minimum_age": 19, "minimum_asset_band": "high"}, {"age": 18}, "AGE_BELOW_MINIMUM"),
    ],
)
def test_a_product_is_removed_exactly_at_its_limit(
    limits: dict[str, Any], who: dict[str, Any], expected: str | None
) -> None:
    assert code(product(**limits), customer(**who)) == expected


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        ({}, None),
        ({"do_not_contact": True, "marketing": None}, "DO_NOT_CONTACT"),
        ({"do_not_contact": None}, "CONSENT_UNKNOWN"),
        ({"marketing": None}, "CONSENT_UNKNOWN"),
        ({"automated": None}, "CONSENT_UNKNOWN"),
        ({"marketing": frozenset()}, "NO_MARKETING_CONSENT"),
        ({"automated": False}, "NO_AUTOMATED_DECISION_CONSENT"),
        ({"recent_messages": None}, "MESSAGES_UNKNOWN"),
        ({"recent_messages": 5}, "TOO_MANY_MESSAGES"),
    ],
)
def test_a_customer_is_stopped_with_the_first_reason(standing: dict[str, Any], expected: str | None) -> None:
    assert stop(customer(**standing), TODAY, OFFERING) == expected


@pytest.mark.parametrize(
    ("hour", "channel", "expected"),
    [
        (20, "app", None), (21, "app", "QUIET_HOURS"), (0, "app", "QUIET_HOURS"), (7, "app", "QUIET_HOURS"), (8, "app", None),
        (23, "email", None), (23, None, None), (None, "app", None), (12, "sms", "NO_MARKETING_CONSENT"),
    ],
)  # fmt: skip
def test_an_outbound_channel_needs_its_own_consent_and_rests_at_night(
    hour: int | None, channel: str | None, expected: str | None
) -> None:
    assert stop(customer(), Occasion("2026-06-01", hour, channel), OFFERING) == expected


def test_quiet_hours_within_one_day_end_on_it() -> None:
    of_noon = OFFERING._replace(quiet_from=12, quiet_until=14)
    assert [hour for hour in range(24) if of_noon.is_quiet(hour)] == [12, 13]


def test_an_occasion_is_in_local_time() -> None:
    before_midnight_utc = 1_780_268_400.0  # 2026-05-31 23:00 UTC
    assert OFFERING.occasion(before_midnight_utc, "app") == Occasion("2026-06-01", 8, "app")
    assert OFFERING._replace(utc_offset_minutes=-60).occasion(before_midnight_utc, None) == Occasion("2026-05-31", 22)


def test_of_whom_nothing_is_known_nothing_is_offered() -> None:
    assert stop(customer()._replace(standing=UNKNOWN), TODAY, OFFERING) == "CONSENT_UNKNOWN"


STANDINGS = st.builds(
    Standing,
    risk_grade=st.none() | st.integers(1, 6),
    risk_expires=st.none() | st.sampled_from(["2026-05-31", "2026-06-01", "2026-06-02"]),
    asset_band=st.none() | st.sampled_from(BANDS),
    marketing=st.none() | st.frozensets(st.sampled_from(CHANNELS)),
    automated=st.none() | st.booleans(),
    do_not_contact=st.none() | st.booleans(),
    recent_messages=st.none() | st.integers(0, 9),
)
LIMITED = [
    product(0),
    product(1, **FUND),
    product(2, product_class="investment", risk_grade=1),
    product(3, minimum_age=19, maximum_age=34),
    product(4, minimum_asset_band="high", risk_grade=3),
]


@given(STANDINGS, st.none() | st.integers(0, 130), st.sampled_from(Standing._fields))
def test_knowing_less_of_a_customer_never_offers_more(standing: Standing, age: int | None, forgotten: str) -> None:
    def offered(known: Standing, years: int | None) -> set[int]:
        who = Customer(1, [], frozenset(), years, None, (), standing=known)
        left, removed = apply(filters_of(exclude_held=True), LIMITED, who, TODAY, OFFERING)
        assert {entry.code for entry in removed} <= set(filters.CODES)
        stopped = stop(who, TODAY, OFFERING)
        assert stopped is None or stopped in filters.STOP_CODES
        return set() if stopped else {each.product_id for each in left}

    assert offered(standing._replace(**{forgotten: None}), age) <= offered(standing, age)
    assert offered(standing, None) <= offered(standing, age)
