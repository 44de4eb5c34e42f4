"""The asset graph in Dagster's terms: specs with dependencies and versions, partitions, and results of stored partitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import dagster as dg

from finai_assets.asset_graph import JOBS, Offsets, Partitions, Read, Window
from finai_assets.features.registry import Column
from finai_assets.made_with import EXTRA, made_with
from finai_assets.partitions import existing_months, partition_keys
from finai_assets.platform import Platform
from finai_resources.errors import ConfigError
from finai_resources.gates import Gates
from finai_resources.lake import Lake
from finai_resources.lake_resource import LakeResource
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import Manifest
from finai_resources.months import Month
from finai_resources.partition_writer import PartitionWriter

FEATURE_MONTHS = "feature_months"  # the pool of runs that compute feature months, limited in the home's dagster.yaml


def key_of(path: str) -> dg.AssetKey:
    """Return Dagster's key of a path."""
    return dg.AssetKey(path.split("/"))


def column_key(column: Column) -> dg.AssetKey:
    """Return the key of a column's asset."""
    return dg.AssetKey(["features", column.group, column.name])


def partitions_of(platform: Platform, path: str) -> dg.MonthlyPartitionsDefinition | None:
    """Return the months of an asset as Dagster partitions; None where it has no months."""
    months = existing_months(platform.graph[path].partitions, platform.settings)
    if not months:
        return None
    return dg.MonthlyPartitionsDefinition(months[0].partition_key, end_date=(months[-1] + 1).partition_key)


def spec_of(
    platform: Platform,
    path: str,
    description: str,
    kinds: set[str],
    *,
    metadata: Mapping[str, Any] | None = None,
    skippable: bool = False,
    condition: dg.AutomationCondition[Any] | None = None,
) -> dg.AssetSpec:
    """Return an asset's spec; group, dependencies, partitions and code version are those of the graph."""
    graph = platform.graph
    return dg.AssetSpec(
        key_of(path),
        description=description,
        kinds=kinds,
        metadata=metadata or {},
        skippable=skippable,
        group_name=graph[path].group,
        owners=owners_of(platform, graph[path].group),
        tags=tags_of(platform),
        automation_condition=condition,
        deps=list(_dependencies(platform, path)),
        partitions_def=partitions_of(platform, path),
        code_version=graph.code_version(path),
    )


def owners_of(platform: Platform, group: str) -> list[str]:
    """Return who answers for a group of assets."""
    return [owner for owner, groups in platform.settings.automation.owners.items() if group in groups]


def tags_of(platform: Platform) -> dict[str, str]:
    """Return the tags of every asset: the UI of several code locations is searched by them."""
    return {"finai/dataset": platform.settings.dataset.name, "finai/profile": platform.settings.profile}


def require_known_groups(platform: Platform) -> None:
    """Refuse an owner of a group that no job computes, which is a slip of the pen.

    Raises
    ------
    ConfigError
        It names the nearest groups.
    """
    known = sorted({group for job in JOBS for group in job.groups})
    for owner, groups in platform.settings.automation.owners.items():
        for unknown in sorted(set(groups) - set(known)):
            near = get_close_matches(unknown, known, n=2) or known
            raise ConfigError(
                f"{owner} owns the group {unknown!r}, which does not exist",
                where="automation.owners",
                fix=f"write {' or '.join(near)}",
            )


def _dependencies(platform: Platform, path: str) -> Iterator[dg.AssetDep]:
    for upstream, read in platform.graph.reads(path):
        mapping = _mapping(platform, path, upstream, read)
        yield dg.AssetDep(key_of(upstream), partition_mapping=mapping)
        if read.columns:
            group = platform.registry.group(upstream.rpartition("/")[2])
            yield from (dg.AssetDep(column_key(column), partition_mapping=mapping) for column in group.columns)


def _mapping(platform: Platform, path: str, upstream: str, read: Read) -> dg.PartitionMapping | None:
    graph = platform.graph
    if read.window is Window.SAME:
        both = {graph[path].partitions, graph[upstream].partitions}
        return dg.TimeWindowPartitionMapping() if len(both) == 2 and Partitions.NONE not in both else None
    reach = graph.windows[read.window]
    if isinstance(reach, Offsets):
        return dg.TimeWindowPartitionMapping(
            start_offset=reach.first, end_offset=reach.last, allow_nonexistent_upstream_partitions=reach.clipped
        )
    return dg.SpecificPartitionsPartitionMapping(partition_keys(sorted(reach)))


def chosen_of(context: dg.AssetExecutionContext, paths: Sequence[str]) -> list[str]:
    """Return the paths whose assets a run has selected."""
    return [path for path in paths if key_of(path) in context.selected_asset_keys]


def entered(
    lake: LakeResource,
    gates: Gates,
    platform: Platform,
    *paths: str,
    month: Month | None = None,
    beside: Callable[[Lake], tuple[str, ...]] | None = None,
) -> LakeSession:
    """Return a session in which assets may be computed: every asset's function begins here, each time that it runs.

    Parameters
    ----------
    paths
        The assets that it computes.
    month
        Of assets with months; a month has a session of its own, as that remembers what the month was made from.
    beside
        Says which assets take no part this time (:meth:`finai_assets.asset_graph.AssetGraph.asked`).

    Raises
    ------
    GateError
        A blocking check of anything upstream has not passed on its present content.
    """
    session = lake.session()
    left_out = beside(session.lake) if beside is not None else ()
    gates.demand(session.lake, platform.graph.asked(*paths, month=month, beside=left_out))
    return session


@contextmanager
def writing(
    session: LakeSession, platform: Platform, path: str, partition: str | None = None, *, model: bool = False
) -> Iterator[PartitionWriter]:
    """Open a partition for writing under the asset's versions; for a model, also with its provenance."""
    extra = {EXTRA: made_with(platform.settings.seed)} if model else {}
    with session.write(path, partition, **platform.graph.versions(path), extra=extra) as out:
        yield out


def stored(session: LakeSession, path: str, **metadata: Any) -> dg.MaterializeResult[Any]:
    """Return the result of a written asset without months: the facts of its manifest, and more metadata."""
    manifest = session.lake.manifest(path)
    return dg.MaterializeResult(
        asset_key=key_of(path),
        metadata={**facts(manifest), **metadata},
        data_version=dg.DataVersion(manifest.content_hash),
    )


def facts(manifest: Manifest) -> dict[str, Any]:
    """Return the metadata that every materialisation of a stored partition shows."""
    return {
        "dagster/row_count": manifest.rows,
        "bytes": manifest.bytes,
        "content_hash": manifest.content_hash[:16],
        "upstream_partitions": len(manifest.upstream),
    }
