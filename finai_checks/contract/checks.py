"""C05: the raw tables of a month are those of the data contract."""

from __future__ import annotations

from finai_assets.asset_graph import CATEGORIES, SNAPSHOTS, TRANSACTIONS
from finai_assets.platform import Platform
from finai_checks.contract.suite import schema_contract
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared, declare

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
    """Put the check on the snapshots of each month, for the transactions of the month too."""
    settings = platform.settings
    return [declare(SCHEMA_CONTRACT, ASSET, evaluate_contract, settings, months=tuple(settings.dataset.raw_months))]


def evaluate_contract(context: CheckContext, asset: str) -> CheckOutcome:
    """Validate the snapshots and transactions of a month."""
    session, month = context.session, context.required_month
    snapshots, transactions = session.read(asset, month.key), session.read(TRANSACTIONS, month.key)
    mccs = session.read(CATEGORIES)["mcc"].to_numpy()
    return schema_contract(snapshots, transactions, month, context.settings, mccs=mccs)
