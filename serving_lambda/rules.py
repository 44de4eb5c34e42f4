"""Layer 3: what is offered when no model can be trusted. Conservative products only, from ``rules.json``.

A rule looks at the customer's age band and asset band, at how many products they hold and of which class, and at single feature
columns that are within their contract (what the transactions tell); it adds weight to the conservative products that it names.
Every conservative product starts with the weight of its class, so the list is never empty unless the filters remove them all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from serving_lambda.catalogue import Product


class RuleScore(NamedTuple):
    """A product with its points and the names of what gave them: ``base`` and the rules that matched."""

    product_id: int
    score: float
    rules: tuple[str, ...]


class Facts(NamedTuple):
    """What the rules may look at. ``values`` holds only columns that are present and within their contract."""

    age: int | None
    segment: str | None
    held: Collection[int]
    asset_band: str | None
    values: Mapping[str, float]


class Rules:
    """The rules of a bundle.

    Parameters
    ----------
    rules : mapping
        ``conservative`` (``classes``: class to base weight, ``risk_grade_at_least``) and ``rules``: each ``id``, ``when``
        (any of ``age``, ``held_count``, ``holds_class``, ``holds_no_class``, ``segment``, ``asset_band``, ``columns``), ``offer``
        (``classes``) and ``weight``.
    products : sequence of Product
    """

    def __init__(self, rules: Mapping[str, Any], products: Sequence[Product]) -> None:
        conservative = rules["conservative"]
        self._base: dict[str, float] = dict(conservative["classes"])
        lowest = conservative["risk_grade_at_least"]
        self._rules: Sequence[Mapping[str, Any]] = rules["rules"]
        self._class_of = {product.product_id: product.product_class for product in products}
        # Grade 6 is the safest. A product without a grade is one that carries no investment risk (a card, a deposit).
        self.conservative = tuple(
            product
            for product in products
            if product.product_class in self._base and (product.risk_grade is None or product.risk_grade >= lowest)
        )

    def rank(self, facts: Facts, skip: Collection[int]) -> list[RuleScore]:
        """Return the conservative products that are not skipped, best first, ties by product id."""
        matched = [rule for rule in self._rules if matches(rule["when"], facts, self._class_of)]
        scored = []
        for product in self.conservative:
            if product.product_id in skip:
                continue
            score, names = self._base[product.product_class], ["base"]
            for rule in matched:
                if product.product_class in rule["offer"]["classes"]:
                    score += rule["weight"]
                    names.append(rule["id"])
            scored.append(RuleScore(product.product_id, score, tuple(names)))
        scored.sort(key=lambda entry: (-entry.score, entry.product_id))
        return scored


def matches(when: Mapping[str, Any], facts: Facts, class_of: Mapping[int, str]) -> bool:
    """Tell whether every condition of a rule holds; one about something unknown does not.

    Parameters
    ----------
    class_of
        The class of each product, by id.
    """
    classes = {class_of[product] for product in facts.held if product in class_of}
    for name, wanted in when.items():
        if name == "age":
            holds = _within(wanted, facts.age)
        elif name == "held_count":
            holds = _within(wanted, len(facts.held))
        elif name == "holds_class":
            holds = wanted in classes
        elif name == "holds_no_class":
            holds = wanted not in classes
        elif name == "segment":
            holds = facts.segment in wanted
        elif name == "asset_band":
            holds = facts.asset_band in wanted
        else:  # columns; the build admits no other name
            holds = all(_within(span, facts.values.get(column)) for column, span in wanted.items())
        if not holds:
            return False
    return True


def _within(span: Sequence[float | None], value: float | None) -> bool:
    """Tell whether ``span[0] <= value < span[1]``; an open end is null."""
    if value is None or value != value:  # noqa: PLR0124 -- NaN is the one value that differs from itself
        return False
    low, high = span
    return (low is None or value >= low) and (high is None or value < high)
