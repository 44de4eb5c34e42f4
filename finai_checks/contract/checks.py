"""C05: the raw tables of a month are those of the data contract."""

from __future__ import annotations

import pyarrow as pa

from finai_assets.asset_graph import CATEGORIES, OFFER_TABLES, SNAPSHOTS, TRANSACTIONS, table_name
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks.contract.suite import schema_contract
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared, declare
from finai_checks.framework.raw import catalogue_table, is_absent
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

SCHEMA_CONTRACT = CheckKind(
    "C05",
    "schema_contract",
    "the month's raw tables have the columns, types, ranges and keys of the data contract",
    blocking=True,
    minimum=1,
    units="rows",
)
KINDS = (SCHEMA_CONTRACT,)
ASSET = SNAPSHOTS


def declare_checks(platform: Platform) -> list[Declared]:
    """Put the check on the snapshots of each month, for the transactions and the tables for offering of the month too."""
    settings = platform.settings
    return [declare(SCHEMA_CONTRACT, ASSET, evaluate_contract, settings, months=tuple(settings.dataset.raw_months))]


def evaluate_contract(context: CheckContext, asset: str) -> CheckOutcome:
    """Validate the snapshots, the transactions and the tables for offering of a month; ``asset`` is that of the snapshots."""
    session, month = context.session, context.required_month
    tables = read_tables(session, month, context.settings)
    snapshots, transactions = tables.pop(table_name(asset)), tables.pop(table_name(TRANSACTIONS), None)
    mccs = catalogue_table(session, context.settings, CATEGORIES)["mcc"].to_numpy()
    return schema_contract(snapshots, transactions, month, context.settings, tables, mccs=mccs)


def read_tables(session: LakeSession, month: Month, settings: Settings) -> dict[str, pa.Table]:
    """Return the raw tables of a month that are validated, by name, as far as the data set has them."""
    paths = [path for path in (SNAPSHOTS, TRANSACTIONS, *OFFER_TABLES) if not is_absent(settings, path)]
    return {table_name(path): session.read(path, month.key) for path in paths}
