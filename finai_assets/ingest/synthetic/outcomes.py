"""What happened in the month after a cutoff, read off the record: the generator's own view of the labels, for its report.

The labels that models learn from are derived from the raw tables (``finai_assets.labels``); a test holds the two together.
"""

from __future__ import annotations

import numpy as np

from finai_assets.ingest.synthetic.record import Record
from finai_assets.labels.derive import CHURN_SHARE
from finai_assets.labels.windows import HISTORY_MONTHS
from finai_assets.settings import Settings


def month_outcome(rows: np.ndarray, month: int, record: Record, settings: Settings) -> dict[str, np.ndarray]:
    """Return each task's label for the customers at ``rows``, float64 [rows]; NaN where it is not defined.

    The label of ``next_mcc`` is the leaf's index, that of ``segment_prediction`` the segment's.
    """
    now = record.held[rows, month].astype(bool)
    stays = record.present[rows, month + 1]
    after = record.held[rows, month + 1].astype(bool) & stays[:, None]
    opened = after & ~now
    family = np.array([1 + settings.families.index(product.family) for product in settings.products])
    outcome = {
        f"will_acquire_{name}": opened[:, [settings.product_ids[code] for code in codes]].any(axis=1).astype(float)
        for name, codes in settings.acquisition_sets.items()
    }
    outcome["nba_primary"] = np.where(opened.any(axis=1), family[opened.argmax(axis=1)], 0).astype(float)
    outcome["cross_sell_count"] = opened.sum(axis=1).astype(float)
    union = (now | after).sum(axis=1)
    outcome["product_stability"] = np.where(union > 0, (now & after).sum(axis=1) / np.maximum(1, union), np.nan)
    window = slice(max(0, month - HISTORY_MONTHS + 1), month + 1)
    products = record.held[rows, window].sum(axis=(1, 2), dtype=np.int64)
    share, whole = CHURN_SHARE
    few = whole * after.sum(axis=1) * record.present[rows, window].sum(axis=1) < share * products
    outcome["churn_signal"] = np.where(products > 0, few, np.nan)
    outcome["segment_prediction"] = np.where(stays, record.segment[rows, month + 1], np.nan)
    first, top = record.first[rows, month + 1], record.top[rows, month + 1]
    outcome["next_mcc"] = np.where(first >= 0, first, np.nan)
    before, later = record.distinct[rows, month], record.distinct[rows, month + 1]
    outcome["mcc_diversity_trend"] = (later - before) / np.maximum(1.0, before)
    known = (top >= 0) & (record.top[rows, month] >= 0)
    outcome["top_mcc_shift"] = np.where(known, top != record.top[rows, month], np.nan)
    return outcome
