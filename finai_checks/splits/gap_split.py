"""C13, the verdict: between the splits lie gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finai_checks.framework.check import CheckOutcome


def gap_split(gaps: Sequence[Mapping[str, Any]], gap_days: int, *, months: Mapping[str, Sequence[str]]) -> CheckOutcome:
    """Return whether at least ``gap_days`` days lie between a split's last label window and the next split's first cutoff.

    Parameters
    ----------
    gaps
        Rows with ``before``, ``window_end``, ``cutoff`` and ``days``.
    gap_days
        The days that are required.
    months
        Months of each split, as used by the stored training matrix.
    """
    if not gaps or not all(months.get(split) for split in ("train", "validation", "test")):
        return CheckOutcome.no_evidence()
    rows = [{**gap, "required": gap_days, "passed": int(gap["days"]) >= gap_days} for gap in gaps]
    used = [month for split in ("train", "validation", "test") for month in months[split]]
    purged_used = sorted(set(used) & set(months.get("purged", [])))
    ordered = used == sorted(used) and len(set(used)) == len(used)
    passed = all(row["passed"] for row in rows) and not purged_used and ordered
    reason = (
        ""
        if passed
        else "; ".join(
            [f"the gap before {row['before']} has {row['days']} days" for row in rows if not row["passed"]]
            + ([f"purged months are used: {purged_used}"] if purged_used else [])
            + ([] if ordered else ["the splits are not in order of time, or share a month"])
        )
    )
    observed = {"smallest_gap_days": min(int(gap["days"]) for gap in gaps), "required_days": gap_days}
    return CheckOutcome(passed, reason, len(used), observed, [dict(row) for row in rows])
