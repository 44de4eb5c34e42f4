"""Names of the raw columns that features declare as their inputs, and the spans that several groups share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finai_assets.asset_graph import CATEGORIES, PRODUCTS, SNAPSHOTS, TRANSACTIONS

if TYPE_CHECKING:
    from finai_assets.settings import Settings

__all__ = ["CATEGORIES", "PRODUCTS", "SNAPSHOTS", "TRANSACTIONS"]

FAMILY = f"{PRODUCTS}.family"
LEAF = f"{CATEGORIES}.mcc"
L1 = f"{CATEGORIES}.l1"
L2 = f"{CATEGORIES}.l2"

AGE = f"{SNAPSHOTS}.age"
INCOME = f"{SNAPSHOTS}.income"
TENURE = f"{SNAPSHOTS}.tenure_months"
IS_ACTIVE = f"{SNAPSHOTS}.is_active"
GENDER = f"{SNAPSHOTS}.gender"
SEGMENT = f"{SNAPSHOTS}.segment"
COUNTRY = f"{SNAPSHOTS}.country"
CHANNEL = f"{SNAPSHOTS}.channel"
HELD = f"{SNAPSHOTS}.held"
SNAPSHOT_MONTH = f"{SNAPSHOTS}.snapshot_month"

TS = f"{TRANSACTIONS}.ts"
AMOUNT = f"{TRANSACTIONS}.amount"
MCC = f"{TRANSACTIONS}.mcc"
MERCHANT = f"{TRANSACTIONS}.merchant_id"

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000


def look_back_days(settings: Settings) -> int:
    """Return the look-back as whole days (365 for twelve months)."""
    return round(settings.look_back_months * 365.25 / 12 - 0.25)


def look_back_ko(settings: Settings) -> str:
    """Return how a Korean reason names the look-back: ``최근 12개월``."""
    return f"최근 {settings.look_back_months}개월"
