"""The laws of the process as the kernels read them: arrays made from the settings, and dynamics that no data set changes.

A *leaf* is a merchant category's rank by code, so that the smallest leaf has the smallest code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Hazards of the burn-in settle within the mean life of a product (about four years).
BURN_IN_MONTHS = 60


class Dynamics(NamedTuple):
    """Coefficients of the latent state. Each is monthly; hazards are log-hazard ratios."""

    wealth_return: float = 0.03  # a shock fades over three years, so a year of history shows most of the level
    wealth_noise: float = 0.10
    wealth_jump: float = 0.012  # inheritance, bonus, loss: once in seven years
    wealth_jump_size: float = 0.7
    risk_return: float = 0.02
    risk_noise: float = 0.05
    engagement_keep: float = 0.94  # half-life of a year
    engagement_noise: float = 0.22  # stationary standard deviation 0.65
    stage_hazard: float = 0.06  # at ages well above the stage's end
    stage_width: float = 2.0  # years
    dormancy_enters: float = 0.003
    dormancy_ends: float = 0.10
    dormancy_activity: float = 0.06  # a payment or two a month: the account is not closed
    leaving_enters: float = 0.007  # a customer who drifts to another bank: seen as falling activity, then closures
    leaving_engagement: float = -0.9
    leaving_ends: float = 0.09
    leaving_activity: float = 0.45
    signal_keep: float = 0.5  # memory of recent payments in a product's categories
    signal_cap: float = 2.8
    season: float = 0.5
    partner_recent: float = 1.0  # a partner opened in the last quarter counts double: offers come in bundles
    momentum: float = 1.0  # a recent acquisition makes more of them likely, for a quarter
    momentum_months: float = 2.5
    engagement_opens: float = 0.45  # on top of a product's own; seen in the number of payments
    dormant_opens: float = -2.0
    leaving_opens: float = -1.3
    leaving_closes: float = 2.5
    dormant_closes: float = 0.4
    engagement_closes: float = -0.35
    young_closes: float = -1.0  # a product under half a year old is rarely given up
    maturity: float = 0.35  # share that leaves at the end of a term
    highest: float = -0.6  # cap of a log hazard: 42 % a month
    depart_empty: float = 0.12
    depart_leaving: float = 0.006
    depart: float = 0.0003
    segment_rate: float = 0.06
    segment_slope: float = 4.0
    segment_margin: float = 0.45
    segment_tenure: float = 0.25
    engagement_activity: float = 0.5
    follow: float = 0.22  # share of payments that the one before calls forth
    favourite: float = 0.26  # share that goes to one of three personal favourites
    amount_wealth: float = 0.30
    refund: float = 0.015
    refund_leaving: float = 0.06
    home_merchant: float = 0.6


class ProductLaw(NamedTuple):
    """Effects on products: [products] or [what, products]; log-hazards."""

    starts: np.ndarray
    opens: np.ndarray
    closes: np.ndarray
    persona: np.ndarray
    stage: np.ndarray
    episode: np.ndarray
    wealth: np.ndarray
    risk: np.ndarray
    wealth_risk: np.ndarray
    engagement: np.ndarray
    trigger: np.ndarray  # float64 [leaves, products]: 1 where a payment counts for the product
    attention: np.ndarray
    usual: np.ndarray  # log1p of the signal of an average customer
    motif: np.ndarray  # int16 [leaves, leaves]: number of the motif that an ordered pair belongs to, -1 none
    motif_of: np.ndarray  # int16 [products]: number of the product's motif, -1 none
    impulse: np.ndarray
    partner: np.ndarray  # [held product, product]
    season: np.ndarray  # [12, products]
    term: np.ndarray


class SpendingLaw(NamedTuple):
    """How payments follow each other. ``table`` numbers (persona, stage, episode or none)."""

    preference: np.ndarray  # [tables, leaves]
    alias_share: np.ndarray  # [tables, leaves], with ``alias_other`` Walker's alias tables of ``preference``
    alias_other: np.ndarray
    follows: np.ndarray  # int64 [leaves, 3]
    successor: np.ndarray  # [3] shares of the successors
    favourite: np.ndarray  # [3] shares of the personal favourites
    sticky: np.ndarray  # [personas]
    rate: np.ndarray  # [personas] payments a month
    activity: np.ndarray  # [episodes + 1]
    expected: np.ndarray  # [tables, products]: share of payments that count for a product
    day_cdf: np.ndarray  # [months, personas, paydays, 32]: share of a month's payments before each day
    hour_cdf: np.ndarray  # [personas, 25]
    season: np.ndarray  # [months]: activity of a calendar month, its length included
    month_start: np.ndarray  # int64 [months], microseconds
    amount: np.ndarray  # [leaves] log of the median
    spread: np.ndarray
    bill_leaf: np.ndarray  # int64 [bills]
    amount_unit: float
    merchants: int


class StateLaw(NamedTuple):
    """Life-cycle stages, episodes and segments."""

    stage_until: np.ndarray  # [stages], infinity for the last
    episode_rate: np.ndarray  # [stages, episodes]
    episode_ends: np.ndarray  # [episodes]
    segment_floor: np.ndarray  # [segments - 1] score above which the next segment begins
    calendar: int  # calendar month (0..11) of month 0


class Law(NamedTuple):
    """Everything that the kernels need to know."""

    dynamics: Dynamics
    states: StateLaw
    products: ProductLaw
    spending: SpendingLaw
