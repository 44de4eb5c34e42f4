"""C13, the inputs that prove it: splits with and without their gaps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from finai_assets.asset_graph import SPLITS
from finai_assets.labels.splits import make_splits
from finai_assets.settings import Settings
from finai_checks.framework.check import NO_EVIDENCE, Canary, LakeCanary
from finai_checks.framework.small_lake import SmallLake
from finai_checks.splits.checks import GAP_SPLIT
from finai_checks.splits.gap_split import gap_split


def plain_canaries(_settings: Settings) -> list[Canary]:
    """Return gaps of several lengths, and splits that share or misplace a month."""
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


def lake_canaries() -> list[LakeCanary]:
    """Return the stored splits, and splits without a gap."""
    return [
        LakeCanary(GAP_SPLIT, SPLITS, "the splits as stored"),
        LakeCanary(GAP_SPLIT, SPLITS, "validation moved next to train", "the gap before validation", _no_gap),
    ]


def _no_gap(small: SmallLake) -> None:
    """Store splits whose validation month follows the last train month at once."""
    months = json.loads(make_splits(small.settings).to_json())
    months["validation"], months["purged"] = [months["purged"][0]], []
    with small.lake.write(SPLITS) as out:
        out.put("splits.json", json.dumps(months).encode())
