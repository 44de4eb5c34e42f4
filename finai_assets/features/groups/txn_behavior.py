"""How the customer transacts: volume, variety, time of day, recency, frequency, monetary value, stability.

Spend is the sum of outflows (negative amounts, sign turned); a refund is a positive amount from a known merchant. Monthly means
divide by the months since the customer first appears in the look-back, by a snapshot or by a transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from finai_assets.features.inputs import (
    AMOUNT,
    DAY_US,
    HOUR_US,
    MCC,
    MERCHANT,
    SNAPSHOT_MONTH,
    TS,
    look_back_days,
    look_back_ko,
)
from finai_assets.features.registry import Column, Kind, Params

if TYPE_CHECKING:
    from finai_assets.features.block import Block
    from finai_assets.settings import Settings

WIDTH = 14
_DENSE = 10_000
_DAY, _QUARTER = np.uint64(DAY_US), np.uint64(6 * HOUR_US)
_PARTS = (
    ("morning", "오전(6-12시)"),
    ("afternoon", "오후(12-18시)"),
    ("evening", "저녁(18-24시)"),
    ("night", "심야(0-6시)"),
)


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return the fourteen columns."""
    days, recent, ko = look_back_days(settings), _recent_days(settings), look_back_ko(settings)

    def column(name: str, kind: Kind, unit: str, text: str, korean: str, inputs: tuple[str, ...], *,
               missing: str = "never missing", window: int = days) -> Column:  # fmt: skip
        high = 1.0 if kind == "share" else None
        return Column(name, "txn_behavior", kind, unit, text, korean, (TS, *inputs), window, "none", missing, 0.0, high)

    month = "month of the look-back"
    return (
        column("txn_count_monthly_mean", "continuous", "1/month", f"Transactions per {month}", f"{ko} 월평균 거래 건수",
               (SNAPSHOT_MONTH,)),
        column("txn_amount_monthly_mean", "continuous", "KRW", "Mean size of a transaction, averaged over active months",
               f"{ko} 건당 평균 거래 금액", (AMOUNT,), missing="nan"),
        column("txn_spend_monthly_mean", "continuous", "KRW/month", f"Spend per {month}", f"{ko} 월평균 지출액",
               (AMOUNT, SNAPSHOT_MONTH)),
        column("txn_mcc_monthly_mean", "continuous", "1/month", f"Distinct merchant categories per {month}",
               f"{ko} 월평균 이용 업종 수", (MCC, SNAPSHOT_MONTH)),
        column("txn_merchants_monthly_mean", "continuous", "1/month", f"Distinct merchants per {month}",
               f"{ko} 월평균 이용 가맹점 수", (MERCHANT, SNAPSHOT_MONTH)),
        *(
            column(f"txn_share_{name}", "share", "1", f"Share of transactions in the {name}", f"{korean} 거래 비중", (),
                   missing="nan")
            for name, korean in _PARTS
        ),
        column("txn_recency_days", "continuous", "days", "Days from the last transaction to the cutoff",
               "마지막 거래 후 경과 일수", (), missing="nan"),
        column("txn_active_days", "count", "days", "Days with a transaction in the look-back", f"{ko} 거래 일수", ()),
        column(f"txn_spend_{recent}d", "continuous", "KRW", f"Spend of the last {recent} days", f"최근 {recent}일 지출액",
               (AMOUNT,), window=recent),
        column("txn_spend_cv", "continuous", "1", "Coefficient of variation of monthly spend", f"{ko} 월 지출 변동성",
               (AMOUNT, SNAPSHOT_MONTH), missing="nan"),
        column("txn_refund_share", "share", "1", "Share of transactions that are refunds", "환불 거래 비중",
               (AMOUNT, MERCHANT), missing="nan"),
    )  # fmt: skip


def transform(block: Block, params: Params, settings: Settings) -> np.ndarray:
    """Return float32 [n, 14]."""
    out = np.empty((len(block), WIDTH), np.float32, order="F")
    bounds = np.array([month.start_us for month in block.months] + [block.month.cutoff_us], np.int64)
    first = np.where(block.observed.any(axis=1), block.observed.argmax(axis=1), block.observed.shape[1] - 1)
    recent_from = block.month.cutoff_us - _recent_days(settings) * DAY_US
    busiest = int(_busiest_month(block.events.start, block.events.ts, bounds))
    # The sets of a month are at most half full, and small enough for the first-level cache.
    _behavior(block.events.arrays, bounds, first, recent_from, 1 << (2 * busiest).bit_length(), out)
    return out


def _recent_days(settings: Settings) -> int:
    return settings.feature_groups.txn_behavior.recent_days


@numba.njit(cache=True, nogil=True)
def _busiest_month(start: Any, ts: Any, bounds: Any) -> int:
    """Return the greatest number of events of one customer in one month."""
    most = 1
    for i in range(len(start) - 1):
        low, end = start[i], start[i + 1]
        for m in range(1, len(bounds)):
            high = low + np.searchsorted(ts[low:end], bounds[m])
            most = max(most, high - low)
            low = high
    return most


@numba.njit(cache=True, nogil=True)
def _is_new(keys: Any, stamps: Any, key: int, stamp: int) -> bool:
    """Put a key into an open-addressed set that is emptied by raising the stamp; return whether it is new."""
    mask = len(keys) - 1
    slot = (key * 0x9E3779B1 >> 7) & mask
    while stamps[slot] == stamp:
        if keys[slot] == key:
            return False
        slot = (slot + 1) & mask
    stamps[slot] = stamp
    keys[slot] = key
    return True


@numba.njit(cache=True, nogil=True)
def _behavior(events: Any, bounds: Any, first: Any, recent_from: int, capacity: int, out: Any) -> None:  # noqa: C901, PLR0912, PLR0915 - one pass
    """Fill ``out`` in one pass over the events; months are closed as the clock passes their end."""
    start, ts, amount, mcc, merchant = events
    cutoff = bounds[-1]
    months = len(bounds) - 1
    dense = np.zeros(_DENSE, np.int64)
    keys = np.zeros(capacity, np.int64)
    stamps = np.zeros(capacity, np.int64)
    shop_keys = np.zeros(capacity, np.int64)
    shop_stamps = np.zeros(capacity, np.int64)
    stamp = 0
    spend = np.zeros(months)
    parts = np.zeros(4, np.int64)
    for i in range(len(start) - 1):
        begin, end = start[i], start[i + 1]
        spend[:] = 0
        parts[:] = 0
        month = -1
        earliest = first[i]
        day = np.uint64(1 << 62)
        in_month, size, active_months, mean_size = 0, 0.0, 0, 0.0
        categories, shops, days, refunds = 0, 0, 0, 0
        recent = 0.0
        for e in range(begin, end):
            # No event is at or past the cutoff; one that were would count in the last month, not write behind the arrays.
            while month < 0 or (month < months - 1 and ts[e] >= bounds[month + 1]):
                if in_month:
                    mean_size += size / in_month
                    active_months += 1
                month += 1
                in_month, size = 0, 0.0
                stamp += 1
            if e == begin and month < earliest:
                earliest = month
            in_month += 1
            value = amount[e]
            size += abs(value)
            if value < 0:
                spend[month] -= value
                if ts[e] >= recent_from:
                    recent -= value
            elif value > 0 and merchant[e] >= 0:
                refunds += 1
            code = mcc[e]
            if 0 <= code < _DENSE:  # all that ISO 18245 can have: the code indexes its stamp
                categories += dense[code] != stamp
                dense[code] = stamp
            else:
                categories += _is_new(keys, stamps, np.int64(code), stamp)
            if merchant[e] >= 0:
                shops += _is_new(shop_keys, shop_stamps, merchant[e], stamp)
            elapsed = np.uint64(ts[e] - bounds[0])  # the look-back starts at midnight; unsigned division is quicker
            today = elapsed // _DAY
            days += today != day
            day = today
            parts[(elapsed - today * _DAY) // _QUARTER] += 1
        if in_month:
            mean_size += size / in_month
            active_months += 1
        count = end - begin
        exposed = months - earliest
        total = spend.sum()
        out[i, 0] = count / exposed
        out[i, 1] = mean_size / active_months if count else np.nan
        out[i, 2] = total / exposed
        out[i, 3] = categories / exposed
        out[i, 4] = shops / exposed
        for part in range(4):  # night is the first quarter of the clock and the last column
            out[i, 5 + (part + 3) % 4] = parts[part] / count if count else np.nan
        out[i, 9] = (cutoff - ts[end - 1]) / DAY_US if count else np.nan
        out[i, 10] = days
        out[i, 11] = recent
        if exposed > 1 and total > 0:
            centre = total / exposed
            squares = 0.0
            for m in range(earliest, months):
                squares += (spend[m] - centre) ** 2
            out[i, 12] = np.sqrt(squares / exposed) / centre
        else:
            out[i, 12] = np.nan
        out[i, 13] = refunds / count if count else np.nan
