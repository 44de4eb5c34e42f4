"""Reasons tell displayable evidence only, keep their limits, and use the right particles."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving_lambda.bundle import Bundle, ContractColumn
from serving_lambda.reasons import Evidence, Renderer, acceptable, hangul_share, particle

TEMPLATES: dict[str, Any] = {
    "grounded": [
        {
            "ko": "고객님의 {evidence:을/를} 참고하여 {product:을/를} 안내해 드립니다. 확인해 보세요.",
            "en": "Considering your {evidence}: {product}.",
        },
        {
            "ko": "{evidence:이/가} 반영되어 {product:을/를} 안내해 드립니다. 조건을 확인해 보세요.",
            "en": "Because of your {evidence} we show {product}.",
        },
    ],
    "neutral": [
        {
            "ko": "살펴보실 만한 상품으로 {product:을/를} 안내해 드립니다. 확인해 보세요.",
            "en": "We would like to introduce {product} to you.",
        }
    ],
    "concepts": {
        "spending": {"ko": "이용 금액", "en": "spending", "value": True, "counter": ""},
        "holdings": {"ko": "보유 상품 구성", "en": "current products", "value": True, "counter": "개"},
        "recent": {"ko": "최근 거래 내역", "en": "recent transactions", "value": False, "counter": ""},
        "profile": {"ko": "기본 정보", "en": "profile", "value": True, "counter": ""},
    },
    "units": {
        "1": {"ko": "{value}{counter}", "en": "{value}"},
        "KRW": {"ko": "{value}원", "en": "{value} KRW"},
    },
}
NAMES = {"ko": "정기예금", "en": "Time deposit"}


def column(name: str, kind: str, unit: str, ko: str, en: str, concept: str, *, shown: bool = True) -> ContractColumn:
    return ContractColumn(name, "group", kind, unit, True, None, None, en, ko, shown, concept)


COLUMNS = (
    column("spend", "continuous", "KRW", "최근 90일 지출액", "Spend of the last 90 days", "spending"),
    column("held_card", "binary", "1", "신용카드 보유", "Holds Credit card", "holdings"),
    column("lag_1", "continuous", "1", "최근 1번째 거래 금액", "Transaction 1", "recent"),
    column("lag_2", "continuous", "1", "최근 2번째 거래 금액", "Transaction 2", "recent"),
    column("age", "continuous", "years", "나이", "Age", "profile", shown=False),
    column("count", "count", "1", "보유 상품 수", "Products held", "holdings"),
    column("odd", "continuous", "parsec", "거리", "Distance", "spending"),
)
RENDERER = Renderer(TEMPLATES, COLUMNS)


def reason(*evidence: tuple[int, float, float], customer: int | None = 1) -> dict[str, str]:
    told = RENDERER.told([Evidence(*entry) for entry in evidence])
    return RENDERER.reason(told, NAMES["ko"], NAMES["en"], customer, 4)


def test_a_value_is_told_with_its_unit_and_the_right_particle() -> None:
    text = reason((0, 1_250_000.4, 0.5))
    assert "최근 90일 지출액 1,250,000원" in text["ko"]
    assert "정기예금을 안내해" in text["ko"]
    assert "spending (spend of the last 90 days: 1,250,000 KRW)" in text["en"]


def test_a_flag_that_is_not_set_and_a_missing_value_are_told_as_their_concept() -> None:
    assert "신용카드 보유" in reason((1, 1.0, 0.5))["ko"]
    assert "보유 상품 구성" in reason((1, 0.0, 0.5))["ko"]
    assert "이용 금액" in reason((0, math.nan, 0.5))["ko"]
    assert "이용 금액" in reason((6, 3.0, 0.5))["ko"]  # a unit without a written form
    assert "보유 상품 수 3개" in reason((5, 3.0, 0.5))["ko"]


def test_lag_columns_are_summed_to_their_concept_and_the_strongest_two_concepts_are_told() -> None:
    text = reason((2, 1.0, 0.2), (3, 1.0, 0.2), (0, 5.0, 0.3), (1, 1.0, 0.1))
    assert "최근 거래 내역과 최근 90일 지출액 5원" in text["ko"]
    assert "recent transactions and spending" in text["en"]
    assert "보유" not in text["ko"]


def test_what_is_not_displayable_is_never_told_however_strong_it_is() -> None:
    text = reason((4, 71.0, 9.0), (0, 5.0, 0.1))
    assert "나이" not in text["ko"]
    assert "71" not in text["ko"] + text["en"]
    assert "지출액" in text["ko"]


@pytest.mark.parametrize("evidence", [[], [(4, 71.0, 9.0)], [(0, 5.0, -0.4)], [(2, 1.0, 0.2), (3, 1.0, -0.3)]])
def test_without_a_displayable_argument_for_the_product_the_text_is_neutral(evidence: list[Any]) -> None:
    assert reason(*evidence)["ko"] == "살펴보실 만한 상품으로 정기예금을 안내해 드립니다. 확인해 보세요."


def test_a_customer_reads_the_same_variant_each_time_and_customers_read_different_ones() -> None:
    texts = [reason((0, 5.0, 0.1), customer=customer)["ko"] for customer in range(20)]
    assert texts == [reason((0, 5.0, 0.1), customer=customer)["ko"] for customer in range(20)]
    assert len(set(texts)) == 2


def test_a_text_that_would_be_too_long_gives_way_to_the_concept() -> None:
    long = (*COLUMNS[1:], column("long", "continuous", "KRW", "아주 긴 설명 " * 30, "Long", "spending"))
    renderer = Renderer(TEMPLATES, long)
    text = renderer.reason(renderer.told([Evidence(6, 5.0, 1.0)]), NAMES["ko"], NAMES["en"], 1, 4)["ko"]
    assert "이용 금액을" in text or "이용 금액이" in text
    assert len(text) <= 200


@pytest.mark.parametrize(
    ("word", "pair", "expected"),
    [
        ("정기예금", "을/를", "을"),
        ("펀드", "을/를", "를"),
        ("1,250원", "이/가", "이"),
        ("수 31", "과/와", "과"),
        ("수 2", "과/와", "와"),
        ("통장", "은/는", "은"),
        ("서울", "으로/로", "로"),
        ("카드", "으로/로", "로"),
        ("예금", "으로/로", "으로"),
        ("비중 34%", "을/를", "를"),
        ("지출액(5원)", "을/를", "을"),
        ("ETF", "을/를", "을(를)"),
        ("", "을/를", "을(를)"),
    ],
)
def test_particles_follow_the_final_consonant(word: str, pair: str, expected: str) -> None:
    assert particle(word, pair) == expected


@given(st.characters(min_codepoint=ord("가"), max_codepoint=ord("힣")))
def test_the_particle_agrees_with_the_syllables_canonical_decomposition(syllable: str) -> None:
    has_final = len(unicodedata.normalize("NFD", syllable)) == 3
    assert particle(syllable, "을/를") == ("을" if has_final else "를")


def test_the_share_of_hangul_counts_letters_alone() -> None:
    assert hangul_share("가나 12, 다a!") == 0.75
    assert hangul_share("12") == 0.0
    assert not acceptable("짧은 글", "", "ko")
    assert not acceptable("a" * 100, "", "ko")
    assert not acceptable("가" * 201, "", "ko")
    assert acceptable("가" * 30, "", "ko")


def test_every_reason_of_a_real_bundle_keeps_the_limits(bundle: Bundle, serving: Any, request_for: Any) -> None:
    for index in range(25):
        for entry in serving(request_for(index, k=20))["recommendations"]:
            assert acceptable(entry["reason"]["ko"], entry["name_ko"], "ko")
            assert acceptable(entry["reason"]["en"], entry["name"], "en")
            for word in ("나이", "소득", "이탈", "보장", "성별", "등급", "해지"):
                assert word not in entry["reason"]["ko"].replace(entry["name_ko"], "")
