"""Tests whether gate weights reflect which expert a task needs, by their correlation with the cost of taking it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from finai_assets.evaluation.explanation.ablation_of_experts import CLOSED, REPLACED, Ablation
from finai_assets.evaluation.explanation.deletion import verdict
from finai_assets.scoring.resampling import CustomerMeans, mean_interval
from finai_assets.settings.method import MetricSettings


def across_cells(
    ablation: Ablation, trivial: Mapping[str, float], customer: np.ndarray, metrics: MetricSettings, seed: int
) -> dict[str, Any]:
    """Return the rank correlation of mean gate weight and loss increase over tasks and slots, and within tasks.

    Parameters
    ----------
    trivial : task -> float
        Loss of the train average, in which a task's loss increases are measured, so that tasks can stand side by side.
    customer : int64 [n]
    """
    tasks, slots, n = ablation.gates.shape
    scale = np.array([trivial[name] for name in ablation.tasks])[:, None, None]
    found: dict[str, Any] = {"cells": tasks * slots}
    for way in (REPLACED, CLOSED):
        cells = {"loss": ablation.losses[way] / scale, "change": ablation.changes[way]}
        found[way] = {}
        for name, values in cells.items():
            both = np.concatenate([ablation.gates.reshape(-1, n), values.reshape(-1, n)]).T
            means = CustomerMeans(both, customer, metrics, seed)
            found[way][name] = {
                "over_all": means.interval(lambda m: _spearman(m[:, : tasks * slots], m[:, tasks * slots :])).plain(),
                "within_tasks": means.interval(
                    lambda m: _known_mean(
                        _spearman(
                            m[:, : tasks * slots].reshape(-1, tasks, slots),
                            m[:, tasks * slots :].reshape(-1, tasks, slots),
                        )
                    )
                ).plain(),
            }
    return found


def of_task(ablation: Ablation, task: str, customer: np.ndarray, metrics: MetricSettings, seed: int) -> dict[str, Any]:
    """Return for each slot of a task its weight and its worth, and how they go together row by row.

    ``over_rows`` of a slot is the rank correlation over rows of its weight with the loss increase, or the movement, without it
    (ranks are those of all rows, also in resamples); ``order_in_row`` the mean over rows of the rank correlation over the
    row's slots.
    """
    at = ablation.tasks.index(task)
    gates, losses, changes = (
        ablation.gates[at],
        {way: values[at] for way, values in ablation.losses.items()},
        {way: values[at] for way, values in ablation.changes.items()},
    )
    slots = {
        slot: {
            "gate": float(gates[index].mean()),
            "loss_increase": _plain(losses[REPLACED][index], customer, metrics, seed),
            "loss_increase_gate_closed": _plain(losses[CLOSED][index], customer, metrics, seed),
            "change": _plain(changes[REPLACED][index], customer, metrics, seed),
            "over_rows": {
                name: _plain(_rank_products(gates[index], values[REPLACED][index]), customer, metrics, seed)
                for name, values in (("loss", losses), ("change", changes))
            },
        }
        for index, slot in enumerate(ablation.slots)
    }
    ordered = {
        name: _plain(_spearman(gates.T, values.T), customer, metrics, seed)
        for name, values in (("loss", losses[REPLACED]), ("change", changes[REPLACED]))
    }
    return {"slots": slots, "order_in_row": ordered, "top_expert": _top_expert(gates, changes, customer, metrics, seed)}


def _top_expert(
    gates: np.ndarray, changes: Mapping[str, np.ndarray], customer: np.ndarray, metrics: MetricSettings, seed: int
) -> dict[str, Any]:
    """Compare taking out the row's highest weighted expert with one drawn at random, whose mean is that over all experts."""
    top = gates.argmax(axis=0)
    found: dict[str, Any] = {}
    for way, values in changes.items():
        chosen = values[top, np.arange(values.shape[1])]
        means = CustomerMeans(np.stack([chosen, values.mean(0), values.max(0)], axis=1), customer, metrics, seed)
        difference = means.interval(lambda m: m[:, 0] - m[:, 1]).plain()
        found[way] = {
            "top": float(means.means[0, 0]),
            "random": float(means.means[0, 1]),
            "most_needed": float(means.means[0, 2]),
            "top_minus_random": difference,
            "verdict": verdict(difference),
        }
    return found


def _plain(values: np.ndarray, customer: np.ndarray, metrics: MetricSettings, seed: int) -> dict[str, Any]:
    return mean_interval(values, customer, metrics, seed).plain()


def _spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the rank correlation along the last axis; NaN where one side is constant or not known."""
    known = np.isfinite(a).all(-1) & np.isfinite(b).all(-1)
    first, second = _standard_ranks(a), _standard_ranks(b)
    return np.asarray(np.where(known, (first * second).mean(-1), np.nan))


def _known_mean(values: np.ndarray) -> np.ndarray:
    """Return the mean along the last axis of the values that are not NaN; NaN where there is none."""
    known = np.isfinite(values)
    count = known.sum(-1)
    total = np.where(known, values, 0.0).sum(-1)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


def _standard_ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks along the last axis of mean 0 and variance 1; NaN where all are alike."""
    from scipy.stats import rankdata

    ranks = rankdata(np.nan_to_num(values), axis=-1)
    ranks = ranks - ranks.mean(-1, keepdims=True)
    spread = ranks.std(-1, keepdims=True)
    return np.divide(ranks, spread, out=np.full(ranks.shape, np.nan), where=spread > 0)


def _rank_products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return each row's term in the rank correlation of two row values, float64 [n]; NaN where one is not known."""
    known = np.isfinite(a) & np.isfinite(b)
    found = np.full(len(a), np.nan)
    if known.sum() > 1:
        found[known] = _standard_ranks(a[known]) * _standard_ranks(b[known])
    return found
