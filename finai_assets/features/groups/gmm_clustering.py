"""Gaussian mixture over the continuous columns of demographics, behaviour and holdings history.

The components are numbered by descending weight on train; a customer of which nothing is known stands at the train medians.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from finai_assets.features.inputs import look_back_days
from finai_assets.features.methods import scalars
from finai_assets.features.methods.kmeans import k_means
from finai_assets.features.methods.mixture import (
    Rules,
    fit_mixture,
    kernel_parameters,
    responsibilities,
    start_at,
)
from finai_assets.features.registry import Column, Params

if TYPE_CHECKING:
    from finai_assets.features.block import Block
    from finai_assets.settings import Settings

_SALT = 12
_LLOYD = 30  # k-means steps before the mixture takes over, which needs no converged centres

SETTINGS = scalars.SETTINGS  # read beside the group's own


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return the responsibilities, the most likely component, and the entropy."""
    group, inputs, days = "gmm_clustering", scalars.inputs(settings), look_back_days(settings)
    count = settings.feature_groups.gmm_clustering.components
    shares = tuple(
        Column(f"gmm_responsibility_{k:02d}", group, "share", "1", f"Responsibility of component {k}",
               f"고객 군집 {k} 소속 확률", inputs, days, "train", "never missing", low=0, high=1)
        for k in range(count)
    )  # fmt: skip
    return (
        *shares,
        Column("gmm_component", group, "code", "1", "Most likely component", "고객 군집", inputs, days, "train",
               "never missing", low=0, high=count - 1),
        Column("gmm_entropy", group, "continuous", "nat", "Entropy of the responsibilities", "고객 군집 불확실성", inputs,
               days, "train", "never missing", low=0),
    )  # fmt: skip


def fit(blocks: Sequence[Block], settings: Settings) -> dict[str, np.ndarray]:
    """Fit the scalars' scale and the mixture on all train rows.

    Returns
    -------
    dict
        The state of the scalars, and ``weights`` [K], ``means`` [K, d], ``covariances`` [K, d, d]; for the transform
        ``factors`` [K, d, d] and ``offsets`` [K]; ``log_likelihoods`` and ``objectives`` [iterations], means of a row, and
        ``reseeded`` [iterations], how many components were re-seeded before each.
    """
    chosen = settings.feature_groups.gmm_clustering
    params = scalars.fit(blocks, settings)
    values = np.concatenate([scalars.transform(block, params, settings) for block in blocks])
    rules = Rules(
        chosen.min_weight,
        chosen.prior_rows,
        chosen.variance_floor,
        chosen.iterations,
        chosen.tolerance,
        chosen.reseeds,
    )
    centres = k_means(values, chosen.components, seed=(settings.seed, _SALT), starts=chosen.starts, iterations=_LLOYD)
    mixture, steps = fit_mixture(
        values,
        start_at(values, centres, rules),
        rules,
    )
    factors, offsets = kernel_parameters(mixture)
    return {
        **params,
        "weights": mixture.weights,
        "means": mixture.means,
        "covariances": mixture.covariances,
        "factors": factors,
        "offsets": offsets,
        "log_likelihoods": np.array([step.log_likelihood for step in steps]),
        "objectives": np.array([step.objective for step in steps]),
        "reseeded": np.array([step.reseeded for step in steps]),
    }


def transform(block: Block, params: Params, settings: Settings) -> np.ndarray:
    """Return float32 [n, K + 2]."""
    values = scalars.transform(block, params, settings)
    count = len(params["weights"])
    posterior = np.empty((len(block), count))
    responsibilities(values, params["means"], params["factors"], params["offsets"], posterior)
    out = np.empty((len(block), count + 2), np.float32, order="F")
    _describe(posterior, out)
    return out


@numba.njit(cache=True, nogil=True)
def _describe(posterior: Any, out: Any) -> None:
    """Write the responsibilities, the first of the greatest ones, and the entropy in nats."""
    n, count = posterior.shape
    for i in range(n):
        best, entropy = 0, 0.0
        for k in range(count):
            share = posterior[i, k]
            out[i, k] = share
            if share > posterior[i, best]:
                best = k
            if share > 0:
                entropy -= share * np.log(share)
        out[i, count] = best
        out[i, count + 1] = max(0.0, entropy)
