"""The fact families of ``reason_templates.yaml``, resolved against a bundle's contract.

A family says by patterns which columns can be told and how. Here each becomes facts of single columns, with everything that their
texts name: products, merchant categories, parts of the day, periods. What a contract lacks gives no fact.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from finai_assets.features.inputs import look_back_days
from finai_assets.settings import Settings
from finai_resources.errors import ConfigError

LEAST_VARIANTS = 12  # of a form of a fact family, in each language
LANGUAGES = ("ko", "en")
DAYS_OF_MONTH = 365.25 / 12
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_NUMBERS = frozenset({"days", "months", "l1", "rank"})
_FILE = "reason_templates.yaml"


class Known(NamedTuple):
    """What the features know beyond the contract.

    Parameters
    ----------
    ranked_codes : tuple of int
        MCCs by train frequency, as the columns ``mcc_seen_<rank>`` count them; empty where the data set has none.
    imputed : mapping
        Column to the values that stand for missing ones.
    typical : mapping
        Column to its typical value in train.
    """

    ranked_codes: tuple[int, ...] = ()
    imputed: Mapping[str, Sequence[float]] = {}
    typical: Mapping[str, float] = {}


class _Named(NamedTuple):
    """What a column's placeholder names, the product that it is, and the categories that a benefit may meet it by."""

    words: dict[str, dict[str, str]]
    product: str | None = None
    categories: tuple[str, ...] = ()


def facts_content(
    templates: Mapping[str, Any], columns: Mapping[str, int | None], settings: Settings, known: Known
) -> list[dict[str, Any]]:
    """Return the facts that a contract can tell, by family and form, in the order of the configuration.

    Parameters
    ----------
    columns
        Name of each of the contract's columns to the days that it looks back over, in contract order.

    Raises
    ------
    ConfigError
        A form has fewer than 12 variants in a language, or two forms share a name.
    """
    _require_variants(templates)
    found = []
    for family in templates["facts"]:
        for form in family["forms"]:
            if all(name in columns for name in (*form.get("needs", ()), *([form["base"]] if "base" in form else []))):
                for column, days in columns.items():
                    fact = _fact(
                        family["family"], form, column, _period(days, templates, settings), templates, settings, known
                    )
                    if fact is not None:
                        found.append(fact)
    return found


def clauses_content(templates: Mapping[str, Any]) -> dict[str, Any]:
    """Return the clauses of every form."""
    forms = [form for family in templates["facts"] for form in family["forms"]]
    return {form["id"]: {language: form[language] for language in LANGUAGES} for form in forms}


def _require_variants(templates: Mapping[str, Any]) -> None:
    ids = [form["id"] for family in templates["facts"] for form in family["forms"]]
    if len(set(ids)) < len(ids):
        raise ConfigError("two forms share a name", where=f"{_FILE}: facts", fix="name each form once")
    for family in templates["facts"]:
        for form in family["forms"]:
            for language in LANGUAGES:
                after = {entry[language] for entry in templates["introductions"]}
                variants = len(set(form[language])) * len(after)
                if variants < LEAST_VARIANTS:
                    raise ConfigError(
                        f"{form['id']} has {variants} variants in {language}, and needs {LEAST_VARIANTS}",
                        where=f"{_FILE}: {family['family']}",
                        fix="write more clauses or introductions",
                    )


def _fact(
    family: str,
    form: Mapping[str, Any],
    column: str,
    period: dict[str, str],
    templates: Mapping[str, Any],
    settings: Settings,
    known: Known,
) -> dict[str, Any] | None:
    """Return the fact of a form and a column, or None where the form does not tell it."""
    given = next((match for pattern in form["columns"] if (match := _match(pattern, column)) is not None), None)
    if given is None:
        return None
    if "base" in form and int(given["days"]) < DAYS_OF_MONTH:
        return None  # a busy week is no month with more transactions
    if "months" in given:
        period = _months(int(given["months"]))
    named = _named(given, period, form, templates, settings, known)
    if named is None:
        return None
    above = known.typical.get(column) if form.get("above_typical") else None
    return {
        "key": f"{form['id']}/{column}",
        "family": family,
        "form": form["id"],
        "measure": form.get("measure", "value"),
        "column": column,
        "base": form.get("base"),
        "factor": DAYS_OF_MONTH / int(given["days"]) if "base" in form else 1.0,
        "low": form.get("low", 0),
        "high": form.get("high"),
        "above": above,
        "needs": {name: _least(least, settings) for name, least in form.get("needs", {}).items()},
        "imputed": sorted({float(np.float32(value)) for value in known.imputed.get(column, ()) if np.isfinite(value)}),
        "never_for_products": [named.product] if named.product else [],
        "never_for_classes": form.get("never_for", []),
        "shown_as": form.get("shown_as", ""),
        "words": named.words,
        "categories": list(named.categories),
    }


def _least(least: float | str, settings: Settings) -> float:
    return float(settings.look_back_months if least == "look_back" else least)


def _match(pattern: str, column: str) -> dict[str, str] | None:
    """Return what a column gives for the placeholders of a name's pattern, or None where it is another."""
    parts = _PLACEHOLDER.split(pattern)
    text = "".join(
        re.escape(part) if at % 2 == 0 else f"(?P<{part}>{r'[0-9]+' if part in _NUMBERS else '[a-z0-9_]+'})"
        for at, part in enumerate(parts)
    )
    match = re.fullmatch(text, column)
    return match.groupdict() if match else None


def _named(
    given: Mapping[str, str],
    period: dict[str, str],
    form: Mapping[str, Any],
    templates: Mapping[str, Any],
    settings: Settings,
    known: Known,
) -> _Named | None:
    """Return what a column names, or None where it names what is never told."""
    words = {
        "period": period,
        "look_back": {"ko": _months(settings.look_back_months)["ko"], "en": f"{settings.look_back_months}-month"},
    }
    if "product" in given:
        product = next((entry for entry in settings.products if entry.code == given["product"]), None)
        if product is None or product.product_class in form.get("not_named", ()):
            return None
        return _Named({**words, "what": {"ko": product.name_ko, "en": product.name}}, product.code)
    if "l1" in given:
        return _branch(int(given["l1"]), words, templates, settings)
    if "rank" in given:
        return _leaf(int(given["rank"]), words, templates, settings, known)
    if "part" in given:
        part = templates["parts"].get(given["part"])
        return _Named({**words, "what": part}) if part else None
    return _Named(words)


def _branch(number: int, words: Any, templates: Mapping[str, Any], settings: Settings) -> _Named | None:
    """Return the top category of a number: the l1 codes are numbered in the order of their first appearance."""
    codes = list(dict.fromkeys(category.l1 for category in settings.merchant_categories))
    name = templates["categories"].get(codes[number]) if number < len(codes) else None
    if name is None:
        return None
    below = dict.fromkeys(category.l2 for category in settings.merchant_categories if category.l1 == codes[number])
    return _Named({**words, "what": name}, None, (codes[number], *below))


def _leaf(rank: int, words: Any, templates: Mapping[str, Any], settings: Settings, known: Known) -> _Named | None:
    """Return the category of a rank by train frequency, counted from 1."""
    code = known.ranked_codes[rank - 1] if 0 < rank <= len(known.ranked_codes) else None
    found = next((category for category in settings.merchant_categories if category.mcc == code), None)
    if found is None or code in templates["unnamed_codes"]:
        return None
    return _Named({**words, "what": {"ko": found.name_ko, "en": found.name.lower()}}, None, (found.l2, found.l1))


def _period(days: int | None, templates: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """Return how the days that a column looks back over are told; the whole look-back is told in months."""
    if days is None or days == look_back_days(settings):
        return _months(settings.look_back_months)
    told: dict[str, str] | None = templates["periods"].get(days)
    return told or {"ko": f"최근 {days}일", "en": f"the last {days} days"}


def _months(months: int) -> dict[str, str]:
    return {"ko": f"최근 {months}개월", "en": f"the last {months} months" if months > 1 else "the last month"}
