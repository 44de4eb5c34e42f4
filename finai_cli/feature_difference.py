"""``finai features diff``: what the present code and configuration would add, drop and alter, before anything is run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich.console import Console
from rich.console import Group as Together
from rich.markup import escape
from rich.table import Table

from finai_assets.asset_graph import group_asset
from finai_assets.features.registry import Group
from finai_assets.platform import Platform
from finai_checks.catalogue import declared_checks
from finai_cli.plan import main_job, stale_assets
from finai_resources.lake import Lake
from finai_resources.manifest import Manifest

KEY = "customer_id"
SHOWN = 6
Change = Literal["same", "not stored", "code", "settings", "code and settings", "what it reads", "gone"]


@dataclass(frozen=True)
class GroupChange:
    """What changes in a group: ``altered`` are the columns that stay and are computed anew by its own code and settings."""

    group: str
    change: Change
    months: int
    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageChange:
    """How many runs of a stage of the main job are due, of how many, and which assets they compute."""

    stage: str
    title: str
    runs: int
    of: int
    assets: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """What is stored against what the present code and configuration would make."""

    groups: tuple[GroupChange, ...]
    stages: tuple[StageChange, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def difference(platform: Platform, lake: Lake) -> Difference:
    """Compare the stored manifests and columns with the registry and the asset graph; nothing is computed.

    Parameters
    ----------
    lake
        The home's lake; only manifests and the footers of the last stored month of each group are read.
    """
    available = {group.name: group for group in platform.registry.available}
    prefix = group_asset("")
    stored = [path.removeprefix(prefix) for path in lake.assets() if path.startswith(prefix)]
    names = [*available, *(name for name in stored if name not in available)]
    checks = declared_checks(platform)
    stages = []
    for stage in main_job(platform):
        due = [assets for unit in stage.units if (assets := stale_assets(lake, platform, unit, checks))]
        named = tuple(dict.fromkeys(asset for assets in due for asset in assets))
        stages.append(StageChange(stage.name, stage.title, len(due), len(stage.units), named))
    return Difference(tuple(_group(name, available.get(name), platform, lake) for name in names), tuple(stages))


def _group(name: str, group: Group | None, platform: Platform, lake: Lake) -> GroupChange:
    asset = group_asset(name)
    manifests = lake.manifests(asset)
    now = () if group is None else group.names
    if not manifests:
        return GroupChange(name, "not stored", 0, added=now)
    last = manifests[-1]
    have = [column for file in lake.open_parquet(last) for column in file.schema_arrow.names if column != KEY]
    before = tuple(dict.fromkeys(have))
    dropped = tuple(column for column in before if column not in now)
    if group is None:
        return GroupChange(name, "gone", len(manifests), dropped=dropped)
    change = _why(asset, last, platform, lake)
    own = change in {"code", "settings", "code and settings"}
    return GroupChange(
        name,
        change,
        len(manifests),
        added=tuple(column for column in now if column not in before),
        dropped=dropped,
        altered=tuple(column for column in now if own and column in before),
    )


def _why(asset: str, stored: Manifest, platform: Platform, lake: Lake) -> Change:
    versions = platform.graph.versions(asset)
    code, settings = (
        stored.code_version != versions["code_version"],
        stored.config_hash != versions["config_hash"],
    )
    if code and settings:
        return "code and settings"
    if code or settings:
        return "code" if code else "settings"
    return "same" if platform.graph.is_current(lake, asset, stored.partition) else "what it reads"


def print_difference(found: Difference, console: Console) -> None:
    """Print the groups that change, with the names of columns that come and go, and the stages that are due."""
    changed = [group for group in found.groups if group.change != "same"]
    console.print(Together(*([_group_table(changed)] if changed else []), _stage_table(found.stages)))
    for group in changed:
        for sign, names in (("+", group.added), ("-", group.dropped)):
            if names:
                more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
                console.print(f"{sign} {group.group}: {', '.join(names[:SHOWN])}{more}", markup=False, highlight=False)
    if not changed and not any(stage.runs for stage in found.stages):
        console.print("nothing changes: every stored asset is what the present code and configuration make")


def _group_table(groups: list[GroupChange]) -> Table:
    table = Table(title="Feature groups that change", title_justify="left")
    table.add_column("group", overflow="fold")
    table.add_column("because of", overflow="fold")
    for name in ("added", "dropped", "altered", "months"):
        table.add_column(name, justify="right", no_wrap=True)
    for group in groups:
        counts = [str(len(names) or "") for names in (group.added, group.dropped, group.altered)]
        table.add_row(escape(group.group), group.change, *counts, str(group.months))
    return table


def _stage_table(stages: tuple[StageChange, ...]) -> Table:
    table = Table(title="Runs that become due", title_justify="left")
    table.add_column("stage")
    table.add_column("runs", justify="right", no_wrap=True)
    table.add_column("assets", overflow="fold")
    for stage in stages:
        named = ", ".join(stage.assets[:3]) + (f" and {len(stage.assets) - 3} more" if len(stage.assets) > 3 else "")
        table.add_row(stage.title, f"{stage.runs} of {stage.of}", named)
    return table
