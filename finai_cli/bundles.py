"""``finai bundles``: the bundles of the registry, what one holds, and how two differ."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from finai_assets.asset_graph import MATRIX
from finai_assets.bundle.registry import CHAMPION_ALIAS, Registry, fetch, manifest_of
from finai_assets.promotion.comparison import Compared, compare
from finai_assets.promotion.decide import outcome_of
from finai_assets.promotion.gather import Desk
from finai_assets.promotion.integrity import examine
from finai_assets.promotion.origin import origin_fault
from finai_assets.scoring.metrics import PRIMARY
from finai_assets.training.matrix import load_matrix
from finai_resources.errors import BundleError
from finai_resources.lake import Lake
from serving_lambda.bundle import open_bundle
from serving_lambda.errors import ServingError

HISTORY = ("registered", "proposal", "approval", "verdict", "promotion", "rollback", "refusal")


def list_rows(lake: Lake) -> list[dict[str, Any]]:
    """Return a row for each bundle, newest first: id, aliases, origin, size, and what happened to it last."""
    registry = Registry.read(lake)
    rows = []
    for bundle_id, entry in reversed(registry.registrations.items()):
        manifest = manifest_of(lake, bundle_id)
        history = registry.of(bundle_id, *HISTORY)
        rows.append(
            {
                "bundle": bundle_id,
                "aliases": [alias for alias, held in registry.aliases.items() if held == bundle_id],
                "registered": entry.recorded_at,
                "dataset": manifest["dataset"],
                "profile": manifest["profile"],
                "tasks": len(manifest["tasks"]),
                "columns": len(manifest["contract"]["columns"]),
                "bytes": sum(file["bytes"] for file in manifest["files"].values()),
                "last": outcome_of(history[-1].record),
                "at": history[-1].recorded_at,
            }
        )
    return rows


def list_table(rows: list[dict[str, Any]]) -> Table:
    """Return the rows as a table."""
    table = Table(title="Bundles", title_justify="left")
    for name in ("bundle", "aliases", "registered", "data set", "tasks", "columns", "MB", "last"):
        table.add_column(name, overflow="fold", justify="right" if name in {"tasks", "columns", "MB"} else "left")
    for row in rows:
        table.add_row(
            row["bundle"], ", ".join(row["aliases"]), row["registered"][:16], f"{row['dataset']}-{row['profile']}",
            str(row["tasks"]), str(row["columns"]), f"{row['bytes'] / 1e6:.1f}", f"{row['last']} ({row['at'][:16]})",
        )  # fmt: skip
    return table


def describe(desk: Desk, name: str) -> dict[str, Any]:
    """Return what a bundle holds, whether it is whole, and its history.

    Raises
    ------
    BundleError
        There is no such bundle.
    """
    lake, registry, settings = desk.session.lake, Registry.read(desk.session.lake), desk.settings
    bundle_id = registry.find(name)
    files = fetch(lake, bundle_id)
    faults, manifest = examine(files, bundle_id, desk.key, dataset=settings.dataset.name, profile=settings.profile)
    history = registry.of(bundle_id, *HISTORY)
    if bundle_id == registry.aliases.get(CHAMPION_ALIAS):
        faults += [fault for fault in [origin_fault(registry, settings.promotion.people)] if fault]
    return {
        "bundle": bundle_id,
        "aliases": [alias for alias, held in registry.aliases.items() if held == bundle_id],
        "dataset": manifest["dataset"],
        "profile": manifest["profile"],
        "schema_version": manifest["schema_version"],
        "versions": manifest["versions"],
        "splits": manifest["splits"],
        "columns": len(manifest["contract"]["columns"]),
        "files": len(manifest["files"]),
        "faults": [f"{fault.code}: {fault.what}" for fault in faults],
        "tasks": [_task(entry) for entry in manifest["tasks"]],
        "history": [{"at": entry.recorded_at, "what": outcome_of(entry.record)} for entry in history],
    }


def _task(entry: dict[str, Any]) -> dict[str, Any]:
    metric = PRIMARY[entry["kind"]]
    test = (entry.get("metrics") or {}).get("test") or {}
    found = (test.get("student") or {}).get(metric) or {}
    return {
        "task": entry["task"],
        "route": entry["route"],
        "columns": len(entry["columns"]),
        "leaves": entry["leaves"],
        "metric": metric,
        "value": found.get("value"),
        "low": found.get("low"),
        "high": found.get("high"),
    }


def task_table(tasks: list[dict[str, Any]]) -> Table:
    """Return the tasks of a bundle as a table."""
    table = Table(title="Tasks", title_justify="left")
    for name in ("task", "route", "columns", "leaves", "metric", "value"):
        table.add_column(name, justify="right" if name in {"columns", "leaves", "value"} else "left")
    for row in tasks:
        value = "" if row["value"] is None else f"{row['value']:.4f}"
        table.add_row(row["task"], row["route"], str(row["columns"]), f"{row['leaves']:,}", row["metric"], value)
    return table


def difference(desk: Desk, new: str, old: str) -> tuple[dict[str, Any], Compared | None]:
    """Return how two bundles differ: origin, contract, routes; and, where a matrix is stored, their predictions of test rows.

    Raises
    ------
    BundleError
        One of them does not exist, or is damaged.
    """
    lake, registry = desk.session.lake, Registry.read(desk.session.lake)
    ids = [registry.find(name) for name in (new, old)]
    first, second = (manifest_of(lake, each) for each in ids)
    columns = [{column["name"] for column in manifest["contract"]["columns"]} for manifest in (first, second)]
    routes = [{entry["task"]: entry["route"] for entry in manifest["tasks"]} for manifest in (first, second)]
    changed = {
        task: {"new": routes[0].get(task), "old": routes[1].get(task)}
        for task in sorted({*routes[0], *routes[1]})
        if routes[0].get(task) != routes[1].get(task)
    }
    files = [{name: file["sha256"] for name, file in manifest["files"].items()} for manifest in (first, second)]
    told = {
        "new": ids[0],
        "old": ids[1],
        "versions": {"new": first["versions"], "old": second["versions"]},
        "columns_added": sorted(columns[0] - columns[1]),
        "columns_dropped": sorted(columns[1] - columns[0]),
        "routes_changed": changed,
        "files_changed": sorted(
            name for name in {*files[0], *files[1]} if files[0].get(name) != files[1].get(name)
        ),
    }  # fmt: skip
    if lake.find(MATRIX) is None:
        return told, None
    try:
        bundles = [open_bundle(fetch(lake, each).__getitem__, desk.key) for each in ids]
    except ServingError as error:
        raise BundleError(
            f"{error.code}: {error.message}",
            where="finai bundles diff",
            fix="`finai bundles show` tells which one is damaged",
        ) from error
    return told, compare(bundles[0], bundles[1], load_matrix(desk.session), desk.settings)


def shift_table(compared: Compared) -> Table:
    """Return how far the outputs moved as a table."""
    table = Table(title="Outputs on test rows, from old to new", title_justify="left")
    for name in ("task", "PSI", "JSD", "rank correlation", "mean shift"):
        table.add_column(name, justify="left" if name == "task" else "right")
    for row in compared.shifts:
        figures = (row.psi, row.jsd, row.rank_correlation, row.mean_shift)
        table.add_row(row.task, *("" if value is None else f"{value:.3f}" for value in figures))
    return table
