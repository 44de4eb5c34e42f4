"""Labels of holdings: what is held at the end of the window, beside what was held before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from finai_assets.labels.formulas.arrow import floats

if TYPE_CHECKING:
    from finai_assets.labels.windows import LabelBlock
    from finai_assets.settings.tasks import ChurnSignalSettings


def churn_signal(block: LabelBlock, chosen: ChurnSignalSettings) -> pa.Array:
    """Return whether fewer products are held at the end than a share of the mean number of the last observed months."""
    held, observed = (past[:, -chosen.history_months :] for past in (block.held, block.observed))
    part, whole = chosen.share
    count = np.where(observed, held.sum(axis=2), 0).sum(axis=1)
    return floats(whole * block.held_next.sum(axis=1) * observed.sum(axis=1) < part * count, count > 0)


def product_stability(block: LabelBlock, _parameters: None) -> pa.Array:
    """Return the Jaccard similarity of the products held at the cutoff and at the end."""
    now, after = block.held_now, block.held_next
    union = (now | after).sum(axis=1)
    return floats((now & after).sum(axis=1) / np.maximum(1, union), union > 0)


def nba_primary(block: LabelBlock, families: tuple[tuple[int, ...], ...]) -> pa.Array:
    """Return 1 + the family of the first product acquired, 0 where there is none.

    The lowest id stands for the first product: a snapshot does not tell the order within a month.

    Parameters
    ----------
    families : tuple of tuple of int
        Product ids of each family; every product is in one.
    """
    acquired = block.acquired
    class_of = np.zeros(acquired.shape[1], dtype=np.int8)
    for place, members in enumerate(families):
        class_of[list(members)] = place + 1
    return pa.array(np.where(acquired.any(axis=1), class_of[acquired.argmax(axis=1)], 0), pa.int8())


def cross_sell_count(block: LabelBlock, _parameters: None) -> pa.Array:
    """Return the number of products acquired."""
    return floats(block.acquired.sum(axis=1))


def will_acquire(block: LabelBlock, members: tuple[int, ...]) -> pa.Array:
    """Return whether any product of a set (given by ids) is acquired."""
    return floats(np.asarray(block.acquired[:, list(members)].any(axis=1)))
