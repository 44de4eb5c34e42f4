"""Dagster assets of features: fitted states, the month-partitioned groups, and each column as a virtual asset.

A group's op writes one Parquet partition for each group and logs one materialisation for each column with its statistics;
columns are virtual specs downstream of their group, so that they show as filled and plotted without being executed.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import dagster as dg

from finai_assets.asset_graph import group_asset, state_asset
from finai_assets.automation.conditions import again_when_inputs_change
from finai_assets.automation.specs import (
    FEATURE_MONTHS,
    chosen_of,
    column_key,
    entered,
    facts,
    key_of,
    owners_of,
    partitions_of,
    spec_of,
    stored,
    tags_of,
)
from finai_assets.automation.table_metadata import column_lineage
from finai_assets.features.by_group import GroupFailures
from finai_assets.features.compute import GroupResult, compute_month
from finai_assets.features.fit import fit_states, load_states, store_states
from finai_assets.features.registry import Column, Group
from finai_assets.features.statistics import ColumnStatistics
from finai_assets.platform import Platform
from finai_resources.event_log import log_planned
from finai_resources.gates import Gates
from finai_resources.lake_resource import LakeResource
from finai_resources.month_runs import Materialised, months_of, yield_months
from finai_resources.months import Month


def build_assets(platform: Platform) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Return states, groups, and columns."""
    return [_states(platform), _groups(platform), *_columns(platform)]


def _states(platform: Platform) -> dg.AssetsDefinition:
    splits = platform.splits
    by_path = {state_asset(group.name): group for group in platform.registry.available}
    specs = [
        spec_of(
            platform,
            path,
            f"What {group.name} learnt from the train months {splits.train[0]}..{splits.train[-1]}: parameters, and each "
            "column's train quantiles.",
            {"numpy"},
            skippable=True,
        )
        for path, group in by_path.items()
    ]

    @dg.multi_asset(name="feature_state", can_subset=True, specs=specs)
    def feature_state(
        context: dg.AssetExecutionContext, lake: LakeResource, gates: dg.ResourceParam[Gates]
    ) -> Iterator[dg.MaterializeResult]:
        chosen = chosen_of(context, tuple(by_path))
        session = entered(lake, gates, platform, *chosen)
        states = fit_states(
            session,
            platform.graph.settings_of(*chosen),
            platform.registry,
            splits.train,
            groups=[by_path[path] for path in chosen],
        )
        store_states(session, states, versions=platform.graph.versions)
        yield from (stored(session, path, **states[by_path[path].name].facts()) for path in chosen)

    return feature_state


def _groups(platform: Platform) -> dg.AssetsDefinition:
    registry = platform.registry
    by_path = {group_asset(group.name): group for group in registry.available}
    specs = [
        spec_of(
            platform,
            path,
            f"{group.title}. {len(group.columns)} columns, one row for each customer of the month.",
            {"numba", "parquet"},
            metadata={
                "dagster/column_schema": _schema(group),
                "dagster/column_lineage": column_lineage(group.columns),
                "columns": len(group.columns),
            },
            skippable=True,
            condition=again_when_inputs_change(),
        )
        for path, group in by_path.items()
    ]

    @dg.multi_asset(name="features", can_subset=True, specs=specs, pool=FEATURE_MONTHS)
    def features(
        context: dg.AssetExecutionContext, lake: LakeResource, gates: dg.ResourceParam[Gates]
    ) -> Iterator[dg.MaterializeResult]:
        chosen = chosen_of(context, tuple(by_path))
        settings, failures = platform.graph.settings_of(*chosen), GroupFailures()

        def compute(month: Month, groups: Sequence[Group]) -> list[Materialised]:
            session = entered(lake, gates, platform, *(group.asset for group in groups), month=month)
            states = load_states(session, groups)
            results = compute_month(
                session, month, registry, states, settings, groups, versions=platform.graph.versions
            )
            return [_materialised(group, month, results[group.name]) for group in groups]

        def compute_each(month: Month) -> list[Materialised]:
            return failures.compute(month, [by_path[path] for path in chosen], partial(compute, month))

        yield from yield_months(
            context, ((month, compute_each(month)) for month in months_of(context)), failed=lambda: failures.assets
        )
        for month, group, _ in failures.errors:
            log_planned(context, [column_key(column) for column in group.columns], month.partition_key)
        failures.demand_none()

    return features


def _materialised(group: Group, month: Month, result: GroupResult) -> Materialised:
    columns = column_materializations(group, month, result.statistics)
    return Materialised(group.asset, result.manifest.content_hash, facts(result.manifest), columns)


def column_materializations(
    group: Group, month: Month, statistics: Sequence[ColumnStatistics]
) -> list[dg.AssetMaterialization]:
    """Return the materialisations of a group's columns in a month, with the statistics that the UI plots."""
    return [
        _column_materialization(column, of_column, month.partition_key)
        for column, of_column in zip(group.columns, statistics, strict=True)
    ]


def _columns(platform: Platform) -> list[dg.AssetSpec]:
    tags = tags_of(platform)
    return [
        dg.AssetSpec(
            column_key(column),
            deps=[key_of(group.asset)],
            group_name=f"features_{group.name}",
            partitions_def=partitions_of(platform, group.asset),
            is_virtual=True,
            owners=owners_of(platform, platform.graph[group.asset].group),
            tags=tags,
            description=f"{column.description} ({column.description_ko})",
            metadata={
                "kind": column.kind,
                "unit": column.unit,
                "inputs": ", ".join(column.inputs),
                "window_days": column.window_days if column.window_days is not None else "the snapshot month's row",
                "fit_scope": column.fit_scope,
                "missing": column.missing,
            },
        )
        for group in platform.registry.available
        for column in group.columns
    ]


def _column_materialization(column: Column, statistics: ColumnStatistics, partition: str) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        column_key(column),
        partition=partition,
        metadata={
            "rows": statistics.rows,
            "null_rate": statistics.null_rate,
            "mean": statistics.mean,
            "std": statistics.std,
            "min": statistics.minimum,
            "max": statistics.maximum,
            "psi_against_train": statistics.psi,
        },
    )


def _with_unit(column: Column) -> str:
    return column.description if column.unit == "1" else f"{column.description} [{column.unit}]"


def _schema(group: Group) -> dg.TableSchema:
    columns = [dg.TableColumn("customer_id", "int64", description="Pseudonymous token of the customer")]
    columns += [dg.TableColumn(c.name, "float32", description=_with_unit(c)) for c in group.columns]
    return dg.TableSchema(columns)
