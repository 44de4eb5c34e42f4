"""Tables and records of the feature registry for ``finai features``."""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from finai_assets.features.registry import Column, Group, Registry
from finai_cli.options import filled_home, named_home
from finai_cli.output import styled
from finai_resources.errors import ConfigError

_STATISTICS = {
    "rows": "rows",
    "null_rate": "null",
    "mean": "mean",
    "std": "std",
    "minimum": "min",
    "maximum": "max",
    "psi": "PSI",
}


def group_table(registry: Registry) -> Table:
    """Return one row for each group, and their sum."""
    table = Table(title="Feature groups", title_justify="left")
    table.add_column("#", justify="right")
    table.add_column("group")
    table.add_column("columns", justify="right")
    table.add_column("what")
    for group in registry:
        gone = f" (-{len(group.unavailable)})" if group.unavailable else ""
        table.add_row(str(group.number), group.name, f"{len(group.columns)}{gone}", group.title)
    declared = sum(len(group.declared) for group in registry)
    table.add_section()
    table.add_row("", "sum", str(len(registry.columns)), f"of {declared} declared")
    return table


def column_table(group: Group) -> Table:
    """Return one row for each column of a group; `finai features show` tells all of one."""
    table = Table(title=f"{group.name}: {group.title}", title_justify="left")
    for name in ("column", "kind", "unit", "window", "meaning"):
        table.add_column(name, no_wrap=name in {"kind", "window"}, overflow="fold")
    for column in group.declared:
        gone = group.unavailable.get(column.name)
        meaning = styled(column.description, (f" (unavailable: {gone})" if gone else "", "yellow"))
        table.add_row(column.name, column.kind, column.unit, window(column), meaning)
    return table


def window(column: Column) -> str:
    """Return the look-back of a column in words."""
    return "snapshot" if column.window_days is None else f"{column.window_days} d"


def as_rows(registry: Registry, group: str | None) -> list[dict[str, Any]]:
    """Return the columns for JSON, with the reason for each that is unavailable."""
    return [
        {**asdict(column), "unavailable": entry.unavailable.get(column.name)}
        for entry in registry
        for column in entry.declared
        if group in (None, entry.name)
    ]


def describe(registry: Registry, name: str, dataset: str, profile: str, home: Path | None) -> dict[str, Any]:
    """Return what the registry says of a column, and its stored statistics by month."""
    from finai_assets.features.compute import STATISTICS_FILE
    from finai_resources.home import Home
    from finai_resources.lake import Lake

    columns = {column.name: (group, column) for group in registry for column in group.declared}
    if name not in columns:
        near = difflib.get_close_matches(name, list(columns), n=3)
        raise ConfigError(
            f"there is no column {name!r}",
            where="feature registry",
            fix=f"did you mean {', '.join(near)}?" if near else "`finai features list --group GROUP` lists them",
        )
    group, column = columns[name]
    place = filled_home(dataset, profile, home) if named_home(home) else Home.choose(dataset, profile, home)
    described: dict[str, Any] = {**asdict(column)}
    described["inputs"] = ", ".join(column.inputs)
    described["window_days"] = window(column)
    if reason := group.unavailable.get(name):
        described["unavailable"] = reason
    if place.is_filled and not place.lake_root.startswith("s3://"):
        lake = Lake.on_disk(place.lake_root)
        for month in lake.partitions(group.asset):
            stored = json.loads(lake.read_bytes(group.asset, month, STATISTICS_FILE))
            if name in stored:
                described[month] = stored[name]
    return {key: value for key, value in described.items() if value not in (None, "")}


def description_tables(described: dict[str, Any]) -> list[Table]:
    """Return the tables of a description: what the column is, and its statistics, a row for each month."""
    texts = Table(title=escape(described["name"]), show_header=False, title_justify="left")
    texts.add_column(style="bold", no_wrap=True)
    texts.add_column(overflow="fold")
    months = {month: value for month, value in described.items() if isinstance(value, dict)}
    for name, value in described.items():
        if name not in months:
            texts.add_row(name.replace("_", " "), escape(value if isinstance(value, str) else json.dumps(value)))
    if not months:
        return [texts]
    statistics = Table(title="by month", title_justify="left")
    statistics.add_column("month", no_wrap=True)
    for name in _STATISTICS.values():
        statistics.add_column(name, justify="right", no_wrap=True)
    for month, value in months.items():
        statistics.add_row(month, *(_figure(name, value.get(name)) for name in _STATISTICS))
    return [texts, statistics]


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return {"rows": f"{value:,.0f}", "null_rate": f"{value:.1%}"}.get(name, f"{value:.4g}")
