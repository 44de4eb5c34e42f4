"""How far a task's output moved between two bundles on the same rows: figures that the verdict tells and that refuse nothing."""

from __future__ import annotations

import numpy as np

from finai_assets.promotion.facts import TaskShift
from finai_resources.json_text import number

BINS = 10
_EMPTY = 1e-4  # share of a bin that nobody is in, so that its logarithm exists


def shift_of(task: str, old: np.ndarray, new: np.ndarray) -> TaskShift:
    """Return the shift of a task's output.

    Parameters
    ----------
    old, new : float64 [n] or [n, classes]
        Finished predictions of the same rows. Of classes, PSI and JSD compare how often each is the most likely one; rank
        correlation and mean shift are those of the class whose mean moved furthest.
    """
    if old.ndim == 2:
        classes = old.shape[1]
        shares = [np.bincount(each.argmax(axis=1), minlength=classes) / len(each) for each in (old, new)]
        moved = int(np.abs(new.mean(axis=0) - old.mean(axis=0)).argmax())
        old, new = old[:, moved], new[:, moved]
    else:
        edges = np.unique(np.quantile(old, np.linspace(0, 1, BINS + 1)[1:-1]))
        places = [np.searchsorted(edges, each, side="right") for each in (old, new)]
        shares = [np.bincount(place, minlength=len(edges) + 1) / len(place) for place in places]
    psi, jsd = population_stability(*shares), jensen_shannon(*shares)
    constant = np.ptp(old) == 0  # its standard deviation need not be zero: rounding
    mean = float("nan") if constant else (float(new.mean()) - float(old.mean())) / float(old.std())
    return TaskShift(task, number(psi), number(jsd), number(_rank_correlation(old, new)), number(mean))


def population_stability(old: np.ndarray, new: np.ndarray) -> float:
    """Return the population stability index of two distributions, float [bins] each.

    >>> round(population_stability(np.array([0.5, 0.5]), np.array([0.5, 0.5])), 6)
    0.0
    >>> round(population_stability(np.array([0.5, 0.5]), np.array([0.25, 0.75])), 3)
    0.275
    """
    p, q = np.maximum(old, _EMPTY), np.maximum(new, _EMPTY)
    return float(((q - p) * np.log(q / p)).sum())


def jensen_shannon(old: np.ndarray, new: np.ndarray) -> float:
    """Return the Jensen-Shannon divergence of two distributions in bits, float [bins] each: 0 where equal, 1 where apart.

    >>> jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    1.0
    """
    from scipy import stats

    middle = (old + new) / 2
    return float((stats.entropy(old, middle, base=2) + stats.entropy(new, middle, base=2)) / 2)


def _rank_correlation(old: np.ndarray, new: np.ndarray) -> float:
    from scipy import stats

    if np.ptp(old) == 0 or np.ptp(new) == 0:
        return float("nan")
    return float(stats.spearmanr(old, new).statistic)
