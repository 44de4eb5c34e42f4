"""Hidden Markov models with diagonal Gaussian emissions: penalised maximum likelihood, and the forward filter.

Baum, Petrie, Soules, Weiss: A maximization technique occurring in the statistical analysis of probabilistic functions of Markov
chains (1970); Rabiner: A tutorial on hidden Markov models and selected applications in speech recognition (1989).

Sequences have different lengths and end together: ``observations`` is float64 [n, steps, dimensions], and ``first`` int64 [n]
says at which step each begins. A NaN is a dimension that the step does not show; it is integrated out, so that a step of NaN
alone leaves the state to the chain.

Repeated values (a month without a transaction is the same for everybody) let the likelihood of a Gaussian grow without bound
while its variance shrinks to nothing. A floor under every variance prevents that. It is part of the optimum, not a repair after
it: with a diagonal covariance the M-step's objective has one peak in each variance, so the best variance not below the floor is
the greater of the two, and the likelihood still never falls from one iteration to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numba
import numpy as np

from finai_resources.progress import report_progress

_STAY = 0.8  # at the start of the fit
_SETTLE = 50


@dataclass(frozen=True, slots=True)
class Hmm:
    """A model of K states in D dimensions.

    Parameters
    ----------
    start : float64 [K]
        Distribution of the state at the first step.
    transition : float64 [K, K]
        From the row's state to the column's; like ``start`` without a zero, so that no observation is impossible.
    mean, variance : float64 [K, D]
        Of the observations, in the units of these.
    """

    start: np.ndarray
    transition: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the four arrays, as kernels take them."""
        return self.start, self.transition, self.mean, self.variance

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the four arrays."""
        return tuple(field.name for field in fields(cls))

    def reordered(self, order: np.ndarray) -> Hmm:
        """Return the same model with its states in another order."""
        return Hmm(self.start[order], self.transition[np.ix_(order, order)], self.mean[order], self.variance[order])

    def dwell(self) -> np.ndarray:
        """Return the expected steps that a visit to each state lasts, float64 [K]: the mean of a geometric distribution."""
        stay = np.diagonal(self.transition)
        return 1 / np.maximum(1 - stay, np.finfo(float).eps)

    def entropy(self) -> np.ndarray:
        """Return the entropy of the next state in nats, float64 [K], given each state."""
        logs = np.log(np.where(self.transition > 0, self.transition, 1.0))
        return np.maximum(0.0, -(self.transition * logs).sum(axis=1))


def initial_model(observations: np.ndarray, states: int, *, floor: float) -> Hmm:
    """Return a start for the fit, without chance: a state for each cluster of the steps that show every dimension.

    Clusters are k-means centres, begun by variance partitioning (Su, Dy: A deterministic method for initializing k-means
    clustering, 2004), so that like samples lead to like models. Of several starts the most likely would win by a hair in one
    sample and lose in the next, and the states would change their meaning. Where there are fewer different values than states,
    the rest begin as the whole: zero mean, unit variance.

    Parameters
    ----------
    observations : float64 [n, steps, D]
        Standardised.
    floor : float
        Lowest variance.
    """
    steps = observations.reshape(-1, observations.shape[-1])
    steps = np.ascontiguousarray(steps[~np.isnan(steps).any(axis=1)])
    label = _partition(steps, states)
    _settle(steps, label, states, _SETTLE)
    mean, variance = np.zeros((states, steps.shape[1])), np.ones((states, steps.shape[1]))
    for state in np.unique(label).tolist():
        members = steps[label == state]
        mean[state], variance[state] = members.mean(axis=0), np.maximum(members.var(axis=0), floor)
    transition = np.full((states, states), (1 - _STAY) / (states - 1))
    np.fill_diagonal(transition, _STAY)
    return Hmm(np.full(states, 1 / states), transition, mean, variance)


def fit_model(
    observations: np.ndarray,
    first: np.ndarray,
    model: Hmm,
    *,
    iterations: int,
    tolerance: float,
    floor: float,
    prior: float,
) -> tuple[Hmm, np.ndarray]:
    """Improve a model by expectation-maximisation.

    Parameters
    ----------
    observations : float64 [n, steps, D]
        Standardised: the prior has zero mean and unit variance.
    tolerance : float
        The fit ends when an iteration gains less than this, in nats for each step that was seen.
    floor : float
        Lowest variance.
    prior : float
        Weight of the prior: so many steps, begun in each state, followed by each state, and observed with the mean and variance
        of the whole. A state that no step visits keeps a defined mean, and no transition is impossible.

    Returns
    -------
    Hmm
        After the last iteration.
    float64 [iterations done]
        The penalised log-likelihood before each iteration, in nats a step; it never falls.
    """
    shape = model.mean.shape
    steps = max(1, int((observations.shape[1] - first).sum()))
    history: list[float] = []
    for done in range(iterations):
        counts = tuple(np.zeros(size) for size in (shape[0], (shape[0], shape[0]), shape, shape, shape))
        likelihood = _expect(observations, first, model.arrays, counts)
        history.append((likelihood + _log_prior(model, prior)) / steps)
        model = _maximise(counts, floor, prior)
        report_progress("iterations", done + 1, iterations)
        if done and history[-1] - history[-2] < tolerance:
            break
    return model, np.array(history)


def filter_last(observations: np.ndarray, first: np.ndarray, model: Hmm) -> np.ndarray:
    """Return the distribution of each sequence's last state given all its observations, float64 [n, K]."""
    posterior = np.empty((len(observations), len(model.start)))
    _filter(observations, first, model.arrays, posterior)
    return posterior


def _partition(values: np.ndarray, count: int) -> np.ndarray:
    """Return the cluster of each row: the cluster with most scatter is repeatedly cut at the mean of its widest dimension."""
    label = np.zeros(len(values), np.int64)
    for made in range(1, count):
        scatter = [values[label == k].var(axis=0) * (label == k).sum() for k in range(made)] if len(values) else []
        widest = int(np.argmax([s.sum() for s in scatter])) if scatter else 0
        if not scatter or scatter[widest].sum() <= 1e-12 * len(values):
            break
        members = np.flatnonzero(label == widest)
        column = values[members, scatter[widest].argmax()]
        label[members[column > column.mean()]] = made
    return label


@numba.njit(cache=True, nogil=True)
def _settle(values: Any, label: Any, clusters: int, rounds: int) -> None:
    """Move rows to the cluster with the nearest mean until none moves (Lloyd's algorithm), or for so many rounds."""
    n, dimensions = values.shape
    for _ in range(rounds):
        mean, size = np.zeros((clusters, dimensions)), np.zeros(clusters)
        for i in range(n):
            size[label[i]] += 1
            for d in range(dimensions):
                mean[label[i], d] += values[i, d]
        for k in range(clusters):
            mean[k] /= max(size[k], 1)
        moved = False
        for i in range(n):
            nearest, best = label[i], np.inf
            for k in range(clusters):
                distance = 0.0
                for d in range(dimensions):
                    distance += (values[i, d] - mean[k, d]) ** 2
                if size[k] and distance < best:
                    nearest, best = k, distance
            moved |= nearest != label[i]
            label[i] = nearest
        if not moved:
            break


def _log_prior(model: Hmm, weight: float) -> float:
    density = np.log(2 * np.pi * model.variance) + (model.mean**2 + 1) / model.variance
    return weight * float(np.log(model.start).sum() + np.log(model.transition).sum() - 0.5 * density.sum())


def _maximise(counts: tuple[np.ndarray, ...], floor: float, prior: float) -> Hmm:
    """Return the model that maximises the penalised expectation of the complete log-likelihood."""
    starts, moves, weight, total, square = counts
    weight = weight + prior
    mean = total / weight
    variance = (square + prior) / weight - mean**2  # the prior's steps have the second moment 1
    moves = moves + prior
    starts = starts + prior
    return Hmm(starts / starts.sum(), moves / moves.sum(axis=1)[:, None], mean, np.maximum(variance, floor))


@numba.njit(cache=True, nogil=True)
def _emit(step: Any, mean: Any, precision: Any, constant: Any, out: Any) -> float:
    """Write each state's density of a step, divided by the greatest of them, and return the logarithm of that."""
    states, dimensions = mean.shape
    best = -np.inf
    for k in range(states):
        log = 0.0
        for d in range(dimensions):
            if not np.isnan(step[d]):
                away = step[d] - mean[k, d]
                log -= 0.5 * (away * away * precision[k, d] + constant[k, d])
        out[k] = log
        best = max(best, log)
    for k in range(states):
        out[k] = np.exp(out[k] - best)
    return best


@numba.njit(cache=True, nogil=True)
def _advance(before: Any, is_first: bool, transition: Any, density: Any, after: Any) -> float:
    """Write the filtered distribution after a step from that before it; return the step's density under the prediction."""
    states = len(density)
    total = 0.0
    for k in range(states):
        predicted = before[k]
        if not is_first:
            predicted = 0.0
            for j in range(states):
                predicted += before[j] * transition[j, k]
        after[k] = predicted * density[k]
        total += after[k]
    for k in range(states):
        after[k] /= total
    return total


@numba.njit(cache=True, nogil=True)
def _filter(observations: Any, first: Any, model: Any, posterior: Any) -> None:
    start, transition, mean, variance = model
    n, steps, _ = observations.shape
    states = len(start)
    precision, constant = 1 / variance, np.log(2 * np.pi * variance)
    density, before = np.empty(states), np.empty(states)
    for i in range(n):
        after = posterior[i]
        before[:] = start
        for t in range(first[i], steps):
            _emit(observations[i, t], mean, precision, constant, density)
            _advance(before, t == first[i], transition, density, after)
            before[:] = after


@numba.njit(cache=True, nogil=True)
def _expect(observations: Any, first: Any, model: Any, counts: Any) -> float:
    """Add up the expected starts, moves, and moments of the observations of each state; return the log-likelihood."""
    start, transition, mean, variance = model
    starts, moves, weight, total, square = counts
    n, steps, dimensions = observations.shape
    states = len(start)
    precision, constant = 1 / variance, np.log(2 * np.pi * variance)
    density, filtered = np.empty((steps, states)), np.empty((steps, states))
    scale = np.empty(steps)
    ahead, behind = np.empty(states), np.empty(states)
    likelihood = 0.0
    for i in range(n):
        for t in range(first[i], steps):
            likelihood += _emit(observations[i, t], mean, precision, constant, density[t])
            is_first = t == first[i]
            before = start if is_first else filtered[t - 1]
            scale[t] = _advance(before, is_first, transition, density[t], filtered[t])
            likelihood += np.log(scale[t])
        ahead[:] = 1  # the density of what follows a step given its state, over that given the past
        for t in range(steps - 1, first[i] - 1, -1):
            for k in range(states):
                smoothed = filtered[t, k] * ahead[k]
                if t == first[i]:
                    starts[k] += smoothed
                for d in range(dimensions):
                    value = observations[i, t, d]
                    if not np.isnan(value):
                        weight[k, d] += smoothed
                        total[k, d] += smoothed * value
                        square[k, d] += smoothed * value * value
                behind[k] = density[t, k] * ahead[k] / scale[t]
            if t > first[i]:
                for j in range(states):
                    ahead[j] = 0.0
                    for k in range(states):
                        reached = transition[j, k] * behind[k]
                        moves[j, k] += filtered[t - 1, j] * reached
                        ahead[j] += reached
    return likelihood
