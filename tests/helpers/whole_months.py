"""Whole months checked against the data contract, as the loader checks them piece by piece."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from finai_assets.ingest.contract_checker import MonthChecker
from finai_assets.settings import Settings
from finai_resources.months import Month


def check_snapshots(table: pa.Table, *, month: Month, settings: Settings, source: str) -> pa.Table:
    """Check a whole month of snapshots; return it with the contract's schema.

    Raises
    ------
    ContractError
        A rule is broken, or there is no row.
    """
    checker = MonthChecker(month, settings, np.empty(0, dtype=np.int32))
    checked = checker.snapshots(table, source=source)
    checker.finish(["snapshots"])
    return checked


def check_transactions(table: pa.Table, *, month: Month, settings: Settings, mccs: np.ndarray, source: str) -> pa.Table:
    """Check a whole month of transactions; return it with the contract's schema.

    Raises
    ------
    ContractError
        A rule is broken, or there is no row.
    """
    checker = MonthChecker(month, settings, mccs)
    checked = checker.transactions(table, source=source)
    checker.finish(["transactions"])
    return checked
