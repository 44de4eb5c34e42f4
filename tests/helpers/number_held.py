"""A task that the platform does not have: whether a customer will hold fewer, as many, or more products.

One row, its formula, what persistence forecasts, its truth, and the label once more in SQL: all that a task consists of.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from finai_assets.features.inputs import HELD
from finai_assets.ingest.synthetic.cutoff import Cutoff, NextMonth
from finai_assets.ingest.synthetic.truth import Truth
from finai_assets.ingest.synthetic.truths.holdings import poisson_binomial
from finai_assets.labels.task import Task, Window
from finai_assets.labels.windows import LabelBlock
from finai_assets.settings import Settings
from finai_checks.labels.statements import Statement
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

FEWER, SAME, MORE = "fewer", "same", "more"


def formula(block: LabelBlock, _parameters: None) -> pa.Array:
    change = block.held_next.sum(axis=1) - block.held_now.sum(axis=1)
    return pa.array(1 + np.sign(change), pa.int8())


def persistence(_session: LakeSession, _month: Month, customer: np.ndarray, _settings: Settings) -> np.ndarray:
    return np.ones(len(customer))


def law(state: Cutoff, _parameters: None) -> np.ndarray:
    after = poisson_binomial(np.where(state.held, 1.0 - state.flip, state.flip)) * state.stay[:, None]
    after[:, 0] += 1.0 - state.stay
    change = np.sign(np.arange(after.shape[1])[None, :] - state.held.sum(axis=1)[:, None])
    return np.stack([(after * (change == sign)).sum(axis=1) for sign in (-1, 0, 1)], axis=1)


def outcome(happened: NextMonth, _parameters: None) -> np.ndarray:
    return 1.0 + np.sign(happened.after.sum(axis=1) - happened.before.sum(axis=1))


TRUTH = Truth(law, outcome)
STATEMENT = Statement(
    """WITH current AS (SELECT customer_id, len(held) AS products FROM raw.snapshots WHERE month = $now),
    later AS (SELECT customer_id, len(held) AS products FROM raw.snapshots WHERE month = $end)
    SELECT customer_id, 1 + sign(coalesce(later.products, 0) - current.products) AS label
    FROM (SELECT customer_id FROM raw.snapshots WHERE month = $of)
    JOIN current USING (customer_id) LEFT JOIN later USING (customer_id)""",
    end=True,
)

ROW = Task(
    "number_held", "multiclass", "lifecycle", 1.0, "Number held", "보유 상품 수 변화",
    "whether fewer, as many, or more products are held at the end of the window than at the cutoff",
    (HELD,), Window(history_months=1, end=True), "number_held:formula", type=pa.int8(),
    class_names=(FEWER, SAME, MORE), persistence="number_held:persistence", truth="number_held:TRUTH",
    statement="number_held:STATEMENT",
)  # fmt: skip
