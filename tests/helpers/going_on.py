"""A bank of Berka's form whose months go on: spans without an end, deliveries of one month more, and a home that holds it all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from finai_assets.asset_graph import (
    CATALOGUE_TABLES,
    DECISIONS,
    PERMITTED,
    RECOMMENDATIONS,
    SCORED_BY,
    SNAPSHOTS,
    Partitions,
    is_raw,
)
from finai_assets.bundle.registry import register
from finai_assets.ingest.adapter import open_adapter
from finai_assets.ingest.load import load_catalogue, load_month
from finai_assets.platform import Platform
from finai_assets.settings import load_settings
from finai_cli.options import platform_at
from finai_cli.plan import main_job
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

KEY = b"a key of a test, not of a bank...."
BUNDLE_ID = "0123456789ab"
LAST, NEW = "1993-06", "1993-07"

# The shortest splits that the gap rule allows: the labels of 1993-05 end with 1993-06.
SPANS: dict[str, Any] = {
    "raw_months": ["1993-01", None],
    "snapshot_months": ["1993-01", None],
    "splits": {
        "train": ["1993-01", "1993-01"],
        "validation": ["1993-03", "1993-03"],
        "test": ["1993-05", "1993-05"],
    },
}
DAYS = (1, 4, 7, 10, 13, 16, 19, 22, 25, 28)


def deliver(folder: Path, *months: str, days: Sequence[int] = DAYS) -> Path:
    """Append a payment of account 1 on some days of each month; return the folder."""
    with (folder / "trans.asc").open("a", encoding="utf-8") as file:
        for month in months:
            year, number = month[2:4], month[5:]
            for day in days:
                file.write(f'{year}{number}{day:02d};1;{year}{number}{day:02d};"VYBER";"VYBER";5;0;"";"";\n')
    return folder


def platform_of(root: Path, *, ask: bool = True) -> Platform:
    settings = load_settings("berka", "demo", overrides={"dataset": {**SPANS, "source": str(root / "bank")}})
    return platform_at(settings, Home.at(root / "home"), ask=ask)[0]


def fill(platform: Platform, lake: Lake) -> None:
    """Store every partition of the main job as a run would: the raw tables from the source, the others without content."""
    graph = platform.graph
    settings, session = graph.settings_of(SNAPSHOTS, *graph.catalogues), LakeSession(lake)
    adapter = open_adapter(settings, KEY, session)
    load_catalogue(adapter, session, settings, **graph.versions(CATALOGUE_TABLES[0]))
    register(lake, {"manifest.json": json.dumps({"bundle_id": BUNDLE_ID, "files": {}}).encode()}, {})
    for unit in (unit for stage in main_job(platform) for unit in stage.units):
        if unit.month is not None and SNAPSHOTS in unit.assets:
            load_month(adapter, session, unit.month, settings, **graph.versions(SNAPSHOTS))
        for path in unit.assets:
            if not is_raw(path) and not (unit.where and lake.find(unit.where, unit.partition) is None):
                store(platform, lake, path, unit.month)


def store(platform: Platform, lake: Lake, path: str, month: Month | None) -> None:
    graph, session = platform.graph, LakeSession(lake)
    for upstream, read in graph.reads(path):
        whole = graph[upstream].partitions is Partitions.NONE
        for each in {None} if whole else set(graph.months_read(read.window, month)):
            if read.data:
                session.find(upstream, each.key if each else None)
    told = {SCORED_BY: BUNDLE_ID, PERMITTED: ""} if path in {RECOMMENDATIONS, DECISIONS} else {}
    with session.write(path, month.key if month else None, **graph.versions(path), extra=told) as out:
        out.put("content.json", json.dumps([path, str(month)]).encode())
