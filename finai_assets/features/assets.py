"""The door of features: fitted states, the month-partitioned groups, and each column as a virtual asset.

A group's op writes one Parquet partition for each group and logs one materialisation for each column with its statistics;
columns are virtual specs downstream of their group, so that they show as filled and plotted without being executed.
"""

from collections.abc import Iterator

import dagster as dg

from finai_assets.asset_graph import FEATURE_STATE, FEATURES, facts
from finai_assets.features.compute import GroupResult, compute_month
from finai_assets.features.fit import fit_states, load_states, store_states
from finai_assets.features.registry import Column, Group
from finai_assets.features.statistics import ColumnStatistics
from finai_assets.partitions import look_back, partition_keys
from finai_assets.platform import Platform
from finai_resources.lake_resource import LakeResource
from finai_resources.month_runs import Materialised, months_of, yield_months
from finai_resources.months import Month

RAW_INPUTS = ("raw/snapshots", "raw/transactions")
CATALOGUE_INPUTS = ("raw/products", "raw/merchant_categories")


def snapshot_partitions(platform: Platform) -> dg.MonthlyPartitionsDefinition:
    """Return the snapshot months as Dagster partitions."""
    months = platform.settings.dataset.snapshot_months
    return dg.MonthlyPartitionsDefinition(months.first.partition_key, end_date=(months.last + 1).partition_key)


def state_asset(group: Group) -> str:
    """Return the path of a group's state."""
    return f"feature_state/{group.name}"


def column_key(column: Column) -> dg.AssetKey:
    """Return the key of a column's asset."""
    return dg.AssetKey(["features", column.group, column.name])


def build_assets(platform: Platform) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Return states, groups, and columns."""
    return [_states(platform), _groups(platform), *_columns(platform)]


def _raw_dep(asset: str, mapping: dg.PartitionMapping) -> dg.AssetDep:
    return dg.AssetDep(asset.split("/"), partition_mapping=mapping)


def _train_reads(platform: Platform) -> dg.PartitionMapping:
    """Return the raw months that a fit reads: the train months with their look-back, and no other."""
    months = {m for train in platform.splits.train for m in look_back(train, platform.settings)}
    return dg.SpecificPartitionsPartitionMapping(partition_keys(sorted(months)))


def _states(platform: Platform) -> dg.AssetsDefinition:
    settings, groups = platform.settings, platform.registry.available
    deps: list[dg.AssetDep | list[str]] = [_raw_dep(asset, _train_reads(platform)) for asset in RAW_INPUTS]
    deps += [asset.split("/") for asset in CATALOGUE_INPUTS]

    @dg.multi_asset(
        name="feature_state",
        can_subset=True,
        specs=[
            dg.AssetSpec(
                state_asset(group).split("/"),
                group_name="feature_state",
                deps=deps,
                skippable=True,
                kinds={"numpy"},
                code_version=FEATURE_STATE.code_version,
                description=f"What {group.name} learnt from the train months "
                f"{platform.splits.train[0]}..{platform.splits.train[-1]}: parameters, and each column's train quantiles.",
            )
            for group in groups
        ],
    )
    def feature_state(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[dg.MaterializeResult]:
        chosen = [g for g in groups if dg.AssetKey(state_asset(g).split("/")) in context.selected_asset_keys]
        session = lake.session()
        states = fit_states(session, settings, platform.registry, platform.splits.train, groups=chosen)
        stored = store_states(
            session,
            states,
            code_version=FEATURE_STATE.code_version,
            config_hash=FEATURE_STATE.config_hash(settings),
        )
        for group in chosen:
            manifest = stored[group.name]
            yield dg.MaterializeResult(
                asset_key=state_asset(group).split("/"),
                metadata={**facts(manifest), **states[group.name].facts()},
                data_version=dg.DataVersion(manifest.content_hash),
            )

    return feature_state


def _groups(platform: Platform) -> dg.AssetsDefinition:
    settings, registry = platform.settings, platform.registry
    window = dg.TimeWindowPartitionMapping(
        start_offset=-(settings.look_back_months - 1), allow_nonexistent_upstream_partitions=True
    )
    raw: list[dg.AssetDep | list[str]] = [_raw_dep(asset, window) for asset in RAW_INPUTS]
    raw += [asset.split("/") for asset in CATALOGUE_INPUTS]

    @dg.multi_asset(
        name="features",
        can_subset=True,
        partitions_def=snapshot_partitions(platform),
        specs=[
            dg.AssetSpec(
                group.asset.split("/"),
                group_name="features",
                deps=[*raw, state_asset(group).split("/")],
                skippable=True,
                kinds={"numba", "parquet"},
                code_version=FEATURES.code_version,
                description=f"{group.title}. {len(group.columns)} columns, one row for each customer of the month.",
                metadata={"dagster/column_schema": _schema(group), "columns": len(group.columns)},
            )
            for group in registry.available
        ],
    )
    def features(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[dg.MaterializeResult]:
        chosen = [g for g in registry.available if dg.AssetKey(g.asset.split("/")) in context.selected_asset_keys]

        def compute(month: Month) -> list[Materialised]:
            session = lake.session()  # a month's own, since it remembers what the month was made from
            states = load_states(session, chosen)
            results = compute_month(
                session,
                month,
                registry,
                states,
                settings,
                chosen,
                code_version=FEATURES.code_version,
                config_hash=FEATURES.config_hash(settings),
            )
            return [_materialised(group, month, results[group.name]) for group in chosen]

        yield from yield_months(context, ((month, compute(month)) for month in months_of(context)))

    return features


def _materialised(group: Group, month: Month, result: GroupResult) -> Materialised:
    columns = [
        _column_materialization(column, statistics, month.partition_key)
        for column, statistics in zip(group.columns, result.statistics, strict=True)
    ]
    return Materialised(group.asset, result.manifest.content_hash, facts(result.manifest), columns)


def _columns(platform: Platform) -> list[dg.AssetSpec]:
    partitions = snapshot_partitions(platform)
    return [
        dg.AssetSpec(
            column_key(column),
            deps=[group.asset.split("/")],
            group_name=f"features_{group.name}",
            partitions_def=partitions,
            is_virtual=True,
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
