"""The month-by-month simulation of a block of customers: state acts, then moves on.

In month ``t`` everything happens by laws fixed at the end of ``t - 1``: products flip by ``flip[t - 1]``, payments follow the
intensity and table of ``t - 1``. Then the latent state advances and the laws of ``t + 1`` are written down. An episode shapes
payments in the month after it begins and products one month later, so what moves products could be seen in payments before.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from finai_assets.ingest.synthetic.law import Dynamics, Law, StateLaw
from finai_assets.ingest.synthetic.population import Population
from finai_assets.ingest.synthetic.products import (
    departure,
    flip_hazards,
    flip_products,
    segment_moves,
    segment_score,
)
from finai_assets.ingest.synthetic.record import Record
from finai_assets.ingest.synthetic.spending import (
    Payments,
    draw_from_table,
    first_rows,
    intensity,
    no_payments,
    spend_month,
)

# Positions in the state vector of a customer.
_STAGE, _EPISODE, _BEFORE, _DORMANT, _LEAVING = range(5)
_WEALTH, _RISK, _ENGAGEMENT = range(3)
_LONG_AGO = 24  # months since the last acquisition of a customer who joins
_OLDEST_PRODUCT = 24  # months; products held at the start are up to this old, so that terms end all over the calendar


@numba.njit(cache=True, nogil=True)
def _start(rng: np.random.Generator, i: int, people: Population, law: Law, mode: np.ndarray, level: np.ndarray) -> None:
    """Draw the state of a customer at the start: levels near their own mean, no episode, awake, attached."""
    age = (people.age_months[i] + people.start[i]) / 12.0
    mode[:] = 0
    while age >= law.states.stage_until[mode[_STAGE]]:
        mode[_STAGE] += 1
    level[_WEALTH] = people.wealth[i] + 0.3 * rng.standard_normal()
    level[_RISK] = people.risk[i] + 0.2 * rng.standard_normal()
    level[_ENGAGEMENT] = 0.6 * rng.standard_normal()


@numba.njit(cache=True, nogil=True)
def _start_products(rng: np.random.Generator, new: bool, law: Law, since_open: np.ndarray) -> None:
    for product in range(len(since_open)):
        since_open[product] = -1
        if rng.random() < law.products.starts[product]:
            since_open[product] = 0 if new else rng.integers(0, _OLDEST_PRODUCT)


@numba.njit(cache=True, nogil=True)
def _advance(
    rng: np.random.Generator,
    age: float,
    own: tuple[float, float],
    states: StateLaw,
    dyn: Dynamics,
    mode: np.ndarray,
    level: np.ndarray,
) -> None:
    """Move the latent state one month on; ``own`` holds the customer's mean wealth and risk appetite."""
    until = states.stage_until[mode[_STAGE]]
    if until < np.inf and rng.random() < dyn.stage_hazard / (1.0 + math.exp(-(age - until) / dyn.stage_width)):
        mode[_STAGE] += 1
    mode[_BEFORE] = mode[_EPISODE]
    u = rng.random()
    if mode[_EPISODE] > 0:
        if u < states.episode_ends[mode[_EPISODE] - 1]:
            mode[_EPISODE] = 0
    else:
        for episode in range(states.episode_rate.shape[1]):
            u -= states.episode_rate[mode[_STAGE], episode]
            if u < 0.0:
                mode[_EPISODE] = episode + 1
                break
    level[_ENGAGEMENT] = dyn.engagement_keep * level[_ENGAGEMENT] + dyn.engagement_noise * rng.standard_normal()
    level[_RISK] += dyn.risk_return * (own[1] - level[_RISK]) + dyn.risk_noise * rng.standard_normal()
    level[_WEALTH] += dyn.wealth_return * (own[0] - level[_WEALTH]) + dyn.wealth_noise * rng.standard_normal()
    if rng.random() < dyn.wealth_jump:
        level[_WEALTH] += dyn.wealth_jump_size * rng.standard_normal()
    u = rng.random()
    mode[_DORMANT] = u >= dyn.dormancy_ends if mode[_DORMANT] else u < dyn.dormancy_enters
    u = rng.random()
    enters = dyn.leaving_enters * math.exp(dyn.leaving_engagement * level[_ENGAGEMENT])
    mode[_LEAVING] = u >= dyn.leaving_ends if mode[_LEAVING] else u < enters


@numba.njit(cache=True, nogil=True)
def _remember(
    counts: np.ndarray, pairs: np.ndarray, dyn: Dynamics, trigger: np.ndarray, signal: np.ndarray, motif: np.ndarray
) -> None:
    """Fold a month's payments into the signals that products react to, and forget the counts."""
    signal *= dyn.signal_keep
    motif *= dyn.signal_keep
    motif += pairs
    pairs[:] = 0.0
    for leaf in range(len(counts)):
        if counts[leaf] > 0.0:
            for product in range(len(signal)):
                signal[product] += counts[leaf] * trigger[leaf, product]
            counts[leaf] = 0.0


@numba.njit(cache=True, nogil=True)
def _table(persona: int, stage: int, episode: int, law: Law) -> int:
    return (persona * len(law.states.stage_until) + stage) * len(law.spending.activity) + episode


@numba.njit(cache=True, nogil=True)
def _summarise(i: int, t: int, number: int, first: int, chain: int, counts: np.ndarray, record: Record) -> None:
    top, distinct = -1, 0
    for leaf in range(len(counts)):
        if counts[leaf] > 0.0:
            distinct += 1
            if top < 0 or counts[leaf] > counts[top]:
                top = leaf
    record.top[i, t], record.distinct[i, t] = top, distinct
    record.first[i, t], record.chain[i, t], record.number[i, t] = first, chain, number


@numba.njit(cache=True, nogil=True)
def _start_segment(score: float, states: StateLaw) -> int:
    segment = 0
    while segment < len(states.segment_floor) and score > states.segment_floor[segment]:
        segment += 1
    return segment


@numba.njit(cache=True, nogil=True)
def _segment_step(u: float, up: float, down: float) -> int:
    if u < up:
        return 1
    return -1 if u < up + down else 0


@numba.njit(cache=True, nogil=True)
def _keep(
    record: Record,
    at: tuple[int, int],
    flip: np.ndarray,
    since_open: np.ndarray,
    rest: tuple[int, float, float, float],
    mode: np.ndarray,
    level: np.ndarray,
) -> None:
    """Write the month's state and the laws of the next; ``rest`` is segment, probabilities to leave, to move up and down."""
    i, t = at
    record.present[i, t] = True
    record.segment[i, t], record.depart[i, t], record.up[i, t], record.down[i, t] = rest
    for product in range(len(flip)):
        record.flip[i, t, product] = flip[product]
        record.held[i, t, product] = since_open[product] >= 0
    record.billed[i, t] = mode[_DORMANT] == 0
    record.state[i, t, 0], record.state[i, t, 1] = mode[_STAGE], mode[_EPISODE]
    for which in range(3):
        record.state[i, t, 2 + which] = level[which]
    record.state[i, t, 5], record.state[i, t, 6] = mode[_DORMANT], mode[_LEAVING]


@numba.njit(cache=True, nogil=True)
def simulate(
    rng: np.random.Generator, rng_payments: np.random.Generator, people: Population, law: Law, record: Record
) -> Payments:
    """Simulate a block of customers from their start to the last month of the record, which is filled; return their payments.

    Parameters
    ----------
    rng, rng_payments : Generator
        Of the state and the products, and of the payments.
    people : Population of n
    record : Record [n, months]
        From :meth:`Record.empty`.
    """
    dyn = law.dynamics
    customers, months, products = record.flip.shape
    payments, used = no_payments(customers * months * 24), 0
    mode, level = np.zeros(5, np.int64), np.zeros(3)
    since_open, flip, signal = np.zeros(products, np.int64), np.zeros(products), np.zeros(products)
    counts = np.zeros(len(law.spending.amount))
    motif, pairs = np.zeros(law.products.motif.max() + 1), np.zeros(law.products.motif.max() + 1)
    for i in range(customers):
        persona = people.persona[i]
        _start(rng, i, people, law, mode, level)
        _start_products(rng, people.join[i] == people.start[i], law, since_open)
        since_acquisition = _LONG_AGO if people.join[i] < people.start[i] else 0
        motif[:] = 0.0
        signal[:] = 0.0
        score = segment_score(level[_WEALTH], people.start[i] - people.join[i], dyn)
        segment = _start_segment(score, law.states)
        rate = law.spending.rate[persona] * math.exp(people.taste[i])
        activity = law.spending.activity[mode[_EPISODE]]
        mean = intensity(rate, level[_ENGAGEMENT], activity, False, False, dyn)
        table = _table(persona, mode[_STAGE], mode[_EPISODE], law)
        chain = draw_from_table(rng_payments, law.spending.alias_share[table], law.spending.alias_other[table])
        up = down = leave = 0.0
        for t in range(people.start[i], months):
            # -- the month happens, by what was fixed at the end of the one before
            if t > people.start[i]:
                if t > 0 and rng.random() < leave:
                    break
                since_acquisition = flip_products(rng, flip, since_open, since_acquisition)
                segment += _segment_step(rng.random(), up, down)
            if t >= 0:
                begin = used
                now = (mean * law.spending.season[t], table, chain, mode[_DORMANT] == 0)
                used, chain, first, payments = spend_month(
                    rng_payments, i, t, used, payments, now, (level[_WEALTH], mode[_LEAVING] == 1), people,
                    law.spending, dyn, law.products.motif, counts, pairs,
                )  # fmt: skip
                _summarise(i, t, used - begin, first, chain, counts, record)
                _remember(counts, pairs, dyn, law.products.trigger, signal, motif)
            else:
                # Payments before the panel are not stored; their expectation replaces them.
                signal *= dyn.signal_keep
                signal += mean * law.spending.expected[table]
            # -- the state moves on
            age = (people.age_months[i] + t) / 12.0
            _advance(rng, age, (people.wealth[i], people.risk[i]), law.states, dyn, mode, level)
            # -- the laws of the next month
            dormant, leaving = mode[_DORMANT] == 1, mode[_LEAVING] == 1
            calendar = (law.states.calendar + t + 1) % 12
            flip_hazards(
                flip, since_open, signal, motif, since_acquisition, (persona, mode[_STAGE], mode[_BEFORE], calendar),
                (level[_WEALTH], level[_RISK], level[_ENGAGEMENT]), (dormant, leaving), law.products, dyn,
            )  # fmt: skip
            leave = departure((since_open >= 0).sum(), leaving, dyn)
            up, down = segment_moves(segment, segment_score(level[_WEALTH], t - people.join[i], dyn), law.states, dyn)
            mean = intensity(rate, level[_ENGAGEMENT], law.spending.activity[mode[_EPISODE]], dormant, leaving, dyn)
            table = _table(persona, mode[_STAGE], mode[_EPISODE], law)
            if t >= 0:
                _keep(record, (i, t), flip, since_open, (segment, leave, up, down), mode, level)
                record.table[i, t] = table
                if t + 1 < months:
                    record.expected[i, t] = mean * law.spending.season[t + 1]
    return first_rows(payments, used)
