"""Monthly hazards of opening and closing products, of leaving the bank and of changing segment, given the state at month end.

Each product flips independently of the others within a month, with a probability that is known when the month begins: so every
truth about products has a closed form.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from finai_assets.ingest.synthetic.law import Dynamics, ProductLaw, StateLaw

_NEVER = 1000  # months: nothing was acquired for longer than any effect lasts


@numba.njit(cache=True, nogil=True)
def flip_hazards(  # noqa: PLR0913, PLR0917 - a kernel takes the arrays that it writes
    flip: np.ndarray,
    since_open: np.ndarray,
    signal: np.ndarray,
    motif: np.ndarray,
    since_acquisition: int,
    who: tuple[int, int, int, int],
    level: tuple[float, float, float],
    mood: tuple[bool, bool],
    law: ProductLaw,
    dyn: Dynamics,
) -> None:
    """Write the probability that each product is opened (closed, where it is held) in the next month.

    Parameters
    ----------
    flip : float64 [products]
        Written.
    since_open : int64 [products]
        Months since the product was opened; -1 where it is not held.
    signal, motif : float64 [products], [motifs]
        Remembered payments in the product's categories, and ordered pairs of payments.
    who : (int, int, int, int)
        Persona, stage, episode that shaped this month's payments (0 none), next calendar month (0..11).
    level : (float, float, float)
        Wealth, risk appetite, engagement.
    mood : (bool, bool)
        Dormant, leaving.
    """
    persona, stage, episode, calendar = who
    wealth, risk, engagement = level
    dormant, leaving = mood
    shared_open = dyn.momentum * math.exp(-since_acquisition / dyn.momentum_months) + dyn.engagement_opens * engagement
    shared_close = dyn.engagement_closes * engagement
    if dormant:
        shared_open += dyn.dormant_opens
        shared_close += dyn.dormant_closes
    if leaving:
        shared_open += dyn.leaving_opens
        shared_close += dyn.leaving_closes
    for product in range(len(flip)):
        if since_open[product] >= 0:
            effect = law.closes[product] + shared_close
            if since_open[product] < 6:
                effect += dyn.young_closes
            hazard = -math.expm1(-math.exp(min(effect, dyn.highest)))
            if law.term[product] > 0 and (since_open[product] + 1) % law.term[product] == 0:
                hazard = max(hazard, dyn.maturity)
            flip[product] = hazard
            continue
        effect = law.opens[product] + shared_open
        effect += law.persona[persona, product] + law.stage[stage, product] + law.episode[episode, product]
        effect += law.wealth[product] * wealth + law.risk[product] * risk + law.engagement[product] * engagement
        effect += law.wealth_risk[product] * wealth * risk
        effect += dyn.season * law.season[calendar, product]
        effect += law.attention[product] * (min(math.log1p(signal[product]), dyn.signal_cap) - law.usual[product])
        if law.motif_of[product] >= 0:
            effect += law.impulse[product] * min(motif[law.motif_of[product]], 2.0)
        for partner in range(len(flip)):
            if since_open[partner] >= 0 and law.partner[partner, product] != 0.0:
                recent = dyn.partner_recent if since_open[partner] < 3 else 0.0
                effect += law.partner[partner, product] * (1.0 + recent)
        flip[product] = -math.expm1(-math.exp(min(effect, dyn.highest)))


@numba.njit(cache=True, nogil=True)
def departure(held: int, leaving: bool, dyn: Dynamics) -> float:
    """Return the probability that the customer leaves the bank in the next month."""
    if held == 0:
        return dyn.depart_empty
    return dyn.depart_leaving if leaving else dyn.depart


@numba.njit(cache=True, nogil=True)
def segment_score(wealth: float, tenure: int, dyn: Dynamics) -> float:
    """Return what segments are cut from: wealth, and a little tenure."""
    return wealth + dyn.segment_tenure * (math.log1p(tenure / 60.0) - 0.6)


@numba.njit(cache=True, nogil=True)
def segment_moves(segment: int, score: float, states: StateLaw, dyn: Dynamics) -> tuple[float, float]:
    """Return the probabilities to move one segment up and one down in the next month."""
    up = down = 0.0
    if segment < len(states.segment_floor):
        distance = score - states.segment_floor[segment] - dyn.segment_margin
        up = dyn.segment_rate / (1.0 + math.exp(-dyn.segment_slope * distance))
    if segment > 0:
        distance = states.segment_floor[segment - 1] - dyn.segment_margin - score
        down = dyn.segment_rate / (1.0 + math.exp(-dyn.segment_slope * distance))
    return up, down


@numba.njit(cache=True, nogil=True)
def flip_products(rng: np.random.Generator, flip: np.ndarray, since_open: np.ndarray, since_acquisition: int) -> int:
    """Open and close products by their probabilities; return the months since the last acquisition."""
    acquired = False
    for product in range(len(flip)):
        flips = rng.random() < flip[product]
        if since_open[product] >= 0:
            since_open[product] = -1 if flips else since_open[product] + 1
        elif flips:
            since_open[product] = 0
            acquired = True
    return 0 if acquired else min(since_acquisition + 1, _NEVER)
