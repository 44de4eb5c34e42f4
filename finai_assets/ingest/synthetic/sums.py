"""Additive figures of a block, from which the report is made: sums and counts alone, so memory does not grow with blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from finai_assets.ingest.synthetic.cutoff import NextMonth
from finai_assets.ingest.synthetic.record import STATE, Record
from finai_assets.ingest.synthetic.spending import Payments
from finai_assets.ingest.synthetic.truth import MonthTruth, TaskTruth
from finai_assets.settings import Settings

Sums = dict[str, np.ndarray]

LARGEST_COUNT = 512  # payments a month; more count as this many
AMOUNT_BINS = np.geomspace(1.0, 1e9, 181)  # 20 a decade
LAGS = (1, 6, 12)
DECILES = 10
# A probability's leading 16 bits as float32: 128 steps per doubling, ordered as the numbers are.
SCORE_BINS = (int(np.float32(1.0).view(np.uint32)) >> 16) + 1


def add_sums(left: Sums, right: Sums) -> Sums:
    """Return the figures of two blocks together."""
    if not left:
        return right
    return {name: left[name] + right[name] for name in left}


def block_sums(
    payments: Payments,
    record: Record,
    months: dict[int, MonthTruth],
    truths: Sequence[TaskTruth],
    settings: Settings,
) -> Sums:
    """Return the additive figures of a block; ``months`` maps a snapshot month's position to the values of ``truths``."""
    return {
        **_panel_sums(record, settings),
        **_payment_sums(payments, len(settings.merchant_categories)),
        **_truth_sums(record, months, truths),
    }


def _panel_sums(record: Record, settings: Settings) -> Sums:
    present = record.present
    held = record.held[present]
    both = present[:, 1:] & present[:, :-1]
    before, after = record.held[:, :-1][both], record.held[:, 1:][both]
    count = record.number[present]
    state = record.state[present].astype(np.float64)
    sums = {
        "customers": np.array(len(present)),
        "customer_months": np.array(present.sum()),
        "pairs_of_months": np.array(both.sum()),
        "joined": np.array((present[:, 1:] & ~present[:, :-1]).sum()),
        "left": np.array((present[:, :-1] & ~present[:, 1:]).sum()),
        "number_held": np.bincount(held.sum(axis=1), minlength=held.shape[1] + 1),
        "held": held.sum(axis=0, dtype=np.int64),
        "opened": (after > before).sum(axis=0),
        "closed": (after < before).sum(axis=0),
        "could_open": (before == 0).sum(axis=0),
        "segments": np.bincount(record.segment[present], minlength=len(settings.dataset.segments)),
        "segment_moves": np.array((record.segment[:, 1:] != record.segment[:, :-1])[both].sum()),
        "payments_a_month": np.bincount(np.minimum(count, LARGEST_COUNT), minlength=LARGEST_COUNT + 1),
        "state_sum": state.sum(axis=0),
        "state_squares": (state**2).sum(axis=0),
        "in_episode": np.array((state[:, STATE.index("episode")] > 0).sum()),
    }
    for lag in LAGS:
        pair = present[:, lag:] & present[:, :-lag]
        x = np.log1p(record.number[:, :-lag][pair].astype(np.float64))
        y = np.log1p(record.number[:, lag:][pair].astype(np.float64))
        sums[f"lag_{lag}"] = np.array([len(x), x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()])
    return sums


def _payment_sums(payments: Payments, leaves: int) -> Sums:
    day = payments.ts // 86_400_000_000
    size = np.abs(payments.amount)
    # Consecutive payments of a customer, across months: the chain whose order a sequence model can use.
    follows = payments.customer[1:] == payments.customer[:-1]
    pairs = payments.leaf[:-1].astype(np.int64) * leaves + payments.leaf[1:]
    return {
        "payments": np.array(len(day)),
        "refunds": np.array((payments.amount > 0).sum()),
        "hours": np.bincount((payments.ts // 3_600_000_000) % 24, minlength=24),
        "weekdays": np.bincount((day + 3) % 7, minlength=7),  # 1970-01-01 was a Thursday
        "amounts": np.histogram(np.clip(size, 1.0, 9e8), AMOUNT_BINS)[0],
        "amount_sum": np.array(size.sum()),
        "transitions": np.bincount(pairs[follows], minlength=leaves * leaves).reshape(leaves, leaves),
    }


def _truth_sums(record: Record, months: dict[int, MonthTruth], truths: Sequence[TaskTruth]) -> Sums:
    sums: Sums = {}
    for column, (month, found) in enumerate(sorted(months.items())):
        happened = NextMonth(found.rows, month, record)
        for of in truths:
            outcome = of.truth.outcome(happened, of.parameters)
            for name, value in _task_sums(outcome, found.values[of.task], of.kind).items():
                total = sums.setdefault(f"{of.task}/{name}", np.zeros((len(months), *value.shape)))
                total[column] += value
    # Only rates are wanted by month; scores are pooled.
    return {n: (a if n.endswith(("/rows", "/label")) else a.sum(axis=0)) for n, a in sums.items()}


def _task_sums(label: np.ndarray, truth: np.ndarray, kind: str) -> Sums:
    known = ~np.isnan(label)
    label, truth = label[known], truth[known].astype(np.float64)
    rows = np.array(float(len(label)))
    if kind == "multiclass":
        index = label.astype(np.int64)
        own = truth[np.arange(len(index)), index]
        return {
            "rows": rows,
            "label": np.bincount(index, minlength=truth.shape[1]).astype(np.float64),
            "truth": truth.sum(axis=0),
            "log_loss": np.array(-np.log(np.maximum(own, 1e-12)).sum()),
            "hits": np.array(float((truth.argmax(axis=1) == index).sum())),
        }
    if kind == "regression":
        squares = [(label**2).sum(), ((label - truth) ** 2).sum()]
        return {
            "rows": rows,
            "label": np.array(label.sum()),
            "truth": np.array(truth.sum()),
            "squares": np.array(squares),
        }
    score = truth.astype(np.float32).view(np.uint32) >> 16
    positive = label > 0
    tenth = np.minimum((truth * DECILES).astype(np.int64), DECILES - 1)
    return {
        "rows": rows,
        "label": np.array(label.sum()),
        "truth": np.array(truth.sum()),
        "positives": np.bincount(score[positive], minlength=SCORE_BINS).astype(np.float64),
        "negatives": np.bincount(score[~positive], minlength=SCORE_BINS).astype(np.float64),
        "tenth_rows": np.bincount(tenth, minlength=DECILES).astype(np.float64),
        "tenth_label": np.bincount(tenth, weights=label, minlength=DECILES),
        "tenth_truth": np.bincount(tenth, weights=truth, minlength=DECILES),
    }
