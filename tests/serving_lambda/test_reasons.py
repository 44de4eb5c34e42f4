"""Reasons tell true figures, keep their limits, use the right particles, and say nothing of what is not there."""

from __future__ import annotations

import math
import re
import unicodedata
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving_lambda.bundle import Bundle
from serving_lambda.facts import Evidence
from serving_lambda.korean import ended, hangul_share, in_myriads, particle
from serving_lambda.reasons import acceptable
from serving_lambda.record import _exact


def chosen(bundle: Bundle, values: dict[str, float], spoke: dict[str, float], product: int = 0) -> Any:
    """Return what is told of a row that is missing everywhere else."""
    row = [values.get(name, math.nan) for name in bundle.names]
    evidence = [Evidence(at, row[at], spoke[name]) for at, name in enumerate(bundle.names) if name in spoke]
    return bundle.renderer.teller.choose(evidence, row, product)


def test_a_product_that_is_not_held_is_never_told(bundle: Bundle) -> None:
    fact = next(fact for fact in bundle.renderer.teller.facts if fact.form in {"held", "acquired"})
    name = bundle.names[fact.position]
    assert [told.key for told in chosen(bundle, {name: 1.0}, {name: 0.5}, -1).told] == [fact.key]
    for value, contribution in ((0.0, 0.5), (math.nan, 0.5), (1.0, -0.5)):
        assert not chosen(bundle, {name: value}, {name: contribution}, -1).told


def test_what_is_told_carries_its_share_of_all_positive_evidence(bundle: Bundle) -> None:
    fact = next(fact for fact in bundle.renderer.teller.facts if fact.form in {"held", "acquired"})
    name = bundle.names[fact.position]
    hidden = next(column.name for column in bundle.columns if not column.displayable)
    assert chosen(bundle, {name: 1.0, hidden: 3.0}, {name: 0.25, hidden: 0.75}, -1).carried == 0.25
    assert chosen(bundle, {hidden: 3.0}, {hidden: 0.75}) == ((), 0.0, frozenset())


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_every_fact_that_can_be_told_keeps_the_limits_and_tells_its_rows_figure(bundle: Bundle, data: Any) -> None:
    renderer = bundle.renderer
    fact = data.draw(st.sampled_from(renderer.teller.facts))
    far = fact.high if math.isfinite(fact.high) else (9e8 if fact.shown_as == "money" else 999.0)
    figure = data.draw(st.floats(fact.low, far))
    product = data.draw(st.sampled_from(bundle.ranking.products))
    for language in ("ko", "en"):
        name = product.name_ko if language == "ko" else product.name
        for sentence in renderer.variants(fact, figure, language):
            for after in renderer.after(product, language):
                assert acceptable(f"{sentence} {after}", name, language)
            if fact.shown_as == "percent":
                told = {int(found) for found in re.findall(r"(\d+)%", sentence)}
                assert any(abs(value - figure * 100) <= 0.5 + 1e-9 for value in told)
            elif fact.shown_as == "money" and language == "en":
                amount = float(re.findall(r"[A-Z]{3} ([\d,]+)", sentence)[0].replace(",", ""))
                assert abs(amount - figure) <= (5000 if figure >= 10_000 else 0.5)
            elif fact.shown_as in {"whole", "years", "days"}:
                assert renderer.shown(figure, fact.shown_as, language) in sentence


def test_a_customer_reads_the_same_variant_each_time_and_customers_read_different_ones(bundle: Bundle) -> None:
    fact = next(fact for fact in bundle.renderer.teller.facts if fact.form in {"held", "acquired"})
    name, product = bundle.names[fact.position], bundle.ranking.products[-1]
    told = chosen(bundle, {name: 1.0}, {name: 0.5}, -1).told
    texts = [bundle.renderer.reason(told, product, customer)["ko"] for customer in range(300)]
    assert texts == [bundle.renderer.reason(told, product, customer)["ko"] for customer in range(300)]
    assert len(set(texts)) >= 12


@pytest.mark.parametrize(
    ("word", "pair", "expected"),
    [
        ("정기예금", "을/를", "을"),
        ("펀드", "을/를", "를"),
        ("1,250원", "이/가", "이"),
        ("서울", "으로/로", "로"),
        ("예금", "으로/로", "으로"),
        ("비중 34%", "을/를", "를"),
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


def test_endings_and_amounts_are_written_as_they_are_spoken() -> None:
    assert ended("늘었") == "늘었습니다"
    assert ended("이용하고 계시") == "이용하고 계십니다"
    assert in_myriads(1_454_999) == "145만"
    assert in_myriads(125_000_000) == "1억 2,500만"
    assert in_myriads(300_000_000) == "3억"


def test_the_share_of_hangul_counts_letters_alone() -> None:
    assert hangul_share("가나 12, 다a!") == 0.75
    assert hangul_share("12") == 0.0
    assert not acceptable("짧은 글", "", "ko")
    assert not acceptable("가" * 201, "", "ko")
    assert acceptable("가" * 30, "", "ko")


def test_every_reason_of_a_real_bundle_keeps_the_limits(bundle: Bundle, serving: Any, request_for: Any) -> None:
    for index in range(25):
        for entry in serving(request_for(index, k=20))["recommendations"]:
            assert acceptable(entry["reason"]["ko"], entry["name_ko"], "ko")
            assert acceptable(entry["reason"]["en"], entry["name"], "en")
            assert f"{len(entry['attributions'])}개 중 {entry['not_displayable']}개" in entry["banker"]["ko"] or (
                not entry["attributions"]
            )
            for word in ("나이", "소득", "이탈", "성별", "등급", "해지"):
                assert word not in entry["reason"]["ko"].replace(entry["name_ko"], "")


@pytest.mark.parametrize(
    ("description", "told"),
    [
        (("대분류 업종 7 지출 비중", "Share of spend in top-level category 7"),
         ("여가와 문화 지출 비중 10.0%", "Share of spend in leisure and culture 10.0%")),
        (("많이 쓴 업종 비중", "Share of the largest category"),
         ("많이 쓴 업종 비중 10.0% (여가와 문화)", "Share of the largest category 10.0% (leisure and culture)")),
    ],
)  # fmt: skip
def test_the_banker_is_told_a_category_by_its_name(description: tuple[str, str], told: tuple[str, str]) -> None:
    column = SimpleNamespace(description_ko=description[0], description=description[1], kind="share", unit="1")
    words = {"what": {"ko": "여가와 문화", "en": "leisure and culture"}}
    fact = SimpleNamespace(position=0, base=-1, words=words, categories=(7,))
    teller = SimpleNamespace(by_key={"share": fact})
    renderer: Any = SimpleNamespace(teller=teller, columns=[column], currency={"ko": "원", "en": "KRW"})
    entry: Any = SimpleNamespace(key="share", value=0.1)
    assert tuple(_exact(entry, renderer, language) for language in ("ko", "en")) == told
