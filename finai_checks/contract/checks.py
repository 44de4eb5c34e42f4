"""C05: the raw tables of a month are those of the data contract."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks.contract import suite as contract
from finai_checks.framework.canary import Canary, LakeCanary
from finai_checks.framework.declaration import Declared, Evaluate, declare
from finai_checks.framework.kind import Kind
from finai_checks.framework.outcome import CheckOutcome
from finai_checks.framework.small_lake import SmallLake
from finai_checks.framework.theme import Theme
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

SCHEMA_CONTRACT = Kind(
    "C05",
    "schema_contract",
    "columns, types, ranges and keys of the month's raw tables are those of the data contract",
    blocking=True,
    minimum=1,
    units="rows",
)
ASSET = "raw/snapshots"


def _declare(platform: Platform) -> list[Declared]:
    months = tuple(platform.settings.dataset.raw_months)
    return [declare(SCHEMA_CONTRACT, ASSET, _schema(platform), platform.settings, months=months)]


def _schema(platform: Platform) -> Evaluate:
    def evaluate(session: LakeSession, month: Month | None) -> CheckOutcome:
        assert month is not None  # noqa: S101 - the check is partitioned
        snapshots = session.read("raw/snapshots", month.key)
        transactions = session.read("raw/transactions", month.key)
        mccs = session.read("raw/merchant_categories")["mcc"].to_numpy()
        return contract.schema_contract(snapshots, transactions, month, platform.settings, mccs=mccs)

    return evaluate


def _canaries(settings: Settings) -> list[Canary]:
    return [
        Canary(SCHEMA_CONTRACT, label, expects, _call(inputs)) for label, inputs, expects in contract.canaries(settings)
    ]


def _call(inputs: tuple[pa.Table, pa.Table, Month, Settings]) -> Callable[[], CheckOutcome]:
    snapshots, transactions, month, settings = inputs
    return lambda: contract.schema_contract(snapshots, transactions, month, settings)


def _lake_canaries() -> list[LakeCanary]:
    return [
        LakeCanary(SCHEMA_CONTRACT, ASSET, "a month as it was loaded"),
        LakeCanary(
            SCHEMA_CONTRACT, ASSET, "a stored month with a customer twice", "snapshots.customer_id", _customer_twice
        ),
    ]


def _customer_twice(small: SmallLake) -> None:
    table = small.lake.read(ASSET, small.month.key)
    small.rewrite(ASSET, small.month.key, pa.concat_tables([table, table.slice(0, 1)]))


THEME = Theme((SCHEMA_CONTRACT,), _declare, _canaries, _lake_canaries)
