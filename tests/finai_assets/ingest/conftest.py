"""Small tables of the contract, each right in itself, for tests to spoil."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.ingest.contract import SNAPSHOTS, TRANSACTIONS
from finai_resources.months import Month

MONTH = Month.parse("2015-03")


@pytest.fixture
def month() -> Month:
    return MONTH


@pytest.fixture
def snapshots() -> pa.Table:
    n = 4
    return pa.table(
        {
            "customer_id": np.arange(10, 10 + n),
            "snapshot_month": [date(2015, 3, 1)] * n,
            "age": [20, 35, None, 64],
            "income": [1e6, None, 2.5e6, 0.0],
            "tenure_months": [1, 2, 3, None],
            "is_active": [True, False, None, True],
            "gender": ["female", "male", None, "male"],
            "segment": ["mass", "plus", "prime", None],
            "country": ["KR"] * n,
            "channel": ["branch", "app", "app", None],
            "held": [[0, 1], [], [23], [2, 5, 9]],
        },
        schema=SNAPSHOTS,
    )


@pytest.fixture
def transactions() -> pa.Table:
    return pa.table(
        {
            "customer_id": [10, 10, 11, 13],
            "ts": [datetime(2015, 3, 1), datetime(2015, 3, 31, 23, 59, 59, 999999), datetime(2015, 3, 5), datetime(2015, 3, 9)],
            "amount": [-5.0, 12.5, -0.25, 0.0],
            "mcc": [5411, 5812, 5411, 4111],
            "merchant_id": [1, None, 2, 3],
        },
        schema=TRANSACTIONS,
    )  # fmt: skip


@pytest.fixture
def mccs() -> np.ndarray:
    return np.array([4111, 5411, 5812], dtype=np.int32)
