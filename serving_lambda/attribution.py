"""What moved a shown product: the exact contributions to both parts of its largest term, in units of log(term).

A term is a constant times P(task) * share(p | S). Its logarithm changes with the raw scores of the task's student (z) and of the
product model (f) as

``d log(term) = d log P + d log share``

``d log P     = a (1 - P) dz``                                          of a binary task; a is Platt's slope, else 1
``d log P_c   = (1 / T) (dz_c - sum over classes r of P_r dz_r)``       of a class; T is the temperature, else 1
``d log (1 - P_0) = -P_0 / (1 - P_0) d log P_0``                        of any acquisition, class 0 being none
``d log share = df_p - sum over open r in S of share_r df_r``

Each is linear in raw outputs; TreeSHAP values of trees and the summands of a linear model are exact and linear in an output, so
the same combination of the contributions, base
values included, adds up exactly to the same combination of the raw outputs. At the customer's own P and shares it is the
linearisation of log(term). An isotonic calibrator has no slope that would mean anything at a point (it is flat, or steep), and
counts as slope 1 on the logit scale. Where the shares are train counts, the second part is absent.

Of any acquisition the first part is the same for all products of a customer: it says how likely an acquisition is, not which. So
it is left out wherever a model gives the shares (:func:`tells_apart`), and no tree has to be explained for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from serving_lambda.catalogue import ANY
from serving_lambda.facts import Evidence
from serving_lambda.scorer import Student

LEAST = 1e-9  # of a probability in a denominator


def slope(student: Student) -> float:
    """Return how fast the logit (or the margins) that a calibrator gives move with the raw scores."""
    if student.calibrator["type"] == "platt":
        return float(student.calibrator["a"])
    if student.calibrator["type"] == "temperature":
        return 1.0 / float(student.calibrator["temperature"])
    return 1.0


def odds(probability: float) -> float:
    """Return p / (1 - p), bounded where p is 1."""
    return probability / max(1.0 - probability, LEAST)


def contrast(own: Sequence[float], others: Sequence[Sequence[float]], weights: Sequence[float]) -> list[float]:
    """Return one output's values less the weighted mean of some outputs', column by column."""
    mean = [0.0] * len(own)
    for weight, other in zip(weights, others, strict=True):
        mean = [sofar + weight * value for sofar, value in zip(mean, other, strict=True)]
    return [value - average for value, average in zip(own, mean, strict=True)]


def task_part(
    student: Student, contributions: Sequence[float], prediction: Sequence[float], output: int, *, kind: str = ""
) -> list[float]:
    """Return a task's part in log(term) of each of its student's columns, and of the base value: [columns + 1].

    Parameters
    ----------
    contributions
        TreeSHAP values of all outputs, [classes * (columns + 1)].
    prediction
        The student's finished prediction.
    output
        The class, else 0.
    kind
        Of the term; of any acquisition the output is the class that it excludes.
    """
    width, factor = len(student.columns) + 1, slope(student)
    if kind == ANY:
        factor *= -odds(prediction[output])
    if student.classes == 1:
        factor *= 1.0 - prediction[0]
        return [factor * value for value in contributions]
    outputs = [contributions[at : at + width] for at in range(0, student.classes * width, width)]
    return [factor * value for value in contrast(outputs[output], outputs, prediction)]


def share_part(
    contributions: Mapping[int, Sequence[float]], product_id: int, shares: Mapping[int, float]
) -> list[float]:
    """Return the choice model's part in log(term) of each of its columns, and of the base value: [columns + 1].

    Parameters
    ----------
    contributions
        What each column adds to the margin of each open member of the choice set, [columns + 1], by product id.
    shares
        The share of each open member.
    """
    others = [contributions[member] for member in shares]
    return contrast(contributions[product_id], others, list(shares.values()))


def tells_apart(kind: str, *, by_model: bool) -> bool:
    """Return whether a term's probability has a part in what moved a product.

    Parameters
    ----------
    kind
        Of the term.
    by_model
        Whether a model of the customer gives the shares; where they are train counts, the probability is all that a customer's
        values moved.
    """
    return kind != ANY or not by_model


def combined(
    row: Sequence[float],
    task: tuple[Student, Sequence[float]] | None,
    share: tuple[Student, Sequence[float]] | None,
) -> list[Evidence]:
    """Return every column's part in what moved a product, in contract order.

    Parameters
    ----------
    row
        The contract row.
    task, share
        A student and its part, base value last; ``task`` is None where it tells no products apart, ``share`` where the shares
        are train counts.
    """
    of_task = dict(zip(task[0].positions, task[1], strict=False)) if task else {}  # the base value belongs to no column
    of_share = dict(zip(share[0].positions, share[1], strict=False)) if share else {}
    evidence = []
    for position in sorted({*of_task, *of_share}):
        first, second = of_task.get(position, 0.0), of_share.get(position, 0.0)
        evidence.append(Evidence(position, row[position], first + second, first, second))
    return evidence


def strongest(evidence: Sequence[Evidence], count: int) -> list[Evidence]:
    """Return the largest contributions by size, ties in column order; zeros are left out."""
    ordered = sorted(evidence, key=lambda entry: -abs(entry.contribution))
    return [entry for entry in ordered[:count] if entry.contribution != 0.0]
