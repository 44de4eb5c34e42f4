"""What sensors want of a source and a lake, as plain values: late months, new months, and what follows of an accepted change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path

import dagster as dg

from finai_assets.asset_graph import BUNDLE, PUBLISHED, RECOMMENDATIONS, SNAPSHOTS, Window, group_asset, state_asset
from finai_assets.automation.requests import Wanted
from finai_assets.automation.specs import key_of
from finai_assets.governance.schema_watch import Look, altered_partitions, standing_in_the_way, stored_months
from finai_assets.governance.source_schema import Recorded, digest_of_files
from finai_assets.ingest.adapter import adapter_class
from finai_assets.ingest.pseudonym import pseudonym_key
from finai_assets.platform import Platform
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.secrets import SecretStore

INGEST, FEATURES, SCORE = "ingest_month", "monthly_features", "score_month"


def late_months(
    platform: Platform, lake: Lake, secrets: SecretStore, cache: Path | None, seen: Look
) -> tuple[list[Wanted], str]:
    """Return the ingest of every stored month whose rows the source gives otherwise, or why none may be loaded.

    Months that a recorded change of the schema alters, and that its policy has computed again, are left to that sensor.
    """
    if waiting := standing_in_the_way(platform, seen):
        return [], f"a change of the schema awaits a decision, and nothing is loaded: {waiting[0]}"
    altered = {name.partition("@")[2] for name in altered_partitions(platform, lake, secrets, cache)}
    left = {month for each in following(seen) for month in due_months(lake, each, altered)}
    months = sorted(month for month in altered - left if month)
    return [_ingest(f"late:{month}:{seen.files}", month) for month in months], ""


def following(seen: Look) -> list[Recorded]:
    """Return the recorded changes whose months are computed again: by their policy, or because they were accepted."""
    return [each for each in seen.state.changes if seen.state.standing(each) in {"rematerialise", "accepted"}]


def due_months(lake: Lake, change: Recorded, altered: Set[str]) -> list[str]:
    """Return the months that a change alters and that were not loaded since it was seen."""
    found = []
    for month in change.months:
        manifest = lake.find(SNAPSHOTS, month) if month in altered else None
        if manifest is not None and digest_of_files(manifest.extra["source_files"]) in change.loaded:
            found.append(month)
    return found


def months_of_changes(
    platform: Platform,
    lake: Lake,
    secrets: SecretStore,
    cache: Path | None,
    seen: Look,
    checks: Mapping[str, Sequence[dg.AssetCheckKey]],
) -> list[Wanted]:
    """Return what follows of changes: the ingest of the months that they alter, and then the groups that they touch.

    A group is computed again in the months whose look-back reads an altered month, once that month is loaded again, and only
    where it was computed before.
    """
    changes = following(seen)
    if not changes:
        return []
    altered = {name.partition("@")[2] for name in altered_partitions(platform, lake, secrets, cache)}
    wanted: list[Wanted] = []
    for each in changes:
        name = f"schema:{each.incident or each.change.id}:{each.files}"
        due = due_months(lake, each, altered)
        wanted += [_ingest(f"{name}:{month}", month) for month in due]
        if not due and each.months:
            wanted += _groups(platform, lake, each, name, checks)
    return wanted


def _groups(
    platform: Platform, lake: Lake, change: Recorded, name: str, checks: Mapping[str, Sequence[dg.AssetCheckKey]]
) -> Iterator[Wanted]:
    graph, loaded = platform.graph, {Month.parse(month) for month in change.months}
    for month in platform.settings.dataset.snapshot_months:
        if not loaded & {read for read in graph.months_read(Window.LOOK_BACK, month) if read is not None}:
            continue
        stale = [
            path
            for path in map(group_asset, change.groups)
            if lake.find(path, month.key) is not None and not graph.is_current(lake, path, month.key)
        ]
        if stale:
            asked = tuple(check for path in stale for check in checks.get(path, ()))
            yield Wanted(f"{name}:features:{month}", FEATURES, month.partition_key, tuple(map(key_of, stale)), asked)


def new_months(platform: Platform, lake: Lake, secrets: SecretStore, seen: Look) -> tuple[list[Wanted], str]:
    """Return the ingest of the months after the last stored one, then their features, then the last one's lists.

    Features follow once the month and every state are stored and an earlier month has features; lists once the last month has all
    its features and a bundle is published.
    """
    if waiting := standing_in_the_way(platform, seen):
        return [], f"a change of the schema awaits a decision, and nothing is loaded: {waiting[0]}"
    settings = platform.graph.settings_of(SNAPSHOTS, *platform.graph.catalogues)
    adapter = adapter_class(settings)(settings, pseudonym_key(settings, secrets), LakeSession(lake))
    stored = [Month.parse(str(manifest.partition)) for manifest in stored_months(platform, lake)]
    span = platform.settings.dataset.raw_months
    fresh = [month for month in adapter.months() if month in span and month > stored[-1]]
    wanted = [_ingest(f"new:{month}:{seen.files}", month.key) for month in fresh]
    return [*wanted, *features_of_new_months(platform, lake), *lists_of_last_month(platform, lake)], ""


def features_of_new_months(platform: Platform, lake: Lake) -> list[Wanted]:
    """Return the features of every stored month after the last one that has features; nothing where no month has any."""
    groups = [group.asset for group in platform.registry.available]
    states = [state_asset(group.name) for group in platform.registry.available]
    with_any = sorted({key for path in groups for key in lake.partitions(path)})
    if not with_any or any(lake.find(path) is None for path in states):
        return []
    last = Month.parse(with_any[-1])
    stored = [Month.parse(str(manifest.partition)) for manifest in stored_months(platform, lake)]
    due = [month for month in stored if month > last and month in platform.settings.dataset.snapshot_months]
    return [Wanted(f"features:{month}", FEATURES, month.partition_key) for month in due]


def lists_of_last_month(platform: Platform, lake: Lake) -> list[Wanted]:
    """Return the scoring of the last snapshot month, where it has all its features and no lists, and a bundle is published."""
    graph = platform.graph
    if RECOMMENDATIONS not in graph or lake.find(PUBLISHED) is None or lake.find(BUNDLE) is None:
        return []
    month = last_month_with_features(platform, lake)
    if month is None or lake.find(RECOMMENDATIONS, month.key) is not None:
        return []
    return [Wanted(f"score:{month}", SCORE, month.partition_key)]


def last_month_with_features(platform: Platform, lake: Lake) -> Month | None:
    """Return the last snapshot month of which every feature group is stored; None where there is none."""
    paths = [group.asset for group in platform.registry.available]
    if not paths:
        return None
    whole = set.intersection(*(set(lake.partitions(path)) for path in paths))
    months = [month for month in platform.settings.dataset.snapshot_months if month.key in whole]
    return months[-1] if months else None


def _ingest(name: str, month: str) -> Wanted:
    return Wanted(name, INGEST, Month.parse(month).partition_key)
