"""Dagster assets of labels: one asset for each task and month, and the splits."""

from collections.abc import Iterator

import dagster as dg

from finai_assets.asset_graph import SPLITS, label_asset
from finai_assets.automation.specs import chosen_of, entered, facts, spec_of, stored, writing
from finai_assets.labels.derive import LabelResult, compute_labels
from finai_assets.labels.splits import gap_report, make_splits
from finai_assets.labels.task import Task
from finai_assets.platform import Platform
from finai_resources.gates import Gates
from finai_resources.lake_resource import LakeResource
from finai_resources.month_runs import Materialised, months_of, yield_months
from finai_resources.months import Month


def build_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Return the labels of the available tasks, and the splits."""
    labels = [_labels(platform)] if platform.available_tasks else []
    return [*labels, _splits(platform)]


def _labels(platform: Platform) -> dg.AssetsDefinition:
    by_path = {label_asset(task.name): task for task in platform.available_tasks}
    specs = [
        spec_of(
            platform,
            path,
            f"{task.title} ({task.title_ko}), {task.kind}: {task.definition}.",
            {"parquet"},
            skippable=True,
        )
        for path, task in by_path.items()
    ]

    @dg.multi_asset(name="labels", can_subset=True, specs=specs)
    def labels(
        context: dg.AssetExecutionContext, lake: LakeResource, gates: dg.ResourceParam[Gates]
    ) -> Iterator[dg.MaterializeResult]:
        chosen = chosen_of(context, tuple(by_path))
        settings, tasks = platform.graph.settings_of(*chosen), tuple(by_path[path] for path in chosen)

        def derive(month: Month) -> list[Materialised]:
            session = entered(lake, gates, platform, *chosen, month=month)
            results = compute_labels(session, month, tasks, settings, versions=platform.graph.versions)
            return [_materialised(task, results[task.name]) for task in tasks]

        yield from yield_months(context, ((month, derive(month)) for month in months_of(context)))

    return labels


def _materialised(task: Task, result: LabelResult) -> Materialised:
    return Materialised(task.asset, result.manifest.content_hash, {**facts(result.manifest), **result.metadata()})


def _splits(platform: Platform) -> dg.AssetsDefinition:
    description = "Which months train, validate and test, and which are purged because they fall into a gap."

    @dg.multi_asset(name="split_months", specs=[spec_of(platform, SPLITS, description, {"json"})])
    def split_months(lake: LakeResource, gates: dg.ResourceParam[Gates]) -> dg.MaterializeResult:
        session, settings = entered(lake, gates, platform, SPLITS), platform.graph.settings_of(SPLITS)
        splits = make_splits(settings)
        with writing(session, platform, SPLITS) as out:
            out.put("splits.json", splits.to_json())
        months = {name: ", ".join(month.key for month in months) for name, months in splits}
        gaps = {f"gap_days_before_{row['before']}": int(row["days"]) for row in gap_report(splits, settings)}
        purged = ", ".join(month.key for month in splits.purged)
        return stored(session, SPLITS, **months, purged=purged, **gaps)

    return split_months
