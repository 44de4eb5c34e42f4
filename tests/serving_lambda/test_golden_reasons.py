"""A hundred reasons as customers read them, compared word by word with a file that was read by people.

``python tests/serving_lambda/test_golden_reasons.py`` writes the file anew, to be read again before it is committed.
"""

from __future__ import annotations

import json
import math
from itertools import islice
from pathlib import Path

import pytest

from finai_assets.bundle import content
from finai_assets.bundle.facts import Known
from finai_assets.ingest.adapter import product_catalogue, product_terms
from finai_assets.platform import Platform
from finai_assets.settings import available_datasets, load_settings
from serving_lambda.bundle import ContractColumn
from serving_lambda.catalogue import Product, products_of
from serving_lambda.facts import Fact, Told
from serving_lambda.reasons import LANGUAGES, Renderer, acceptable

GOLDEN = Path(__file__).parent / "golden_reasons.json"
NUMBER = 100
FIGURES = {"percent": (0.34, 0.12, 0.58), "money": (1_454_999.0, 320_000.0, 12_700_000.0)}


def renderer_and_products(dataset: str = "synthetic") -> tuple[Renderer, tuple[Product, ...]]:
    """Return the templates of a data set on all of its columns, and its products."""
    settings = load_settings(dataset, "demo")
    platform, templates = Platform.of(settings), content.read_config(content.TEMPLATES_FILE)
    registry, names = platform.registry, set(platform.registry.names)
    known = Known(ranked_codes=tuple(category.mcc for category in settings.merchant_categories[:30]))
    facts = content.told_facts(registry, names, templates, settings, known)
    columns = [
        ContractColumn(**{name: entry[name] for name in ContractColumn._fields})
        for entry in content.contract_columns(registry, names, templates, settings, facts)
    ]
    stored = content.products_content(product_catalogue(settings), product_terms(settings), settings, platform.tasks)
    products = products_of(stored)
    return Renderer(content.templates_content(templates, settings, facts), columns, products), products


def told(fact: Fact, number: int) -> Told:
    """Return a fact with a figure within its limits."""
    for figure in (*FIGURES.get(fact.shown_as, (9.0, 3.0, 6.0))[number % 3 :], 0.5, 1.0, 2.0):
        if fact.low <= figure <= fact.high:
            return Told(fact.key, figure, figure, math.nan, 1.0)
    return Told(fact.key, fact.low, fact.low, math.nan, 1.0)


def rendered() -> list[dict[str, str]]:
    """Return reasons with one or two facts, every form of fact and benefits among them, for every product in turn."""
    renderer, products = renderer_and_products()
    forms: dict[str, list[Fact]] = {}
    for fact in renderer.teller.facts:
        forms.setdefault(fact.form, []).append(fact)
    met = [
        (fact, product)
        for product in products
        for fact in renderer.teller.facts
        if renderer.benefit_met([told(fact, 0)], product) is not None
    ]
    kinds, found = list(forms.values()), dict[str, dict[str, str]]()
    for number in range(10 * NUMBER):
        first = kinds[number % len(kinds)]
        second = kinds[(number * 7 + 3) % len(kinds)]
        pair = [first[number * 5 % len(first)], second[number * 3 % len(second)]]
        product = products[number * 11 % len(products)]
        if number % 5 == 2:
            pair[0], product = met[number * 13 % len(met)]
        facts = [fact for fact in pair if product.product_id not in fact.never_for]
        if len(facts) == 2 and facts[0].family == facts[1].family:
            facts = facts[:1]
        if facts and number % 4 == 0:
            facts = facts[:1]
        if facts:
            text = renderer.reason([told(fact, number) for fact in facts], product, number)
            found.setdefault(text["ko"], {"facts": " ".join(f.key for f in facts), "product": product.code, **text})
    return list(islice(found.values(), NUMBER))


def test_a_hundred_reasons_read_as_they_were_read_before() -> None:
    assert rendered() == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_the_hundred_cover_every_form_of_fact_and_every_product_and_keep_the_limits() -> None:
    renderer, products = renderer_and_products()
    found = rendered()
    forms = {renderer.teller.by_key[key].form for entry in found for key in entry["facts"].split()}
    assert forms == {fact.form for fact in renderer.teller.facts}
    assert {entry["product"] for entry in found} == {product.code for product in products}
    assert len({entry["ko"] for entry in found}) == NUMBER
    name = {(product.code, "ko"): product.name_ko for product in products}
    name |= {(product.code, "en"): product.name for product in products}
    for entry in found:
        for language in LANGUAGES:
            assert acceptable(entry[language], name[entry["product"], language], language), entry
    assert sum(len(entry["facts"].split()) == 2 for entry in found) > NUMBER // 3
    benefits = [benefit.ko for product in products for benefit in product.benefits]
    assert sum(any(benefit in entry["ko"] for benefit in benefits) for entry in found) >= 10


@pytest.mark.parametrize("dataset", available_datasets())
def test_no_variant_of_a_fact_holds_a_forbidden_word_in_any_data_set(dataset: str) -> None:
    """An amount and the verb behind it make words too: 코루나 and 이었 hold 나이."""
    templates = content.read_config(content.TEMPLATES_FILE)
    renderer, _ = renderer_and_products(dataset)
    assert len(renderer.teller.facts) > 20
    for fact in renderer.teller.facts:
        for number in range(3):
            figure = told(fact, number).figure
            for language in LANGUAGES:
                for sentence in renderer.variants(fact, figure, language):
                    assert not content.forbidden_in(sentence, language, templates), sentence
    if dataset == "berka":
        spending = [fact for fact in renderer.teller.facts if fact.shown_as == "money"]
        sentences = [text for fact in spending for text in renderer.variants(fact, 12_345.0, "ko")]
        assert any("12,345코루나였습니다" in text for text in sentences)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(rendered(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
