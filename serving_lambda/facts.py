"""Facts: statements about the customer that can be told with figures of the contract row, and the rule that chooses among them.

The build resolves the fact families of ``configs/reason_templates.yaml`` against the bundle's contract, so that a fact here names
its columns by place. The rule, for one product of one customer:

1. A fact can be told if its figures lie within their limits, its column speaks for the product (a positive contribution), and it
   may be told of that product. Of a family the first form that has such a fact is told, by the strongest column.
2. Families are ordered by the sum of the positive contributions of their columns that a fact can tell; at most two are told.
3. One of the two names a merchant category where such a fact can be told.

``carried`` is that sum of the told families over all positive contributions, those of columns that no fact can tell included.
The batch job takes the same steps on arrays (:mod:`finai_assets.recommend.told`), with the additions in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from serving_lambda.bundle import ContractColumn
    from serving_lambda.catalogue import Product

FACTS_TOLD = 2
RISE, VALUE = "rise", "value"  # a measure is one of these, or "fall"
_UNBOUNDED = float("inf")


class Evidence(NamedTuple):
    """One column's part in what moved a product: its place in the contract, its value, and its contribution.

    ``contribution`` is the sum of ``of_task`` and ``of_share`` (:mod:`serving_lambda.attribution`).
    """

    position: int
    value: float
    contribution: float
    of_task: float = 0.0
    of_share: float = 0.0


class Fact(NamedTuple):
    """A statement that a contract can carry.

    Parameters
    ----------
    key
        Names the fact within the bundle: its form and its column.
    family
        Id of its family; ``form`` chooses the clauses that tell it.
    measure
        ``value``: the column's value. ``rise``, ``fall``: how far the column, times ``factor``, lies above or below
        ``base``, as a share of it.
    position, base
        Places in the contract; ``base`` is -1 where the measure has none.
    low, high
        The limits of the measure, inclusive; ``above`` is an exclusive lower limit of the column's value.
    needs
        Places of further columns and the least that each must be.
    imputed
        Values that stand for a missing one and are therefore never told.
    never_for
        Ids of the products that the fact is never told for.
    shown_as
        How the figure is written; empty where the fact has none.
    words
        Slot to its text by language.
    categories
        Merchant categories that a benefit may meet it by; empty where the fact names none.
    """

    key: str
    family: str
    form: str
    measure: str
    position: int
    base: int
    factor: float
    low: float
    high: float
    above: float
    needs: tuple[tuple[int, float], ...]
    imputed: tuple[float, ...]
    never_for: frozenset[int]
    shown_as: str
    words: Mapping[str, Mapping[str, str]]
    categories: tuple[str, ...]

    def figure(self, value: float, base: float) -> float:
        """Return the measure of a column's value; NaN where it has none."""
        if self.measure == VALUE:
            return value
        if not base > 0.0:
            return float("nan")
        change = value * self.factor / base - 1.0
        return change if self.measure == RISE else -change

    def holds(self, row: Sequence[float]) -> bool:
        """Tell whether the figures of a contract row let the fact be told."""
        value = row[self.position]
        figure = self.figure(value, row[self.base] if self.base >= 0 else 0.0)
        return (
            self.low <= figure <= self.high
            and value > self.above
            and value not in self.imputed
            and all(row[place] >= least for place, least in self.needs)
        )


class Told(NamedTuple):
    """A fact that is told: its figure, the values that it comes from, and its family's positive contributions.

    ``base`` is NaN where the fact compares with nothing.
    """

    key: str
    figure: float
    value: float
    base: float
    contribution: float


class Chosen(NamedTuple):
    """What is told of a product's evidence, the share of the positive evidence that it carries, and what can be told at all.

    ``tellable`` holds the places of the columns that speak for the product and that a fact can tell.
    """

    told: tuple[Told, ...]
    carried: float
    tellable: frozenset[int]


class Teller:
    """The facts of a bundle, and the choice among them.

    Parameters
    ----------
    facts : sequence of mapping
        As :func:`finai_assets.bundle.facts.facts_content` writes them: families and forms in the order of preference, the columns
        of a form in that of the contract.
    columns : sequence of ContractColumn
    products : sequence of Product
    """

    def __init__(
        self, facts: Sequence[Mapping[str, Any]], columns: Sequence[ContractColumn], products: Sequence[Product]
    ) -> None:
        place = {column.name: index for index, column in enumerate(columns)}
        self.facts = tuple(_fact(entry, place, products) for entry in facts)
        self.by_key = {fact.key: fact for fact in self.facts}
        self.families = tuple(dict.fromkeys(fact.family for fact in self.facts))
        self.naming = frozenset(fact.family for fact in self.facts if fact.categories)
        self.form_rank = {form: rank for rank, form in enumerate(dict.fromkeys(fact.form for fact in self.facts))}
        self._at: dict[int, list[Fact]] = {}
        for fact in self.facts:
            self._at.setdefault(fact.position, []).append(fact)

    def choose(self, evidence: Iterable[Evidence], row: Sequence[float], product_id: int) -> Chosen:
        """Return what is told of a product.

        Parameters
        ----------
        evidence
            Every column that the explaining models read, in contract order; empty where no model speaks.
        row
            The contract row.
        """
        totals: dict[str, float] = {}
        best: dict[str, tuple[int, float, Fact]] = {}
        tellable, everything = set(), 0.0
        for position, _, contribution, _, _ in evidence:
            if not contribution > 0.0:
                continue
            everything += contribution
            for fact in self._at.get(position, ()):
                if product_id in fact.never_for or not fact.holds(row):
                    continue
                family, rank = fact.family, self.form_rank[fact.form]
                if position not in tellable:
                    tellable.add(position)
                    totals[family] = totals.get(family, 0.0) + contribution
                found = best.get(family)
                if found is None or (rank, -contribution) < found[:2]:
                    best[family] = (rank, -contribution, fact)
        ranked = sorted((family for family in self.families if family in best), key=lambda family: -totals[family])
        chosen = two_of(ranked, self.naming)
        carried = 0.0
        for family in chosen:
            carried += totals[family]
        told = tuple(told_as(best[family][2], row, totals[family]) for family in chosen)
        return Chosen(told, carried / everything if chosen else 0.0, frozenset(tellable))


def two_of(order: Sequence[str], naming: Iterable[str]) -> list[str]:
    """Return the families to tell of those that can be told, best first, one of them naming a category where one does."""
    chosen = list(order[:FACTS_TOLD])
    names = [family for family in order if family in naming]
    if names and not any(family in naming for family in chosen):
        chosen[-1] = names[0]
    return chosen


def told_as(fact: Fact, row: Sequence[float], contribution: float) -> Told:
    """Return a fact with its figures of a contract row."""
    value, base = row[fact.position], row[fact.base] if fact.base >= 0 else float("nan")
    return Told(fact.key, fact.figure(value, base), value, base, contribution)


def _fact(entry: Mapping[str, Any], place: Mapping[str, int], products: Sequence[Product]) -> Fact:
    codes, classes = set(entry["never_for_products"]), set(entry["never_for_classes"])
    return Fact(
        key=entry["key"],
        family=entry["family"],
        form=entry["form"],
        measure=entry["measure"],
        position=place[entry["column"]],
        base=place[entry["base"]] if entry["base"] else -1,
        factor=float(entry["factor"]),
        low=float(entry["low"]),
        high=_UNBOUNDED if entry["high"] is None else float(entry["high"]),
        above=-_UNBOUNDED if entry["above"] is None else float(entry["above"]),
        needs=tuple((place[name], float(least)) for name, least in entry["needs"].items()),
        imputed=tuple(float(value) for value in entry["imputed"]),
        never_for=frozenset(
            product.product_id for product in products if product.code in codes or product.product_class in classes
        ),
        shown_as=entry["shown_as"],
        words=entry["words"],
        categories=tuple(entry["categories"]),
    )
