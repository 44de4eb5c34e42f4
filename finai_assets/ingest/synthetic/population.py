"""The customers of a block: everything about them that does not change, drawn at once.

Demographics come from a Gaussian copula: age, income, wealth, risk appetite and tenure are correlated normals, each mapped
to its own distribution.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from finai_assets.ingest.synthetic.compile import generator_of
from finai_assets.ingest.synthetic.law import BURN_IN_MONTHS, Law
from finai_assets.settings import Settings
from finai_assets.settings.generator import PersonaProcess

# Correlations of the copula, in the order age, income, wealth, risk, tenure: wealth follows income and age, appetite for
# risk falls with age, the old have been customers for longer.
CORRELATION = np.array(
    [
        [1.00, 0.20, 0.30, -0.30, 0.55],
        [0.20, 1.00, 0.60, 0.15, 0.10],
        [0.30, 0.60, 1.00, 0.15, 0.20],
        [-0.30, 0.15, 0.15, 1.00, -0.15],
        [0.55, 0.10, 0.20, -0.15, 1.00],
    ]
)
YOUNGEST, OLDEST = 18, 88
YOUNGEST_JOINER = 15
AGE_SHAPE = (1.5, 2.1)  # of the beta distribution between them: mean 47
TENURE_SHAPE, TENURE_SCALE = 1.4, 70.0  # months: mean 8 years
INCOME_SPREAD = 0.55
TASTE_SPREAD = 0.35  # of the log rate of payments between customers of one persona


class Population(NamedTuple):
    """Arrays of a block of ``n`` customers, as the kernels read them."""

    age_months: np.ndarray  # int64: age at month 0
    join: np.ndarray  # int64: month of joining, negative before the panel
    start: np.ndarray  # int64: first month that is simulated
    persona: np.ndarray  # int64
    wealth: np.ndarray  # level to which wealth returns, in standard deviations
    risk: np.ndarray
    taste: np.ndarray  # log factor of the rate of payments
    favourites: np.ndarray  # int64 [n, 3]
    payday: np.ndarray  # int64
    bill_day: np.ndarray  # int64 [n, bills]: day of the month from 0, -1 where the customer has no such bill
    bill_amount: np.ndarray  # float64 [n, bills], log
    home: np.ndarray  # int64: number that decides the customer's usual merchants


class Traits(NamedTuple):
    """The columns of a block's snapshots that no kernel reads. Codes are positions in the settings; -1 is unknown."""

    income: np.ndarray  # float64, NaN unknown
    gender: np.ndarray
    country: np.ndarray
    channel: np.ndarray
    region: np.ndarray
    disability: np.ndarray  # bool
    true_gender: np.ndarray
    age_known: np.ndarray  # bool
    tenure_known: np.ndarray
    activity_known: np.ndarray


def draw_population(
    rng: np.random.Generator, customers: int, settings: Settings, law: Law
) -> tuple[Population, Traits]:
    """Draw a block of customers."""
    from scipy.stats import beta, gamma

    process = generator_of(settings).process
    months = len(settings.dataset.raw_months)
    z = rng.standard_normal((customers, len(CORRELATION))) @ np.linalg.cholesky(CORRELATION).T
    age = (12 * (YOUNGEST + (OLDEST - YOUNGEST) * beta.ppf(ndtr(z[:, 0]), *AGE_SHAPE))).astype(np.int64)
    tenure = np.minimum(gamma.ppf(ndtr(z[:, 4]), TENURE_SHAPE, scale=TENURE_SCALE), age - 12.0 * YOUNGEST_JOINER)
    join = -tenure.astype(np.int64) - 1
    joins = rng.random(customers) < process.population.joiners_a_year * (months - 1) / 12
    join = np.where(joins, rng.integers(1, max(2, months), customers), join)
    persona = _personas(rng, z, process.personas.values())
    stage = np.searchsorted(law.states.stage_until, age / 12.0, side="right").clip(max=len(process.stages) - 1)
    bills = len(process.bills)
    share = np.array([bill.share for bill in process.bills])
    has_bill = rng.random((customers, bills)) < share
    bill_spread = np.array([bill.spread for bill in process.bills]) * rng.standard_normal((customers, bills))
    population = Population(
        age_months=age,
        join=join,
        start=np.maximum(join, -BURN_IN_MONTHS),
        persona=persona,
        wealth=z[:, 2].copy(),
        risk=z[:, 3].copy(),
        taste=TASTE_SPREAD * rng.standard_normal(customers),
        favourites=_favourites(rng, law, persona, stage),
        payday=rng.integers(0, len(process.paydays), customers),
        bill_day=np.where(has_bill, rng.integers(0, 28, (customers, bills)), -1),
        bill_amount=np.log([bill.amount for bill in process.bills]) + bill_spread,
        home=rng.integers(0, 1 << 40, customers),
    )
    return population, _traits(rng, z, settings)


def _personas(rng: np.random.Generator, z: np.ndarray, personas: Iterable[PersonaProcess]) -> np.ndarray:
    """Draw personas by their shares, tilted by age, wealth and risk (a multinomial logit, by the Gumbel-max trick)."""
    rows = list(personas)
    utility = np.log([persona.share for persona in rows])[None, :]
    utility = utility + np.outer(z[:, 0], [persona.age for persona in rows])
    utility = utility + np.outer(z[:, 2], [persona.wealth for persona in rows])
    utility = utility + np.outer(z[:, 3], [persona.risk for persona in rows])
    chosen: np.ndarray = np.argmax(utility + rng.gumbel(size=utility.shape), axis=1)
    return chosen.astype(np.int64)


def _favourites(rng: np.random.Generator, law: Law, persona: np.ndarray, stage: np.ndarray) -> np.ndarray:
    stages, none = len(law.states.stage_until), len(law.spending.activity)
    cumulative = np.cumsum(law.spending.preference[(persona * stages + stage) * none], axis=1)
    draws = rng.random((len(persona), 3))
    picks: np.ndarray = (draws[:, :, None] > cumulative[:, None, :]).sum(axis=2)
    return np.minimum(picks, cumulative.shape[1] - 1).astype(np.int64)


def _traits(rng: np.random.Generator, z: np.ndarray, settings: Settings) -> Traits:
    population = generator_of(settings).process.population
    customers = len(z)
    missing = {name: rng.random(customers) < share for name, share in sorted(population.missing.items())}
    never = np.zeros(customers, bool)

    def pick(shares: dict[str, float]) -> np.ndarray:
        weights = np.cumsum(list(shares.values()))
        return np.searchsorted(weights / weights[-1], rng.random(customers), side="right").astype(np.int64)

    income = np.round(population.median_income * np.exp(INCOME_SPREAD * z[:, 1]), -4)
    true_gender = pick(population.genders)
    return Traits(
        income=np.where(missing.get("income", never), np.nan, income),
        gender=np.where(missing.get("gender", never), -1, true_gender),
        country=np.where(missing.get("country", never), -1, pick(population.countries)),
        channel=np.where(missing.get("channel", never), -1, pick(population.channels)),
        region=pick(population.regions),
        disability=rng.random(customers) < population.disability,
        true_gender=true_gender,
        age_known=~missing.get("age", never),
        tenure_known=~missing.get("tenure_months", never),
        activity_known=~missing.get("is_active", never),
    )
