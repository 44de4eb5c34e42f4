"""What ``finai splits propose`` tells: the splits in use beside the next ones, with how many months and rows each has."""

from __future__ import annotations

from typing import Any

from finai_assets.asset_graph import SNAPSHOTS
from finai_assets.labels.next_splits import as_yaml, next_splits
from finai_assets.settings import MonthSpan, Settings, SplitSettings
from finai_resources.lake import Lake


def proposal(settings: Settings, lake: Lake) -> dict[str, Any]:
    """Return both splits, whether they differ, and the next ones as YAML.

    Raises
    ------
    ConfigError
        No month is left for train.
    """
    now, proposed = settings.dataset.splits, next_splits(settings)
    return {
        "now": _described(now, lake),
        "next": _described(proposed, lake),
        "changed": proposed != now,
        "yaml": as_yaml(proposed),
    }


def _described(splits: SplitSettings, lake: Lake) -> dict[str, dict[str, Any]]:
    return {name: _split(getattr(splits, name), lake) for name in SplitSettings.model_fields}


def _split(span: MonthSpan, lake: Lake) -> dict[str, Any]:
    """Return the months of a split and its customer-months, None where a month is not stored."""
    stored = [lake.find(SNAPSHOTS, month.key) for month in span]
    rows = [manifest.rows for manifest in stored if manifest is not None]
    whole = len(rows) == len(stored)
    return {
        "first": span.first.key,
        "last": span.last.key,
        "months": len(span),
        "rows": sum(rows) if whole else None,
    }
