"""A full-covariance Gaussian mixture: expectation-maximisation that leaves no component dead, and responsibilities.

Two things keep a component from collapsing onto a few rows. Each covariance has a conjugate prior that counts as a few rows
of the spread of all data (Fraley and Raftery: Bayesian regularization for normal mixture estimation and model-based clustering,
2007), and its eigenvalues have a lower bound, which flooring them meets exactly (Ingrassia and Rocci: Constrained monotone EM
algorithms for finite mixture of multivariate Gaussians, 2007). So the objective, log-likelihood plus log prior, never falls from
one iteration to the next; without a prior that is the log-likelihood itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np

from finai_assets.features.methods.kmeans import nearest
from finai_resources.errors import GateError
from finai_resources.progress import report_progress

_NEGLIGIBLE = 1e-13  # a share below it would change no sum over train rows by more than its rounding
_SPLIT = 0.5  # of the variance along the first principal axis goes into the distance of the two halves


@dataclass(frozen=True, slots=True)
class Mixture:
    """Parameters: ``weights`` float64 [K], ``means`` float64 [K, d], ``covariances`` float64 [K, d, d]."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    def ordered(self) -> Mixture:
        """Return the mixture with its components by descending weight."""
        order = np.argsort(-self.weights, kind="stable")
        return Mixture(self.weights[order], self.means[order], self.covariances[order])


class Step(NamedTuple):
    """One iteration: figures of the parameters before it, as means of a row, and how many components were re-seeded before it."""

    log_likelihood: float
    objective: float
    reseeded: int


class Rules(NamedTuple):
    """When a component is dead, the weight of its prior, its smallest eigenvalue, and when the fit ends."""

    min_weight: float
    prior_rows: float
    floor: float
    iterations: int
    tolerance: float
    reseeds: int


def start_at(values: np.ndarray, centres: np.ndarray, rules: Rules) -> Mixture:
    """Return the mixture of the clusters around some centres; a centre without rows has the weight 0."""
    count, d = centres.shape
    sums = _sums(count, d)
    _accumulate_nearest(values, centres, *sums)
    return _maximise(sums, len(values), _prior(values, count), rules)


def fit_mixture(values: np.ndarray, start: Mixture, rules: Rules) -> tuple[Mixture, list[Step]]:
    """Run expectation-maximisation from a start.

    Parameters
    ----------
    values : float64 [n, d]
    start
        Components of it may be dead.
    rules
        A component whose weight falls below ``min_weight`` is dead: it becomes one half of the heaviest component. After
        ``reseeds`` such repairs the fit ends before the step that would starve a component again.

    Returns
    -------
    Mixture
        The likeliest mixture of the fit in which every component carries at least ``min_weight`` of the rows, both by its
        weight and by its responsibilities; by descending weight.
    list of Step

    Raises
    ------
    GateError
        The fit reached no such mixture.
    """
    sums = _sums(*start.means.shape)
    n, left = len(values), rules.reseeds
    steps: list[Step] = []
    best, highest = None, -math.inf
    prior = _prior(values, len(start.weights))
    mixture, reseeded = _revived(start, rules)
    for iteration in range(rules.iterations):
        factors, offsets = kernel_parameters(mixture)
        likelihood = _accumulate(values, mixture.means, factors, offsets, *sums) / n
        objective = likelihood + rules.prior_rows / n * _log_prior(factors, prior)
        steps.append(Step(likelihood, objective, reseeded))
        report_progress("iterations", iteration + 1, rules.iterations)
        starving = sums[0].min() < rules.min_weight * n
        if not starving and objective > highest:
            best, highest = mixture, objective
        if starving and not left:
            break
        settled = len(steps) > 1 and objective - steps[-2].objective < rules.tolerance
        if settled and not starving and not reseeded:
            break
        mixture, reseeded = _revived(_maximise(sums, n, prior, rules), rules)
        left -= bool(reseeded)
    if best is None:
        raise GateError(
            f"no mixture of {len(start.weights)} components with {rules.min_weight:.2%} of the rows each was found",
            where="fit of the mixture",
            fix="lower feature_groups.gmm_clustering.components, or raise iterations",
        )
    return best.ordered(), steps


def kernel_parameters(mixture: Mixture) -> tuple[np.ndarray, np.ndarray]:
    """Return the arguments of :func:`responsibilities` beside the means.

    Returns
    -------
    factors : float64 [K, d, d]
        Upper triangular U with U U' equal to the inverse covariance.
    offsets : float64 [K]
        Logarithm of weight times the density's constant.
    """
    d = mixture.means.shape[1]
    factors = np.zeros_like(mixture.covariances)
    for covariance, factor in zip(mixture.covariances, factors, strict=True):
        _invert(np.linalg.cholesky(covariance), factor)
    half_log_determinants = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    return factors, np.log(mixture.weights) + half_log_determinants - d / 2 * math.log(2 * math.pi)


@numba.njit(cache=True, nogil=True)
def _invert(lower: Any, out: Any) -> None:
    """Write the transposed inverse of a lower triangular matrix, by substitution; the lower triangle of ``out`` is 0."""
    for c in range(len(lower)):
        out[c, c] = 1 / lower[c, c]
        for i in range(c + 1, len(lower)):
            total = 0.0
            for j in range(c, i):
                total += lower[i, j] * out[c, j]
            out[c, i] = -total / lower[i, i]


@numba.njit(cache=True, nogil=True)
def responsibilities(values: Any, means: Any, factors: Any, offsets: Any, out: Any) -> None:
    """Write each component's posterior probability, float32 or float64 [n, K]."""
    count, d = means.shape
    difference, product, posterior = np.empty(d), np.empty(d), np.empty(count)
    for i in range(len(values)):
        _posterior(values[i], means, factors, offsets, difference, product, posterior)
        for k in range(count):
            out[i, k] = posterior[k]


@numba.njit(cache=True, nogil=True)
def _posterior(  # scratch space is handed in, so that no row allocates
    row: Any, means: Any, factors: Any, offsets: Any, difference: Any, product: Any, posterior: Any
) -> float:
    """Write the posterior of one row and return its log-likelihood."""
    count, d = means.shape
    highest = -np.inf
    for k in range(count):
        for j in range(d):
            difference[j] = row[j] - means[k, j]
            product[j] = 0.0
        for i in range(d):
            at = difference[i]
            for j in range(i, d):
                product[j] += at * factors[k, i, j]
        squared = 0.0
        for j in range(d):
            squared += product[j] * product[j]
        posterior[k] = offsets[k] - 0.5 * squared
        highest = max(highest, posterior[k])
    total = 0.0
    for k in range(count):
        posterior[k] = np.exp(posterior[k] - highest)
        total += posterior[k]
    for k in range(count):
        posterior[k] /= total
    return highest + np.log(total)


def _sums(count: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return empty arrays for every component's mass, first moments, and the upper triangle of its second moments."""
    return np.empty(count), np.empty((count, d)), np.empty((count, d, d))


@numba.njit(cache=True, nogil=True)
def _accumulate(values: Any, means: Any, factors: Any, offsets: Any, mass: Any, first: Any, second: Any) -> float:
    """Add up the rows, each shared among the components by its posterior; return the log-likelihood of all."""
    count, d = means.shape
    difference, product, posterior = np.empty(d), np.empty(d), np.empty(count)
    mass[:] = 0
    first[:] = 0
    second[:] = 0
    likelihood = 0.0
    for i in range(len(values)):
        likelihood += _posterior(values[i], means, factors, offsets, difference, product, posterior)
        for k in range(count):
            if posterior[k] > _NEGLIGIBLE:
                _add(values[i], posterior[k], k, mass, first, second)
    return likelihood


@numba.njit(cache=True, nogil=True)
def _accumulate_nearest(values: Any, centres: Any, mass: Any, first: Any, second: Any) -> None:
    mass[:] = 0
    first[:] = 0
    second[:] = 0
    for i in range(len(values)):
        k, _ = nearest(values[i], centres)
        _add(values[i], 1.0, k, mass, first, second)


@numba.njit(cache=True, nogil=True)
def _add(row: Any, share: float, k: int, mass: Any, first: Any, second: Any) -> None:
    mass[k] += share
    for i in range(len(row)):
        weighted = share * row[i]
        first[k, i] += weighted
        for j in range(i, len(row)):
            second[k, i, j] += weighted * row[j]


def _prior(values: np.ndarray, count: int) -> np.ndarray:
    """Return the prior of a covariance: that of all rows, shrunk to one of ``count`` equal parts of their volume."""
    centred = values - values.mean(axis=0)
    second = np.zeros((1, *2 * values.shape[1:]))
    _accumulate_nearest(centred, np.zeros((1, values.shape[1])), np.empty(1), np.empty((1, values.shape[1])), second)
    return _symmetric(second[0]) / len(values) / count ** (2 / values.shape[1])


def _log_prior(factors: np.ndarray, prior: np.ndarray) -> float:
    """Return the log density of all covariances for one row of the prior, up to a constant."""
    half_log_determinants = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum()
    return float(half_log_determinants - np.einsum("ij,kjl,kil->", prior, factors, factors) / 2)


def _symmetric(triangle: np.ndarray) -> np.ndarray:
    """Return the symmetric matrix of an upper triangle."""
    return np.asarray(np.triu(triangle) + np.triu(triangle, 1).T)


def _maximise(sums: tuple[np.ndarray, np.ndarray, np.ndarray], n: int, prior: np.ndarray, rules: Rules) -> Mixture:
    """Return the best parameters given the shares of the rows; a component without mass is left at the origin."""
    mass, first, second = sums
    carried = np.maximum(mass, np.finfo(np.float64).tiny)
    means = first / carried[:, None]
    covariances = np.empty_like(second)
    for k, (mean, square) in enumerate(zip(means, second, strict=True)):
        scatter = _symmetric(square) - carried[k] * np.outer(mean, mean)
        covariances[k] = _floored((scatter + rules.prior_rows * prior) / (carried[k] + rules.prior_rows), rules.floor)
    return Mixture(mass / n, means, covariances)


def _floored(covariance: np.ndarray, floor: float) -> np.ndarray:
    """Return the matrix with its eigenvalues raised to ``floor`` where they are lower."""
    variances, axes = np.linalg.eigh(covariance)
    floored = (axes * np.maximum(variances, floor)) @ axes.T
    return (floored + floored.T) / 2


def _revived(mixture: Mixture, rules: Rules) -> tuple[Mixture, int]:
    """Re-seed every dead component as one half of the heaviest one; return how many there were.

    The two halves have, together, the mean and the covariance that the heaviest component had (but for the floor).
    """
    dead = np.flatnonzero(mixture.weights < rules.min_weight)
    if not len(dead):
        return mixture, 0
    weights, means, covariances = mixture.weights.copy(), mixture.means.copy(), mixture.covariances.copy()
    weights[dead] = 0
    weights /= weights.sum()
    for k in dead:
        heaviest = int(np.argmax(weights))
        variances, axes = np.linalg.eigh(covariances[heaviest])
        axis = axes[:, -1] * np.sign(axes[np.argmax(np.abs(axes[:, -1])), -1])
        step = math.sqrt(_SPLIT * variances[-1]) * axis
        covariance = _floored(covariances[heaviest] - np.outer(step, step), rules.floor)
        weights[k] = weights[heaviest] = weights[heaviest] / 2
        means[k], means[heaviest] = means[heaviest] + step, means[heaviest] - step
        covariances[k] = covariances[heaviest] = covariance
    return Mixture(weights, means, covariances), len(dead)
