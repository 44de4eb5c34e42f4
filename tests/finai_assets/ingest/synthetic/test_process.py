"""What happens in a month follows the laws that were written down at the end of the month before."""

from __future__ import annotations

import numpy as np
import pytest

from finai_assets.ingest.synthetic.compile import compile_law
from finai_assets.ingest.synthetic.law import Law
from finai_assets.ingest.synthetic.population import Population, draw_population
from finai_assets.ingest.synthetic.process import simulate
from finai_assets.ingest.synthetic.record import STATE, Record
from finai_assets.ingest.synthetic.spending import Payments
from finai_assets.settings import load_settings

LIMIT = 4.2
Block = tuple[Law, Population, Record, Payments]


@pytest.fixture(scope="module")
def block() -> Block:
    settings = load_settings("synthetic", "demo")
    law = compile_law(settings)
    streams = [np.random.default_rng([11, purpose]) for purpose in range(3)]
    people, _ = draw_population(streams[0], 2500, settings, law)
    record = Record.empty(2500, 30, len(settings.products))
    return law, people, record, simulate(streams[1], streams[2], people, law, record)


def standard_errors(happened: np.ndarray, probability: np.ndarray) -> float:
    return float((happened - probability).sum() / np.sqrt((probability * (1 - probability)).sum()))


def test_every_product_flips_by_its_stored_hazard(block: Block) -> None:
    _, _, record, _ = block
    both = record.present[:, 1:] & record.present[:, :-1]
    flipped = (record.held[:, 1:] != record.held[:, :-1])[both]
    hazard, held = record.flip[:, :-1][both], record.held[:, :-1][both] > 0
    assert ((hazard > 0) & (hazard < 0.5)).all()
    for rows in (held, ~held):
        assert abs(standard_errors(flipped[rows], hazard[rows])) < LIMIT
        for product in range(hazard.shape[1]):
            chosen = rows[:, product]
            assert abs(standard_errors(flipped[chosen, product], hazard[chosen, product])) < LIMIT
    # ... and one flip tells nothing of another in the same month, beyond their hazards
    residual = (flipped - hazard) / np.sqrt(hazard * (1 - hazard))
    product_pairs = np.corrcoef(residual.T)[np.triu_indices(hazard.shape[1], 1)]
    assert np.abs(product_pairs).max() < 5 / np.sqrt(len(residual)) + 0.02
    assert abs(product_pairs.mean()) < 0.003


def test_customers_depart_and_change_segment_by_the_stored_probabilities(block: Block) -> None:
    _, _, record, _ = block
    now, then = record.present[:, :-1], record.present[:, 1:]
    assert abs(standard_errors(~then[now], record.depart[:, :-1][now])) < LIMIT
    both = now & then
    step = record.segment[:, 1:].astype(int)[both] - record.segment[:, :-1][both]
    assert set(np.unique(step)) <= {-1, 0, 1}
    assert abs(standard_errors(step == 1, record.up[:, :-1][both])) < LIMIT
    assert abs(standard_errors(step == -1, record.down[:, :-1][both])) < LIMIT


def test_the_number_of_payments_is_poisson_about_its_stored_mean_plus_bills(block: Block) -> None:
    _, people, record, _ = block
    both = record.present[:, 1:] & record.present[:, :-1]
    bills = (people.bill_day >= 0).sum(axis=1)[:, None] * record.billed[:, :-1]
    free = (record.number[:, 1:] - bills)[both]
    mean = record.expected[:, :-1][both]
    assert (free >= 0).all()
    assert abs((free - mean).sum() / np.sqrt(mean.sum())) < LIMIT
    steady = mean > 5
    assert ((free - mean)[steady] ** 2 / mean[steady]).mean() == pytest.approx(1, abs=0.03)


def test_a_departed_customer_never_returns_and_pays_nothing(block: Block) -> None:
    _, people, record, payments = block
    present = record.present
    assert (np.abs(np.diff(present.astype(int), axis=1)).sum(axis=1) <= 2).all()
    assert present[payments.customer, payments.month].all()
    assert (present[:, 0] == (people.join < 0)).all()


def test_persona_and_episode_show_in_what_is_paid(block: Block) -> None:
    _, people, record, payments = block
    stay = np.bincount(payments.customer, minlength=2500) > 200
    shares = np.zeros((2500, 50))
    np.add.at(shares, (payments.customer, payments.leaf), 1)
    shares = shares[stay] / shares[stay].sum(axis=1, keepdims=True)
    persona = people.persona[stay]
    half = np.arange(len(persona)) % 2 == 0
    centres = np.array([shares[half & (persona == k)].mean(axis=0) for k in range(6)])
    guess = ((np.sqrt(shares[~half])[:, None] - np.sqrt(centres)) ** 2).sum(axis=2).argmin(axis=1)
    assert (guess == persona[~half]).mean() > 0.6  # of six
    assert 0.05 < (record.state[record.present][:, STATE.index("episode")] > 0).mean() < 0.3


def test_terms_end_a_year_after_they_began(block: Block) -> None:
    law, _, record, _ = block
    product = int(np.flatnonzero(law.products.term == 12)[0])
    held = record.held[:, :, product].astype(int)
    ages: dict[int, list[bool]] = {}
    for i, t in zip(*np.nonzero((np.diff(held, axis=1) == 1) & record.present[:, :-1]), strict=True):
        after = np.flatnonzero((held[i, t + 1 :] == 0) | ~record.present[i, t + 1 :])
        for age in range(1, min(16, 29 - t)):
            if len(after) and after[0] < age:
                break
            ages.setdefault(age, []).append(bool(len(after) and after[0] == age))
    rate = {age: np.mean(ended) for age, ended in ages.items()}
    assert rate[12] > 0.25
    assert max(rate[age] for age in (8, 9, 10, 11)) < 0.1
