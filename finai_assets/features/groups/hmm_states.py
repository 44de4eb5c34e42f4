"""Hidden Markov models of monthly sequences: journey, life cycle and behaviour.

A customer's sequence runs from the first month of the look-back with a snapshot or a transaction to the snapshot month. Three
models with diagonal Gaussian emissions read it; the states of each ascend by a statistic that names them:

- journey (by frequency): breadth, log1p of distinct merchant categories; recency, log1p of the days from the last transaction
  (the beginning of the sequence where there is none yet) to the month's end; frequency, log1p of transactions;
- life cycle (by volume): volume, log1p of the sum of absolute amounts; monetary, log1p of the mean size; stability, the distance
  of the month's spend from the mean of the customer's spend up to and including that month, over the sum of the two (0 where
  they are equal, 1 where the month's is nothing; without this bound single large purchases would take a state);
- behaviour (by lateness, from 0 for the morning to 3 for the night, averaged over transactions, plus the share of refunds, each
  in standard deviations, as habits of one hour would have no order else): the shares of afternoon, evening,
  night, and of refunds, each shrunk towards the train share by the weight of ``share_prior`` transactions, as one transaction
  is no habit. The share of the morning is left out, as shares sum to 1.

A month without a transaction has neither a mean size nor shares, and the first month of spend has nothing to be compared with:
these dimensions are integrated out there. So every customer has a posterior; that of a customer without a transaction is what
idle months say in the first two models, and the chain's prediction from its start in the third.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from finai_assets.features.inputs import AMOUNT, MCC, MERCHANT, SNAPSHOT_MONTH, TS, look_back_days
from finai_assets.features.methods.hmm import Hmm, filter_last, fit_model, initial_model
from finai_assets.features.methods.monthly import (
    CATEGORIES,
    COUNT,
    PARTS,
    RECENCY,
    REFUNDS,
    SPEND,
    VOLUME,
    Monthly,
    join,
    monthly_totals,
)
from finai_assets.features.registry import Column, Params
from finai_assets.features.sampling import customer_hash, lowest

if TYPE_CHECKING:
    from finai_assets.features.block import Block
    from finai_assets.settings import Settings
    from finai_assets.settings.features import HmmStatesSettings

MODELS = {
    "journey": ("거래 여정", "frequency", (MCC,)),
    "lifecycle": ("생애 주기", "volume", (AMOUNT,)),
    "behavior": ("이용 행태", "lateness and refunds", (AMOUNT, MERCHANT)),
}
# The terms of the statistic that orders the states, each as weights of a model's dimensions.
_ORDER: dict[str, tuple[tuple[int, ...], ...]] = {
    "journey": ((0, 0, 1),),
    "lifecycle": ((1, 0, 0),),
    "behavior": ((1, 2, 3, 0), (0, 0, 0, 1)),
}
_NO_SPREAD = 1e-9


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return the filtered posteriors of the last month, then state, dwell and entropy of each model."""
    days, sizes = look_back_days(settings), _settings(settings).states
    inputs = {name: (TS, *raw, SNAPSHOT_MONTH) for name, (_, _, raw) in MODELS.items()}
    posteriors = tuple(
        Column(f"hmm_{name}_p{state}", "hmm_states", "share", "1",
               f"Filtered posterior of state {state} (by ascending {order}) of the {name} model in the last month",
               f"{korean} {state}번 상태 확률", inputs[name], days, "train", "never missing", low=0, high=1)
        for name, (korean, order, _) in MODELS.items()
        for state in range(sizes[name])
    )  # fmt: skip
    summaries = tuple(
        column
        for name, (korean, order, _) in MODELS.items()
        for column in (
            Column(f"hmm_{name}_state", "hmm_states", "code", "1",
                   f"Most likely state of the {name} model in the last month (states by ascending {order})",
                   f"{korean} 현재 상태", inputs[name], days, "train", "never missing", low=0, high=sizes[name] - 1),
            Column(f"hmm_{name}_dwell", "hmm_states", "continuous", "months",
                   f"Expected months that a visit to the most likely {name} state lasts",
                   f"{korean} 예상 유지 기간", inputs[name], days, "train", "never missing", low=1),
            Column(f"hmm_{name}_entropy", "hmm_states", "continuous", "nat",
                   f"Entropy of the next month's state given the most likely {name} state",
                   f"{korean} 전이 불확실성", inputs[name], days, "train", "never missing", low=0,
                   high=float(np.log(sizes[name])) + 1e-6),
        )
    )  # fmt: skip
    return posteriors + summaries


def fit(blocks: Sequence[Block], settings: Settings) -> dict[str, np.ndarray]:
    """Fit the three models on at most ``fit_rows`` sequences of the train sample, chosen by a seeded hash.

    Returns
    -------
    dict
        ``train_shares`` [5]: shares of the four quarters of the day from midnight on, and of refunds. For each model
        ``<model>_centre`` and ``_scale`` [D], by which observations are standardised; ``_start`` [K], ``_transition`` [K, K],
        ``_mean`` and ``_variance`` [K, D] of standardised observations; ``_log_likelihood`` [iterations], penalised.
    """
    chosen = _settings(settings)
    monthly = _sample(blocks, chosen.fit_rows, settings.seed)
    params = {"train_shares": train_shares(monthly)}
    for name in MODELS:
        seen = observations(name, monthly, params["train_shares"], chosen.share_prior)
        centre, scale = _moments(seen)
        standard = (seen - centre) / scale
        model, history = fit_model(
            standard,
            monthly.first,
            initial_model(standard, chosen.states[name], floor=chosen.variance_floor),
            iterations=chosen.iterations,
            tolerance=chosen.tolerance,
            floor=chosen.variance_floor,
            prior=chosen.prior_months,
        )
        model = model.reordered(_order(name, model.mean * scale + centre, seen))
        parts = dict(zip(Hmm.names(), model.arrays, strict=True))
        parts |= {"centre": centre, "scale": scale, "log_likelihood": history}
        params |= {f"{name}_{key}": array for key, array in parts.items()}
    return params


def transform(block: Block, params: Params, settings: Settings) -> np.ndarray:
    """Return float32 [n, states of the three models + 9]."""
    chosen = _settings(settings)
    monthly = monthly_totals(block)
    width = sum(chosen.states[name] for name in MODELS)
    out = np.empty((len(block), width + 3 * len(MODELS)), np.float32, order="F")
    at = 0
    for position, name in enumerate(MODELS):
        model = Hmm(*(params[f"{name}_{key}"] for key in Hmm.names()))
        seen = observations(name, monthly, params["train_shares"], chosen.share_prior)
        seen -= params[f"{name}_centre"]
        seen /= params[f"{name}_scale"]
        posterior = filter_last(seen, monthly.first, model)
        out[:, at : at + chosen.states[name]] = posterior
        at += chosen.states[name]
        state = posterior.argmax(axis=1)
        summaries = width + 3 * position
        out[:, summaries] = state
        out[:, summaries + 1] = model.dwell()[state]
        out[:, summaries + 2] = model.entropy()[state]
    return out


def train_shares(monthly: Monthly) -> np.ndarray:
    """Return the shares of the quarters of the day and of refunds among all transactions, float64 [5]; even without any."""
    sums = np.nansum(monthly.totals, axis=(0, 1))
    if not sums[COUNT]:
        return np.array([0.25, 0.25, 0.25, 0.25, 0.0])
    return sums[PARTS : REFUNDS + 1] / sums[COUNT]


def observations(name: str, monthly: Monthly, shares: np.ndarray, share_prior: float) -> np.ndarray:
    """Return a model's observations, float64 [n, months, its dimensions]: NaN before the sequence and where undefined."""
    n, months, _ = monthly.totals.shape
    seen = np.full((n, months, len(_ORDER[name][0])), np.nan)
    if name == "journey":
        _journey(monthly.first, monthly.totals, seen)
    elif name == "lifecycle":
        _lifecycle(monthly.first, monthly.totals, seen)
    else:
        _behavior(monthly.first, monthly.totals, shares, share_prior, seen)
    return seen


def _settings(settings: Settings) -> HmmStatesSettings:
    return settings.feature_groups.hmm_states


def _order(name: str, mean: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return the positions of the states, ascending by the statistic that names them.

    Parameters
    ----------
    mean : float64 [K, D]
        Of the states, in the units of ``seen``.
    seen : float64 [n, months, D]
        The observations of train, by which the terms of a statistic are brought to one scale.
    """
    statistic = np.zeros(len(mean))
    for weights in _ORDER[name]:
        terms = np.zeros(seen.shape[:2])
        for d, weight in enumerate(weights):
            if weight:
                terms += weight * seen[:, :, d]
        known = terms[~np.isnan(terms)]
        spread = known.std() if len(known) else 0.0
        statistic += (mean * np.array(weights)).sum(axis=1) / (spread if spread > _NO_SPREAD else 1.0)
    return np.argsort(statistic, kind="stable")


def _sample(blocks: Sequence[Block], rows: int, seed: int) -> Monthly:
    """Return the months of the customers with the lowest hashes, in the order of the blocks."""
    hashes = [customer_hash(b.customer_id, seed=seed, salt="hmm_states", month=b.month) for b in blocks]
    limit = np.uint64(lowest(np.concatenate(hashes), rows))
    return join(
        [
            monthly_totals(block.take(np.flatnonzero(hashed <= limit)))
            for block, hashed in zip(blocks, hashes, strict=True)
        ]
    )


def _moments(seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the standard deviation of each dimension, where it is seen; 1 where it does not vary."""
    centre, scale = np.zeros(seen.shape[-1]), np.ones(seen.shape[-1])
    for d in range(seen.shape[-1]):
        known = seen[:, :, d][~np.isnan(seen[:, :, d])]
        if len(known):
            centre[d] = known.mean()
            deviation = known.std()
            scale[d] = deviation if deviation > _NO_SPREAD * max(1.0, abs(centre[d])) else 1.0
    return centre, scale


@numba.njit(cache=True, nogil=True)
def _journey(first: Any, totals: Any, seen: Any) -> None:
    for i in range(len(first)):
        for m in range(first[i], totals.shape[1]):
            seen[i, m, 0] = np.log1p(totals[i, m, CATEGORIES])
            seen[i, m, 1] = np.log1p(totals[i, m, RECENCY])
            seen[i, m, 2] = np.log1p(totals[i, m, COUNT])


@numba.njit(cache=True, nogil=True)
def _lifecycle(first: Any, totals: Any, seen: Any) -> None:
    for i in range(len(first)):
        spent = 0.0
        for m in range(first[i], totals.shape[1]):
            row = totals[i, m]
            seen[i, m, 0] = np.log1p(row[VOLUME])
            if row[COUNT]:
                seen[i, m, 1] = np.log1p(row[VOLUME] / row[COUNT])
            spent += row[SPEND]
            if m > first[i] and spent > 0:
                mean = spent / (m - first[i] + 1)
                seen[i, m, 2] = abs(row[SPEND] - mean) / (row[SPEND] + mean)


@numba.njit(cache=True, nogil=True)
def _behavior(first: Any, totals: Any, shares: Any, prior: float, seen: Any) -> None:
    for i in range(len(first)):
        for m in range(first[i], totals.shape[1]):
            row = totals[i, m]
            if row[COUNT]:
                for d, part in enumerate((2, 3, 0, 4)):  # afternoon, evening, night, refunds
                    seen[i, m, d] = (row[PARTS + part] + prior * shares[part]) / (row[COUNT] + prior)
