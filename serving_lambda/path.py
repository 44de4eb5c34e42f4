"""The path from scores to what is shown, as small steps that the handler and the batch job take in the same order.

stops -> candidates -> filters -> rank -> diversify -> cut to k -> attribute (-> reason, in :mod:`serving_lambda.answer`). Whoever
may be offered nothing is not scored, nothing is cut before it is filtered, and only what is shown is attributed. Nothing to offer
is an answer, with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from serving_lambda.attribution import combined, share_part, task_part, tells_apart
from serving_lambda.bundle import Bundle
from serving_lambda.contract import Customer
from serving_lambda.diversify import diversify
from serving_lambda.errors import ServingError
from serving_lambda.facts import Evidence
from serving_lambda.filters import NOTHING_SUITABLE, Removed, apply, stop
from serving_lambda.lightgbm_c import Model
from serving_lambda.linear import LinearModel
from serving_lambda.offering import Occasion
from serving_lambda.ports import KillSwitch
from serving_lambda.ranking import Ranked, Term
from serving_lambda.rules import Facts
from serving_lambda.scorer import PRODUCT_MODEL, RULES_LAYER, Scored, Student, score_row

STOPPED = "KILL_SWITCH"
Failures = tuple[tuple[str, str], ...]  # task and code


class Choice(NamedTuple):
    """A product to show, and how it came there: ranked by the terms of models, or by rules."""

    product_id: int
    score: float
    layer: int
    ranked: Ranked | None
    rules: tuple[str, ...]

    @property
    def explained_by(self) -> Term | None:
        """Return the term that explains the product, or None where the rules chose it."""
        return self.ranked.explaining if self.ranked else None


class Answered(NamedTuple):
    """What the path found for one customer; ``evidence`` goes with ``choices``, ``nothing`` is the code where there are none."""

    scored: Scored
    removed: list[Removed]
    choices: list[Choice]
    evidence: list[list[Evidence]]
    nothing: str | None = None


class WithinContract(Mapping[str, float]):
    """The columns of a customer that lie within their contract, looked up when a rule asks."""

    def __init__(self, bundle: Bundle, customer: Customer) -> None:
        self._place, self._row = bundle.place, customer.row
        self._flagged = {flag.column for flag in customer.flags}

    def __getitem__(self, name: str) -> float:
        if name in self._flagged:
            raise KeyError(name)
        return self._row[self._place[name]]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._place if name not in self._flagged)

    def __len__(self) -> int:
        return len(self._place) - len(self._flagged)


def answered(
    bundle: Bundle, customer: Customer, k: int, occasion: Occasion, switch: KillSwitch | None = None
) -> Answered:
    """Take the whole path for one customer.

    A student that reads a column outside the contract is not asked, and one that cannot explain what it scored makes way for the
    layer below it, so that a shown score and its reason come from one model.
    """
    if stopped := stop(customer, occasion, bundle.offering):
        return Answered(Scored({}, {}), [], [], [], stopped)
    students, product, gone = permitted(bundle, switch)
    flagged = frozenset(flag.column for flag in customer.flags)
    while True:
        scored = score_row(students, customer.row, product=product, flagged=flagged)
        scored = scored._replace(failed=tuple(dict.fromkeys((*gone, *scored.failed))))
        choices, removed = choose(bundle, scored, customer, k, occasion)
        evidence, unexplained = explained(scored, choices, customer)
        if not unexplained:
            return Answered(scored, removed, choices, evidence, None if choices else NOTHING_SUITABLE)
        gone = (*scored.failed, *unexplained.items())
        students = {
            task: below
            for task, student in scored.students.items()
            if (below := student.fallback if task in unexplained else student) is not None
        }
        product = scored.product
        if product is not None and PRODUCT_MODEL in unexplained:
            product = product.fallback


def permitted(bundle: Bundle, switch: KillSwitch | None) -> tuple[Mapping[str, Student], Student | None, Failures]:
    """Return the models that the switch lets answer, and a code for each that it stops."""
    if switch is None:
        return bundle.students, bundle.product_model, ()
    stopped = [task for task in (*bundle.students, PRODUCT_MODEL) if switch.stops(task)]
    students = {task: student for task, student in bundle.students.items() if task not in stopped}
    product = None if PRODUCT_MODEL in stopped else bundle.product_model
    return students, product, tuple((task, STOPPED) for task in stopped)


def choose(
    bundle: Bundle, scored: Scored, customer: Customer, k: int, occasion: Occasion
) -> tuple[list[Choice], list[Removed]]:
    """Return at most ``k`` products, and what was filtered.

    Products come first that models rank; where these don't suffice, those of the rules.
    """
    ranking = bundle.ranking
    offered, removed = apply(bundle.filters, ranking.products, customer, occasion, bundle.offering)
    ranked = ranking.rank(scored, customer, offered)
    ordered = diversify(ranked, ranking.products, ranking.relevance, ranking.similarity)
    choices = [
        Choice(entry.product_id, entry.score, layer_of(scored, entry), entry, ()) for entry in islice(ordered, k)
    ]
    if len(choices) < k:
        skip = {entry.product_id for entry in removed} | {choice.product_id for choice in choices}
        choices += by_rules(bundle, customer, skip)[: k - len(choices)]
    return choices, removed


def layer_of(scored: Scored, ranked: Ranked) -> int:
    """Return the lowest layer of all that a product's terms used, the product model included."""
    return max(scored.layer(PRODUCT_MODEL), *(scored.layer(term.task) for term in ranked.terms))


def by_rules(bundle: Bundle, customer: Customer, skip: set[int]) -> list[Choice]:
    """Return what the rules offer, best first, without some products."""
    standing, values = customer.standing, WithinContract(bundle, customer)
    facts = Facts(customer.age, customer.segment, customer.held, standing.asset_band, values)
    found = bundle.rules.rank(facts, skip)
    return [Choice(entry.product_id, entry.score, RULES_LAYER, None, entry.rules) for entry in found]


def explained(
    scored: Scored, choices: Sequence[Choice], customer: Customer
) -> tuple[list[list[Evidence]], dict[str, str]]:
    """Return the evidence of each choice, and the code of each task (or the product model) that cannot be explained.

    A model's output is explained once, and only where a shown product needs it.
    """
    tasks: dict[str, Sequence[float]] = {}
    outputs: dict[int, Sequence[float]] = {}
    failed: dict[str, str] = {}
    evidence: list[list[Evidence]] = []
    for choice in choices:
        found: list[Evidence] = []
        if choice.ranked is not None:
            term = choice.ranked.explaining
            asked = term.task
            try:
                first = None
                if tells_apart(term.kind, by_model=scored.product is not None):
                    first = _part_of_task(scored, term, customer.row, tasks)
                asked = PRODUCT_MODEL
                second = _part_of_share(scored, choice.ranked, customer.row, outputs)
            except ServingError as error:
                failed[asked] = error.code
            else:
                found = combined(customer.row, first, second)
        evidence.append(found)
    return evidence, failed


def _part_of_task(
    scored: Scored, term: Term, row: Sequence[float], known: dict[str, Sequence[float]]
) -> tuple[Student, list[float]]:
    student = scored.students[term.task]
    if term.task not in known:
        model = student.ready()
        assert isinstance(model, Model)  # noqa: S101 - a task's model is trees
        known[term.task] = model.contributions_row(student.gather(row))
    return student, task_part(student, known[term.task], scored.scores[term.task], term.output, kind=term.kind)


def _part_of_share(
    scored: Scored, ranked: Ranked, row: Sequence[float], known: dict[int, Sequence[float]]
) -> tuple[Student, list[float]] | None:
    if scored.product is None:
        return None
    model = scored.product.ready()
    assert isinstance(model, LinearModel)  # noqa: S101 - its file is read as one
    inputs = model.inputs(scored.product.gather(row))
    for member in ranked.explaining_shares:
        if member not in known:
            known[member] = model.contributions_of(member, inputs)
    return scored.product, share_part(known, ranked.product_id, ranked.explaining_shares)
