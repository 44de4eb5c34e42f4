"""The door of labels: one asset for each task and month, and the splits."""

from collections.abc import Iterator, Sequence

import dagster as dg

from finai_assets.asset_graph import LABELS, SPLITS, facts
from finai_assets.features.assets import snapshot_partitions
from finai_assets.features.inputs import SNAPSHOTS, TRANSACTIONS
from finai_assets.labels.derive import LabelResult, compute_labels
from finai_assets.labels.splits import gap_report
from finai_assets.labels.task import Task
from finai_assets.labels.windows import months_read
from finai_assets.platform import Platform
from finai_resources.lake_resource import LakeResource
from finai_resources.month_runs import Materialised, months_of, yield_months
from finai_resources.months import Month

SPLITS_ASSET = "labels/splits"


def build_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Return the labels of the available tasks, and the splits."""
    return [_labels(platform), _splits(platform)]


def _labels(platform: Platform) -> dg.AssetsDefinition:
    settings, tasks = platform.settings, platform.available_tasks
    deps = {table: _months(tasks, table, settings.horizon_months) for table in (SNAPSHOTS, TRANSACTIONS)}

    @dg.multi_asset(
        name="labels",
        can_subset=True,
        partitions_def=snapshot_partitions(platform),
        specs=[
            dg.AssetSpec(
                task.asset.split("/"),
                group_name="labels",
                deps=[
                    dg.AssetDep(table.split("/"), partition_mapping=months)
                    for table, months in deps.items()
                    if task.window.months(table, settings.horizon_months)
                ],
                skippable=True,
                kinds={"parquet"},
                code_version=LABELS.code_version,
                description=f"{task.title} ({task.title_ko}), {task.kind}: {task.definition}.",
            )
            for task in tasks
        ],
    )
    def labels(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[dg.MaterializeResult]:
        chosen = tuple(t for t in tasks if dg.AssetKey(t.asset.split("/")) in context.selected_asset_keys)

        def derive(month: Month) -> list[Materialised]:
            results = compute_labels(
                lake.session(),
                month,
                chosen,
                settings,
                code_version=LABELS.code_version,
                config_hash=LABELS.config_hash(settings),
            )
            return [_materialised(task, results[task.name]) for task in chosen]

        yield from yield_months(context, ((month, derive(month)) for month in months_of(context)))

    return labels


def _months(tasks: Sequence[Task], table: str, horizon: int) -> dg.TimeWindowPartitionMapping:
    """Return the months of a raw table that any of the tasks reads: Dagster takes one mapping for all labels of a run."""
    first, last = months_read(tasks, table, horizon) or (0, 0)
    return dg.TimeWindowPartitionMapping(
        start_offset=first, end_offset=last, allow_nonexistent_upstream_partitions=table == SNAPSHOTS
    )


def _materialised(task: Task, result: LabelResult) -> Materialised:
    return Materialised(task.asset, result.manifest.content_hash, {**facts(result.manifest), **result.metadata()})


def _splits(platform: Platform) -> dg.AssetsDefinition:
    settings, splits = platform.settings, platform.splits

    @dg.asset(
        key=SPLITS_ASSET.split("/"),
        group_name="labels",
        kinds={"json"},
        code_version=SPLITS.code_version,
        description="Which months train, validate and test, and which are purged because they fall into a gap.",
    )
    def split_months(lake: LakeResource) -> dg.MaterializeResult:
        session = lake.session()
        report = gap_report(splits, settings)
        with session.write(
            SPLITS_ASSET, code_version=SPLITS.code_version, config_hash=SPLITS.config_hash(settings)
        ) as out:
            out.put("splits.json", splits.to_json())
        assert out.manifest is not None  # noqa: S101 - set by the commit above
        months = {
            name: ", ".join(m.key for m in getattr(splits, name)) for name in ("train", "validation", "test", "purged")
        }
        gaps = {f"gap_days_before_{row['before']}": int(row["days"]) for row in report}
        return dg.MaterializeResult(
            metadata={**facts(out.manifest), **months, **gaps}, data_version=dg.DataVersion(out.manifest.content_hash)
        )

    return split_months
