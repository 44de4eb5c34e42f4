"""Truths of labels of holdings: products flip independently within a month, so that each law has a closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from finai_assets.ingest.synthetic.truth import Truth

if TYPE_CHECKING:
    from finai_assets.ingest.synthetic.cutoff import Cutoff, NextMonth
    from finai_assets.ingest.synthetic.record import Record
    from finai_assets.settings.tasks import ChurnSignalSettings

    Families = tuple[tuple[int, ...], ...]  # product ids of each


def poisson_binomial(probability: np.ndarray) -> np.ndarray:
    """Return the law of the number of successes in independent trials.

    Parameters
    ----------
    probability : float64 [n, trials]

    Returns
    -------
    float64 [n, trials + 1]
    """
    rows, trials = probability.shape
    law = np.zeros((rows, trials + 1))
    law[:, 0] = 1.0
    for trial in range(trials):
        p = probability[:, trial, None]
        law[:, 1 : trial + 2] = law[:, 1 : trial + 2] * (1.0 - p) + law[:, : trial + 1] * p
        law[:, :1] *= 1.0 - p
    return law


def _history(
    rows: np.ndarray, month: int, record: Record, chosen: ChurnSignalSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many of the last months have a snapshot, and the total number of products held in them."""
    window = slice(max(0, month - chosen.history_months + 1), month + 1)
    months = record.present[rows, window].sum(axis=1)
    return months, record.held[rows, window].sum(axis=(1, 2), dtype=np.int64)


def _churn(state: Cutoff, chosen: ChurnSignalSettings) -> np.ndarray:
    months, products = _history(state.rows, state.month, state.record, chosen)
    after = poisson_binomial(np.where(state.held, 1.0 - state.flip, state.flip))
    part, whole = chosen.share
    few = whole * np.arange(after.shape[1])[None, :] * months[:, None] < part * products[:, None]
    probability = (1.0 - state.stay) + state.stay * (after * few).sum(axis=1)
    return np.where(products > 0, probability, np.nan)


def _churned(next_month: NextMonth, chosen: ChurnSignalSettings) -> np.ndarray:
    months, products = _history(next_month.rows, next_month.month, next_month.record, chosen)
    part, whole = chosen.share
    few = whole * next_month.after.sum(axis=1) * months < part * products
    return np.where(products > 0, few, np.nan)


def _similarity(state: Cutoff, _parameters: None) -> np.ndarray:
    """Return the expected Jaccard similarity: kept / (held + acquired), of which kept and acquired are independent."""
    acquired = poisson_binomial(state.opens)
    number = state.held.sum(axis=1)
    union = np.maximum(1, number[:, None] + np.arange(acquired.shape[1]))
    kept = np.where(state.held, 1.0 - state.flip, 0.0).sum(axis=1)
    return np.asarray(state.stay * kept * (acquired / union).sum(axis=1))


def _similar(next_month: NextMonth, _parameters: None) -> np.ndarray:
    now, after = next_month.before, next_month.after
    union = (now | after).sum(axis=1)
    return np.where(union > 0, (now & after).sum(axis=1) / np.maximum(1, union), np.nan)


def _first_family(state: Cutoff, families: Families) -> np.ndarray:
    """Return the law of the first product's family: the first is the lowest id, so none of the lower ones may be acquired."""
    none_before = np.cumprod(1.0 - state.opens, axis=1)
    first = state.stay[:, None] * state.opens * np.hstack([np.ones((len(state.held), 1)), none_before[:, :-1]])
    law = np.zeros((len(state.held), len(families) + 1))
    for place, members in enumerate(families):
        for product in members:
            law[:, 1 + place] += first[:, product]
    law[:, 0] = 1.0 - law[:, 1:].sum(axis=1)
    return law


def _family(next_month: NextMonth, families: Families) -> np.ndarray:
    opened = next_month.opened
    class_of = np.zeros(opened.shape[1], np.int64)
    for place, members in enumerate(families):
        class_of[list(members)] = 1 + place
    return np.where(opened.any(axis=1), class_of[opened.argmax(axis=1)], 0).astype(float)


def _count(state: Cutoff, _parameters: None) -> np.ndarray:
    return np.asarray(state.stay * state.opens.sum(axis=1))


def _counted(next_month: NextMonth, _parameters: None) -> np.ndarray:
    return next_month.opened.sum(axis=1).astype(float)


def _any_of(state: Cutoff, members: tuple[int, ...]) -> np.ndarray:
    return np.asarray(state.stay * (1.0 - np.prod(1.0 - state.opens[:, list(members)], axis=1)))


def _one_of(next_month: NextMonth, members: tuple[int, ...]) -> np.ndarray:
    return next_month.opened[:, list(members)].any(axis=1).astype(float)


CHURN_SIGNAL = Truth(_churn, _churned)
PRODUCT_STABILITY = Truth(_similarity, _similar)
NBA_PRIMARY = Truth(_first_family, _family)
CROSS_SELL_COUNT = Truth(_count, _counted)
WILL_ACQUIRE = Truth(_any_of, _one_of)
