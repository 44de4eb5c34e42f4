"""The products that a bundle knows, and the choice sets that they stand in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

NEXT_BEST_ACTION = "nba_primary"
ACQUISITION_PREFIX = "will_acquire_"
ANY = "any_acquisition"
WEIGHT_KEYS = (ANY, NEXT_BEST_ACTION, "will_acquire")  # what the configuration names the kinds of terms by


class Benefit(NamedTuple):
    """What a product offers for payments in a merchant category (an l2 or l1 code of the merchant tree)."""

    category: str
    ko: str
    en: str


class Product(NamedTuple):
    """One product of the catalogue; an age, a band or a grade that is None sets no limit.

    ``maximum_age`` is the last age at which the product may be opened.
    """

    product_id: int
    code: str
    name: str
    name_ko: str
    family: int
    product_class: str
    risk_grade: int | None
    sets: tuple[str, ...]
    minimum_age: int | None
    maximum_age: int | None
    minimum_asset_band: str | None
    disclosures: tuple[str, ...]
    benefits: tuple[Benefit, ...]


class Source(NamedTuple):
    """What may give a product a term: a task's output, and the choice set whose share it is multiplied with.

    Parameters
    ----------
    output
        The class of the task's prediction, 0 where it has one output. Of :data:`ANY` it is class 0, "nothing acquired", and the
        term's probability is that of everything else.
    kind
        One of :data:`WEIGHT_KEYS`.
    members
        Ids of all products of the choice set, ascending.
    """

    task: str
    output: int
    kind: str
    members: tuple[int, ...]


def products_of(entries: Sequence[Mapping[str, Any]]) -> tuple[Product, ...]:
    """Return the products of a bundle's file, whose ids are dense from 0."""
    return tuple(
        Product(
            **{
                **entry,
                "sets": tuple(entry["sets"]),
                "disclosures": tuple(entry["disclosures"]),
                "benefits": tuple(Benefit(**benefit) for benefit in entry["benefits"]),
            }
        )
        for entry in entries
    )


def sources_of(products: Sequence[Product], weights: Mapping[str, float]) -> tuple[tuple[Source, ...], ...]:
    """Return each product's sources by id: any acquisition, its family in the next best action, its acquisition sets.

    Kinds whose weight is 0 are left out: their tasks are not asked.
    """
    families: dict[int, list[int]] = {}
    sets: dict[str, list[int]] = {}
    for product in products:
        families.setdefault(product.family, []).append(product.product_id)
        for name in product.sets:
            sets.setdefault(name, []).append(product.product_id)
    everything = tuple(product.product_id for product in products)
    found = (
        (
            Source(NEXT_BEST_ACTION, 0, WEIGHT_KEYS[0], everything),
            # class 0 of the next best action is "nothing acquired"
            Source(NEXT_BEST_ACTION, 1 + product.family, WEIGHT_KEYS[1], tuple(families[product.family])),
            *(Source(ACQUISITION_PREFIX + name, 0, WEIGHT_KEYS[2], tuple(sets[name])) for name in product.sets),
        )
        for product in products
    )
    return tuple(tuple(source for source in sources if weights[source.kind] > 0.0) for sources in found)
