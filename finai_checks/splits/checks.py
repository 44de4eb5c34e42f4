"""C13: between the splits lie gaps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from finai_assets.labels.splits import Splits, gap_report, make_splits
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks.framework.canary import Canary, LakeCanary
from finai_checks.framework.declaration import Declared, Evaluate, declare
from finai_checks.framework.kind import Kind
from finai_checks.framework.outcome import NO_EVIDENCE, CheckOutcome
from finai_checks.framework.small_lake import SPLITS_ASSET, SmallLake
from finai_checks.framework.theme import Theme
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

GAP_SPLIT = Kind(
    "C13",
    "gap_split",
    "between a label window and the next split's first cutoff lie enough days; purged months are unused",
    blocking=True,
    minimum=3,
    units="months",
    thresholds=("gap_days",),
)


def gap_split(gaps: Sequence[Mapping[str, Any]], gap_days: int, *, months: Mapping[str, Sequence[str]]) -> CheckOutcome:
    """Tell whether between a split's last label window and the next split's first cutoff lie at least ``gap_days`` days.

    Parameters
    ----------
    gaps
        Rows with ``before``, ``window_end``, ``cutoff`` and ``days``.
    gap_days
        What is asked for.
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


def _declare(platform: Platform) -> list[Declared]:
    return [declare(GAP_SPLIT, SPLITS_ASSET, _gaps(platform), platform.settings)]


def _gaps(platform: Platform) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        stored = session.read_json(SPLITS_ASSET, None, "splits.json")
        # The dates come from the splits as stored, which training reads, not from what the settings would say now.
        used = Splits(**{name: tuple(Month.parse(month) for month in months) for name, months in stored.items()})
        report = gap_report(used, platform.settings)
        return gap_split(report, platform.settings.gap_days, months=stored)

    return evaluate


def _canaries(_settings: Settings) -> list[Canary]:
    months = {
        "train": ["2015-01", "2015-02"], "validation": ["2015-04"], "test": ["2015-06"], "purged": ["2015-03", "2015-05"],
    }  # fmt: skip

    def rows(first: int, second: int = 30) -> list[dict[str, Any]]:
        return [
            {"before": "validation", "window_end": "2015-04-01", "cutoff": "2015-05-01", "days": first},
            {"before": "test", "window_end": "2015-06-01", "cutoff": "2015-07-01", "days": second},
        ]

    def canary(label: str, expects: str | None, gaps: list[dict[str, Any]], used: Mapping[str, list[str]]) -> Canary:
        return Canary(GAP_SPLIT, label, expects, lambda: gap_split(gaps, 30, months=used))

    purged, test = {**months, "train": ["2015-02", "2015-03"]}, {**months, "train": ["2015-01", "2015-06"]}
    return [
        canary("gaps of 30 days", None, rows(30), months),
        canary("a gap of 3 days before validation", "the gap before validation has 3 days", rows(3), months),
        canary("a gap of 29 days before test", "the gap before test has 29 days", rows(30, 29), months),
        canary("a purged month in train", "purged months are used", rows(30), purged),
        canary("a test month in train", "not in order", rows(30), test),
        canary("no split", NO_EVIDENCE, [], {}),
    ]


def _lake_canaries() -> list[LakeCanary]:
    return [
        LakeCanary(GAP_SPLIT, SPLITS_ASSET, "the splits as stored"),
        LakeCanary(GAP_SPLIT, SPLITS_ASSET, "validation moved next to train", "the gap before validation", _no_gap),
    ]


def _no_gap(small: SmallLake) -> None:
    months = json.loads(make_splits(small.settings).to_json())
    months["validation"], months["purged"] = [months["purged"][0]], []
    with small.lake.write(SPLITS_ASSET) as out:
        out.put("splits.json", json.dumps(months).encode())


THEME = Theme((GAP_SPLIT,), _declare, _canaries, _lake_canaries)
