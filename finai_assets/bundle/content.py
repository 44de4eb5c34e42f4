"""The bundle's tables: products, ranking, rules, reason templates, and the feature contract, from config and registry.

Products and texts that serving may show are decided here alone, and refused if they break a rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import PRODUCT_TERMS, PRODUCTS
from finai_assets.bundle.facts import LANGUAGES, Known, clauses_content, facts_content
from finai_assets.features.registry import Column, Registry
from finai_assets.labels.task import Task, available
from finai_assets.settings import Settings, config_folders
from finai_resources.errors import BundleError, ConfigError

TEMPLATES_FILE, RULES_FILE = "reason_templates.yaml", "rules.yaml"
_CONDITIONS = {"age", "held_count", "holds_class", "holds_no_class", "segment", "asset_band", "columns"}
_LIMITS = ("minimum_age", "maximum_age", "minimum_asset_band")
_SPACE = re.compile(r"\s+")


def read_config(name: str) -> dict[str, Any]:
    """Read one of the two files that only the bundle uses, with what the outer folder of the configuration lays over it."""
    return config_folders().read(name)


def products_content(
    table: pa.Table, terms: pa.Table, settings: Settings, tasks: Sequence[Task]
) -> list[dict[str, Any]]:
    """Return the catalogue: the stored tables of products and terms, with codes, Korean names and acquisition sets.

    Raises
    ------
    BundleError
        A table was made from another catalogue.
    """
    rows = sorted(table.to_pylist(), key=lambda row: row["product_id"])
    wanted = [(i, product.name, settings.families.index(product.family)) for i, product in enumerate(settings.products)]
    if [(row["product_id"], row["name"], row["family"]) for row in rows] != wanted:
        raise BundleError(
            f"the stored product table ({len(rows)} products) is not the configured catalogue ({len(wanted)} products)",
            where=PRODUCTS,
            fix=f"materialise {PRODUCTS} again",
        )
    limits = {row["product_id"]: row for row in terms.to_pylist()}
    if sorted(limits) != [row["product_id"] for row in rows]:
        raise BundleError(
            f"there are terms of {len(limits)} products, the catalogue has {len(rows)}",
            where=PRODUCT_TERMS,
            fix=f"materialise {PRODUCT_TERMS} again",
        )
    asked = {task.acquires for task in available(tuple(tasks))}
    sets = {name: members for name, members in settings.acquisition_sets.items() if name in asked}
    return [
        {
            "product_id": row["product_id"],
            "code": product.code,
            "name": product.name,
            "name_ko": product.name_ko,
            "family": row["family"],
            "product_class": row["product_class"],
            "risk_grade": row["risk_grade"],
            "sets": [name for name, members in sets.items() if product.code in members],
            **{name: limits[row["product_id"]][name] for name in _LIMITS},
            "disclosures": limits[row["product_id"]]["disclosures"] or [],
            "benefits": limits[row["product_id"]]["benefits"] or [],
        }
        for row, product in zip(rows, settings.products, strict=True)
    ]


def ranking_content(shares: np.ndarray, settings: Settings) -> dict[str, Any]:
    """Return the inputs of ranking beside the catalogue.

    Raises
    ------
    BundleError
        The counts are of another catalogue.
    ConfigError
        A multiplier names no segment, or a boost no class or segment.
    """
    if len(shares) != len(settings.products):
        raise BundleError(
            f"{len(shares)} acquisition counts for {len(settings.products)} products",
            where="acquisition shares",
            fix="count over the same catalogue",
        )
    chosen = settings.recommend
    segments = set(settings.dataset.segments)
    if unknown := sorted(set(chosen.segment_multipliers) - segments):
        raise ConfigError(
            f"there is no segment {unknown[0]!r}",
            where="recommend.segment_multipliers",
            fix=f"one of {', '.join(settings.dataset.segments)}",
        )
    classes = {product.product_class for product in settings.products}
    for boost in chosen.rule_boosts:
        if unknown := sorted({*boost.classes} - classes | {*(boost.when.segment or ())} - segments):
            raise ConfigError(
                f"there is no class or segment {unknown[0]!r}",
                where=f"recommend.rule_boosts: {boost.id}",
                fix=f"one of {', '.join(sorted(classes | segments))}",
            )
    return {
        "acquisitions": [int(count) for count in shares],
        "smoothing": chosen.share_smoothing,
        "weights": chosen.task_weights.model_dump(),
        "segment_multipliers": {name: dict(factors) for name, factors in chosen.segment_multipliers.items()},
        "rule_boosts": [boost.declared() for boost in chosen.rule_boosts],
        "risk_penalties": {str(grade): penalty for grade, penalty in chosen.risk_penalties.items()},
        "fatigue": chosen.fatigue,
        "diversity": chosen.diversity.model_dump(),
        "held_products": chosen.held_products,
        "top_k": chosen.top_k,
        "attributions": chosen.attributions,
    }


def rules_content(config: Mapping[str, Any], registry: Registry, settings: Settings) -> dict[str, Any]:
    """Check the rules and return those that this data set can carry; the others are listed under ``absent`` with the reason.

    Raises
    ------
    ConfigError
        A condition, class or column does not exist, or no product is conservative.
    """
    conservative = config["conservative"]
    classes = {product.product_class for product in settings.products}
    lowest = conservative["risk_grade_at_least"]
    if not any(
        product.product_class in conservative["classes"]
        and (product.risk_grade is None or product.risk_grade >= lowest)
        for product in settings.products
    ):
        raise ConfigError("no product of the catalogue is conservative", where=RULES_FILE, fix="widen `conservative`")
    unavailable = {name: why for group in registry.groups for name, why in group.unavailable.items()}
    kept, absent = [], {}
    for rule in config["rules"]:
        where = f"{RULES_FILE}: {rule['id']}"
        if unknown := set(rule["when"]) - _CONDITIONS:
            raise ConfigError(f"unknown conditions {sorted(unknown)}", where=where, fix=f"one of {sorted(_CONDITIONS)}")
        if beyond := set(rule["offer"]["classes"]) - set(conservative["classes"]):
            raise ConfigError(
                f"{sorted(beyond)} are not conservative", where=where, fix="name conservative classes only"
            )
        bands = set(rule["when"].get("asset_band", ())) - set(settings.dataset.asset_bands)
        columns = set(rule["when"].get("columns", ()))
        if bands:
            absent[rule["id"]] = f"asset_band: the data set has no band {min(bands)!r}"
        elif gone := sorted(columns & set(unavailable)):
            absent[rule["id"]] = f"{gone[0]}: {unavailable[gone[0]]}"
        elif missing := sorted(columns - set(registry.names)):
            raise ConfigError(
                f"there is no column {missing[0]!r}", where=where, fix="`finai features list` shows the names"
            )
        else:
            kept.append(rule)
    weights = {name: float(weight) for name, weight in conservative["classes"].items() if name in classes}
    return {
        "conservative": {"classes": weights, "risk_grade_at_least": lowest},
        "rules": kept,
        "absent": absent,
    }


def rule_columns(rules: Mapping[str, Any]) -> set[str]:
    """Return the feature columns that the kept rules look at."""
    return {name for rule in rules["rules"] for name in rule["when"].get("columns", ())}


def contract_columns(
    registry: Registry,
    used: Iterable[str],
    templates: Mapping[str, Any],
    settings: Settings,
    facts: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return the columns of a request, in matrix order, each with the texts that may be shown.

    A column is displayable where one of the facts tells it.

    Raises
    ------
    BundleError
        A used column is not in the registry.
    """
    currency, told = settings.dataset.currency, {fact["column"] for fact in facts}
    return [
        _contract_column(column, templates, currency, displayable=column.name in told)
        for column in _used_columns(registry, used)
    ]


def told_facts(
    registry: Registry, used: Iterable[str], templates: Mapping[str, Any], settings: Settings, known: Known
) -> list[dict[str, Any]]:
    """Return the facts that may be told of the used columns (:func:`finai_assets.bundle.facts.facts_content`).

    Raises
    ------
    BundleError
        A used column is not in the registry.
    ConfigError
        A family tells a column of another concept, or has too few variants.
    """
    columns = {column.name: column for column in _used_columns(registry, used)}
    windows = {name: column.window_days for name, column in columns.items()}
    found = []
    for fact in facts_content(templates, windows, settings, known):
        column = columns[fact["column"]]
        if not is_displayable(column, templates):
            continue
        if (concept := concept_of(column, templates)["id"]) != fact["family"]:
            raise ConfigError(
                f"{fact['form']} tells {column.name}, which belongs to the concept {concept}",
                where=f"{TEMPLATES_FILE}: {fact['family']}",
                fix="a family tells the columns of the concept of its name",
            )
        found.append(fact)
    return found


def _used_columns(registry: Registry, used: Iterable[str]) -> list[Column]:
    wanted = set(used)
    if unknown := sorted(wanted - set(registry.names)):
        raise BundleError(
            f"{len(unknown)} columns of the students are not in the registry: {', '.join(unknown[:5])}",
            where="bundle contract",
            fix="distil the students again on the present features",
        )
    return [column for column in registry.columns if column.name in wanted]


def is_displayable(column: Column, templates: Mapping[str, Any]) -> bool:
    """Return whether a column's meaning may be told to a customer, were there a fact to tell it.

    Its concept may be told, it holds no personal attribute, and its description holds no forbidden word: a column is hidden
    unless all of this holds.
    """
    text = {"ko": column.description_ko, "en": column.description}
    clean = not any(forbidden_in(text[language], language, templates) for language in LANGUAGES)
    return bool(concept_of(column, templates)["displayable"] and not column.pii and clean)


def _contract_column(
    column: Column, templates: Mapping[str, Any], currency: str, *, displayable: bool
) -> dict[str, Any]:
    return {
        "name": column.name,
        "group": column.group,
        "kind": column.kind,
        "dtype": "float32",
        "unit": column.unit,
        "currency": currency if column.unit.startswith("KRW") else None,
        "missing": column.missing,
        "nullable": column.missing.startswith("nan"),
        "low": None if column.low is None else float(column.low),
        "high": None if column.high is None else float(column.high),
        "description": column.description,
        "description_ko": column.description_ko,
        "concept": concept_of(column, templates)["id"],
        "displayable": displayable,
    }


def concept_of(column: Column, templates: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the first concept that names the column; the last one names all."""
    address = f"{column.group}/{column.name}"
    for concept in templates["concepts"]:
        if any(fnmatchcase(address, pattern) for pattern in concept["columns"]):
            found: Mapping[str, Any] = concept
            return found
    raise ConfigError(f"no concept names {address}", where=TEMPLATES_FILE, fix='end `concepts` with columns: ["*/*"]')


def forbidden_in(text: str, language: str, templates: Mapping[str, Any]) -> list[str]:
    """Return the forbidden words of a text, compared without spaces and without case."""
    bare = _SPACE.sub("", text).casefold()
    return [word for word in templates["forbidden"][language] if _SPACE.sub("", word).casefold() in bare]


def templates_content(
    templates: Mapping[str, Any], settings: Settings, facts: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the templates of the renderer, with the facts that the contract can tell and the data set's currency.

    Raises
    ------
    ConfigError
        The currency has no written form.
    """
    currency = templates["currencies"].get(settings.dataset.currency)
    if currency is None:
        raise ConfigError(
            f"the currency {settings.dataset.currency} has no written form",
            where=f"{TEMPLATES_FILE}: currencies",
            fix=f"add it beside {', '.join(templates['currencies'])}",
        )
    return {
        **{name: templates[name] for name in ("version", "introductions", "closings", "benefits", "neutral", "terms")},
        "clauses": clauses_content(templates),
        "concepts": {
            entry["id"]: {language: entry[language] for language in LANGUAGES} for entry in templates["concepts"]
        },
        "facts": list(facts),
        "currency": currency,
    }
