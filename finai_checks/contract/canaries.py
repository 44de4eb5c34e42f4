"""C05, the inputs that prove it: months that keep the data contract or break it in one way."""

from __future__ import annotations

from functools import partial

import pyarrow as pa

from finai_assets.settings import Settings
from finai_checks.contract import inputs
from finai_checks.contract.checks import ASSET, SCHEMA_CONTRACT
from finai_checks.contract.suite import schema_contract
from finai_checks.framework.check import Canary, LakeCanary
from finai_checks.framework.small_lake import SmallLake


def plain_canaries(settings: Settings) -> list[Canary]:
    """Return small tables, each broken in one way, and tables that keep the contract."""
    return [
        Canary(SCHEMA_CONTRACT, label, expects, partial(schema_contract, *of))
        for label, of, expects in inputs.canaries(settings)
    ]


def lake_canaries() -> list[LakeCanary]:
    """Return a stored month, and one with a repeated customer."""
    return [
        LakeCanary(SCHEMA_CONTRACT, ASSET, "a month as it was loaded"),
        LakeCanary(
            SCHEMA_CONTRACT, ASSET, "a stored month with a customer twice", "snapshots.customer_id", _customer_twice
        ),
    ]


def _customer_twice(small: SmallLake) -> None:
    table = small.lake.read(ASSET, small.month.key)
    small.rewrite(ASSET, small.month.key, pa.concat_tables([table, table.slice(0, 1)]))
