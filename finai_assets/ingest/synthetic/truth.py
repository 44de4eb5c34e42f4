"""The true conditional law of each label, given the full state at the cutoff: the ceiling above any model.

Everything about products, segments and the next category has a closed form. The most frequent category of a month and the
number of distinct ones have none: they are simulated, with their standard error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from finai_assets.ingest.synthetic.law import Dynamics, Law, SpendingLaw
from finai_assets.ingest.synthetic.population import Population
from finai_assets.ingest.synthetic.record import Record
from finai_assets.ingest.synthetic.spending import mixture, next_leaf, share_before_bill
from finai_assets.labels.derive import CHURN_SHARE
from finai_assets.labels.windows import HISTORY_MONTHS
from finai_assets.settings import Settings
from finai_resources.errors import ConfigError


@dataclass(frozen=True, slots=True)
class MonthTruth:
    """Truths of one block and month, for the customers at ``rows``.

    ``values`` maps a task to float32 [rows] (probability or expectation; NaN where the label can't be defined) or
    [rows, classes]; ``squared_error`` maps a simulated task to the sum over rows of its squared standard error.
    """

    rows: np.ndarray
    values: dict[str, np.ndarray]
    squared_error: dict[str, float]


def month_truth(
    rng: np.random.Generator, month: int, people: Population, record: Record, law: Law, settings: Settings, draws: int
) -> MonthTruth:
    """Return the truths of the customers who have a snapshot in a month.

    Parameters
    ----------
    rng : Generator
        Used by the two simulated truths alone.
    month : int
        Position of the snapshot month in the record; the label window is the month after it.
    draws : int
        Simulated label windows per customer.

    Raises
    ------
    ConfigError
        The horizon is not one month: the closed forms hold for one.
    """
    if settings.horizon_months != 1:
        raise ConfigError(
            f"horizon_months is {settings.horizon_months}",
            where="pipeline.yaml: horizon_months",
            fix="set it to 1: the synthetic truth is that of the next month",
        )
    rows = np.flatnonzero(record.present[:, month])
    held = record.held[rows, month].astype(bool)
    flip, stay = record.flip[rows, month], 1.0 - record.depart[rows, month]
    values = _product_truths(held, flip, stay, settings)
    values["churn_signal"] = _churn(rows, month, record, held, flip, stay)
    values["segment_prediction"] = _segments(rows, month, record, len(settings.dataset.segments))
    first = np.zeros((len(rows), len(law.spending.amount)))
    _first_leaf(rows, month, people, record, law.spending, law.dynamics, first)
    values["next_mcc"] = first
    shift, distinct, spread = (np.full(len(rows), np.nan) for _ in range(3))
    _simulate_windows(rng, rows, month, people, record, law.spending, law.dynamics, draws, shift, distinct, spread)
    values["top_mcc_shift"] = shift
    before = record.distinct[rows, month]
    alive = stay * _any_payment(rows, month, people, record)
    values["mcc_diversity_trend"] = (alive * distinct - before) / np.maximum(1, before)
    errors = {
        "top_mcc_shift": float(np.nansum(shift * (1 - shift) / draws)),
        "mcc_diversity_trend": float(np.sum((alive * spread / np.maximum(1, before)) ** 2 / draws)),
    }
    return MonthTruth(rows, {name: array.astype(np.float32) for name, array in values.items()}, errors)


def _product_truths(held: np.ndarray, flip: np.ndarray, stay: np.ndarray, settings: Settings) -> dict[str, np.ndarray]:
    opens = np.where(held, 0.0, flip)
    none_before = np.cumprod(1.0 - opens, axis=1)
    values = {}
    for name, codes in settings.acquisition_sets.items():
        members = [settings.product_ids[code] for code in codes]
        values[f"will_acquire_{name}"] = stay * (1.0 - np.prod(1.0 - opens[:, members], axis=1))
    # The first product acquired is the lowest id: none of the lower ones may be.
    first = stay[:, None] * opens * np.hstack([np.ones((len(held), 1)), none_before[:, :-1]])
    families = np.zeros((len(held), len(settings.families) + 1))
    for position, product in enumerate(settings.products):
        families[:, 1 + settings.families.index(product.family)] += first[:, position]
    families[:, 0] = 1.0 - families[:, 1:].sum(axis=1)
    values["nba_primary"] = families
    values["cross_sell_count"] = stay * opens.sum(axis=1)
    # Jaccard = kept / (held + acquired); kept and acquired are independent.
    acquired = poisson_binomial(opens)
    number = held.sum(axis=1)
    union = np.maximum(1, number[:, None] + np.arange(acquired.shape[1]))
    kept = np.where(held, 1.0 - flip, 0.0).sum(axis=1)
    values["product_stability"] = stay * kept * (acquired / union).sum(axis=1)
    return values


def poisson_binomial(probability: np.ndarray) -> np.ndarray:
    """Return the law of the number of successes in independent trials.

    Parameters
    ----------
    probability : float64 [n, trials]

    Returns
    -------
    float64 [n, trials + 1]
    """
    rows, trials = probability.shape
    law = np.zeros((rows, trials + 1))
    law[:, 0] = 1.0
    for trial in range(trials):
        p = probability[:, trial, None]
        law[:, 1 : trial + 2] = law[:, 1 : trial + 2] * (1.0 - p) + law[:, : trial + 1] * p
        law[:, :1] *= 1.0 - p
    return law


def _churn(
    rows: np.ndarray, month: int, record: Record, held: np.ndarray, flip: np.ndarray, stay: np.ndarray
) -> np.ndarray:
    window = slice(max(0, month - HISTORY_MONTHS + 1), month + 1)
    months = record.present[rows, window].sum(axis=1)
    products = record.held[rows, window].sum(axis=(1, 2), dtype=np.int64)
    after = poisson_binomial(np.where(held, 1.0 - flip, flip))
    share, whole = CHURN_SHARE
    few = whole * np.arange(after.shape[1])[None, :] * months[:, None] < share * products[:, None]
    probability = (1.0 - stay) + stay * (after * few).sum(axis=1)
    return np.where(products > 0, probability, np.nan)


def _segments(rows: np.ndarray, month: int, record: Record, segments: int) -> np.ndarray:
    law = np.zeros((len(rows), segments + 2))  # one more on either side, never reached
    place, up, down = record.segment[rows, month] + 1, record.up[rows, month], record.down[rows, month]
    index = np.arange(len(rows))
    law[index, place] = 1.0 - up - down
    law[index, place + 1] += up
    law[index, place - 1] += down
    return law[:, 1:-1]


def _any_payment(rows: np.ndarray, month: int, people: Population, record: Record) -> np.ndarray:
    """Return the probability of at least one payment in the month after, given that the customer stays."""
    bill = (people.bill_day[rows] >= 0).any(axis=1) & record.billed[rows, month]
    result: np.ndarray = np.where(bill, 1.0, -np.expm1(-record.expected[rows, month]))
    return result


@numba.njit(cache=True, nogil=True)
def _first_leaf(
    rows: np.ndarray,
    month: int,
    people: Population,
    record: Record,
    law: SpendingLaw,
    dyn: Dynamics,
    out: np.ndarray,
) -> None:
    """Write the law of the first payment's leaf: the earliest bill, unless a payment of the chain comes before it."""
    for row in range(len(rows)):
        i = rows[row]
        persona, last = people.persona[i], record.chain[i, month]
        by_preference = 1.0 - law.sticky[persona] - dyn.follow - dyn.favourite
        for leaf in range(out.shape[1]):
            out[row, leaf] = by_preference * law.preference[record.table[i, month], leaf]
        out[row, last] += law.sticky[persona]
        for which in range(3):
            out[row, law.follows[last, which]] += dyn.follow * law.successor[which]
            out[row, people.favourites[i, which]] += dyn.favourite * law.favourite[which]
        if not record.billed[i, month]:
            continue
        earliest, day = -1, 99
        for bill in range(people.bill_day.shape[1]):
            if 0 <= people.bill_day[i, bill] < day:
                earliest, day = bill, people.bill_day[i, bill]
        if earliest >= 0:
            days = law.day_cdf[month + 1, persona, people.payday[i]]
            share = share_before_bill(day, earliest, days, law.hour_cdf[persona])
            none_before = np.exp(-record.expected[i, month] * share)
            for leaf in range(out.shape[1]):
                out[row, leaf] *= 1.0 - none_before
            out[row, law.bill_leaf[earliest]] += none_before


@numba.njit(cache=True, nogil=True)
def _at_least_one(rng: np.random.Generator, mean: float) -> int:
    """Draw a Poisson number that is not zero (inversion)."""
    if mean > 30.0:
        number = 0
        while number == 0:
            number = rng.poisson(mean)
        return number
    term = np.exp(-mean)
    u = rng.random() * -np.expm1(-mean)
    number = 1
    term *= mean
    while u > term and number < 1000:
        u -= term
        number += 1
        term *= mean / number
    return number


@numba.njit(cache=True, nogil=True)
def _simulate_windows(  # noqa: PLR0913, PLR0917 - a kernel takes the arrays that it writes
    rng: np.random.Generator,
    rows: np.ndarray,
    month: int,
    people: Population,
    record: Record,
    law: SpendingLaw,
    dyn: Dynamics,
    draws: int,
    shift: np.ndarray,
    distinct: np.ndarray,
    spread: np.ndarray,
) -> None:
    """Simulate label windows that are not empty: how often the top leaf changes, and how many leaves occur (mean, deviation)."""
    counts = np.zeros(len(law.amount), np.int64)
    follows = law.follows
    for row in range(len(rows)):
        i = rows[row]
        table, favourites = record.table[i, month], people.favourites[i]
        share, other, mix = law.alias_share[table], law.alias_other[table], mixture(people.persona[i], law, dyn)
        mean, before = record.expected[i, month], record.top[i, month]
        bills = 0
        if record.billed[i, month]:
            for bill in range(people.bill_day.shape[1]):
                bills += people.bill_day[i, bill] >= 0
        moved, total, squares = 0, 0, 0
        for _ in range(draws):
            counts[:] = 0
            if bills > 0:
                number = rng.poisson(mean)
                for bill in range(people.bill_day.shape[1]):
                    if people.bill_day[i, bill] >= 0:
                        counts[law.bill_leaf[bill]] += 1
            else:
                number = _at_least_one(rng, mean)
            last = record.chain[i, month]
            for _event in range(number):
                last = next_leaf(rng, last, mix, favourites, follows, share, other)
                counts[last] += 1
            top, found = 0, 0
            for leaf in range(len(counts)):
                found += counts[leaf] > 0
                if counts[leaf] > counts[top]:
                    top = leaf
            moved += top != before
            total += found
            squares += found * found
        distinct[row] = total / draws
        spread[row] = np.sqrt(max(0.0, squares / draws - (total / draws) ** 2))
        if before >= 0:
            shift[row] = moved / draws
