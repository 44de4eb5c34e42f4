"""Layer 3 offers conservative products only, and is never empty unless the customer holds them all."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from finai_assets.bundle.content import RULES_FILE, read_config
from finai_assets.settings import load_settings
from serving_lambda.contract import Customer
from serving_lambda.filters import apply, filters_of
from serving_lambda.offering import Occasion, Offering
from serving_lambda.ranking import Product
from serving_lambda.rules import Facts, Rules
from serving_lambda.standing import Standing

CLASSES = ["deposit", "account", "investment", "investment", "loan", "card", "deposit"]
GRADES = [6, 5, 4, 6, None, None, 3]
PRODUCTS = [
    Product(index, f"p{index}", f"P{index}", f"상품{index}", 0, name, grade, (), None, None, None, (), ())
    for index, (name, grade) in enumerate(zip(CLASSES, GRADES, strict=True))
]


def rules(*entries: dict[str, Any]) -> Rules:
    conservative = {"classes": {"deposit": 3.0, "account": 2.0, "card": 0.5}, "risk_grade_at_least": 5}
    return Rules({"conservative": conservative, "rules": list(entries)}, PRODUCTS)


def rule(when: dict[str, Any], weight: float = 2.0, name: str = "rule") -> dict[str, Any]:
    return {"id": name, "when": when, "offer": {"classes": ["account"]}, "weight": weight}


def facts(**known: Any) -> Facts:
    return Facts(**{"age": None, "segment": None, "held": frozenset(), "asset_band": None, "values": {}, **known})


def matched(when: dict[str, Any], **known: Any) -> bool:
    scored = rules(rule(when)).rank(facts(**known), frozenset())
    return "rule" in next(entry.rules for entry in scored if entry.product_id == 1)


def test_investments_loans_and_riskier_grades_are_never_offered() -> None:
    assert [entry.product_id for entry in rules().rank(facts(), frozenset())] == [0, 1, 5]


def test_a_matching_rule_adds_its_weight_and_its_name() -> None:
    first = rules(rule({"age": [None, 30]})).rank(facts(age=29), frozenset())[0]
    assert (first.product_id, first.score, first.rules) == (1, 4.0, ("base", "rule"))


def test_spans_are_closed_below_and_open_above() -> None:
    assert matched({"age": [30, 60]}, age=30)
    assert not matched({"age": [30, 60]}, age=60)


def test_a_condition_about_something_unknown_does_not_hold() -> None:
    assert not matched({"age": [None, None]})
    assert not matched({"segment": ["mass"]})
    assert not matched({"columns": {"txn_active_days": [None, None]}})
    assert not matched({"columns": {"txn_active_days": [0, None]}}, values={"txn_active_days": float("nan")})


def test_holdings_segments_and_columns_are_looked_at() -> None:
    assert matched({"holds_class": "loan"}, held={4})
    assert not matched({"holds_class": "loan"}, held={0})
    assert matched({"holds_no_class": "loan"}, held={0})
    assert matched({"held_count": [0, 2]}, held={0})
    assert matched({"segment": ["mass"]}, segment="mass")
    assert matched({"asset_band": ["middle", "high"]}, asset_band="high")
    assert not matched({"asset_band": ["middle", "high"]}, asset_band="low")
    assert not matched({"asset_band": ["low"]}, asset_band=None)
    assert matched({"columns": {"txn_active_days": [10, None]}}, values={"txn_active_days": 10.0})
    assert not matched({"held_count": [0, 2], "age": [0, 10]}, held={0}, age=50)


@given(held=st.sets(st.integers(0, 6)), age=st.none() | st.integers(0, 130))
def test_the_list_is_empty_only_where_every_conservative_product_is_held(held: set[int], age: int | None) -> None:
    offered = {entry.product_id for entry in rules(rule({"age": [None, 30]})).rank(facts(age=age, held=held), held)}
    assert offered == {0, 1, 5} - held


BANDS = ("low", "middle", "high")
SETTINGS = load_settings("synthetic", "smoke")
OFFERING = Offering.of(SETTINGS.offering.model_dump(mode="json"), BANDS)
LIMITS = {"p1": (19, 34, None), "p5": (None, None, "middle"), "p0": (None, 64, None)}
LIMITED = [
    product._replace(minimum_age=low, maximum_age=high, minimum_asset_band=band)
    for product in PRODUCTS
    for low, high, band in [LIMITS.get(product.code, (None, None, None))]
]
SHIPPED = Rules({name: read_config(RULES_FILE)[name] for name in ("conservative", "rules")}, LIMITED)


@given(
    held=st.sets(st.integers(0, 6)),
    age=st.none() | st.integers(0, 130),
    band=st.none() | st.sampled_from(BANDS),
    grade=st.none() | st.integers(1, 6),
    active=st.none() | st.floats(0, 400),
)
def test_the_shipped_rules_offer_all_that_is_conservative_and_suits_whoever_asks(
    held: set[int], age: int | None, band: str | None, grade: int | None, active: float | None
) -> None:
    standing = Standing(grade, "2999-12-31" if grade else None, band)
    customer = Customer(1, [], frozenset(held), age, None, (), standing=standing)
    left, removed = apply(filters_of(exclude_held=True), LIMITED, customer, Occasion("2026-06-01"), OFFERING)
    values = {} if active is None else {"txn_active_days": active}
    listed = SHIPPED.rank(Facts(age, None, held, band, values), {entry.product_id for entry in removed})
    conservative = {product.product_id for product in SHIPPED.conservative}
    assert {entry.product_id for entry in listed} == {product.product_id for product in left} & conservative
