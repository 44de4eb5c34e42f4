"""What the Dagster UI knows of a lake, written anew from the lake alone: for a machine whose instance was lost.

The lake is the truth (decision 2): manifests say what is stored, by which code and from what, and the evidence log what checks
said of it. Runs, their times and their logs were the instance's own, and are gone with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dagster as dg
from rich.console import Console

from finai_assets.automation.specs import facts, key_of
from finai_assets.features.assets import column_materializations
from finai_assets.features.compute import stored_statistics
from finai_assets.features.fit import load_states
from finai_assets.platform import Platform
from finai_checks.assets import as_evaluation
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckOutcome, Declared
from finai_checks.framework.evidence_log import evidence_log
from finai_cli.display import display
from finai_cli.execute import dagster_instance
from finai_cli.run import lake_of
from finai_resources.event_log import finished_run, log_evaluations_in, report_materializations
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import Manifest, address
from finai_resources.month_runs import CODE_VERSION_TAG, DATA_VERSION_TAG
from finai_resources.months import Month

JOB = "restore"


def restored(platform: Platform, home: Home, console: Console, *, dry_run: bool = False) -> dict[str, int]:
    """Tell the home's Dagster instance of every stored partition, column and verdict that it does not know; return how many.

    Parameters
    ----------
    dry_run
        Count, and write nothing.
    """
    lake = lake_of(platform, home)
    found = {"partitions": 0, "columns": 0, "checks": 0}
    with dagster_instance(home) as instance, display(console) as show:
        with show("Partitions", len(platform.graph.paths), 0) as shown:
            unknown = {path: _unknown(instance, lake, path) for path in platform.graph.paths}
            run = finished_run(instance, JOB) if not dry_run and any(unknown.values()) else None
            for path, manifests in unknown.items():
                shown.note(path)
                events = [_materialization(manifest) for manifest in manifests]
                columns = list(_columns(platform, lake, path, manifests))
                found["partitions"] += len(events)
                found["columns"] += len(columns)
                if run is not None:
                    report_materializations(instance, run, [*events, *columns])
                shown.advance()
        evaluations = list(_verdicts(platform, lake, unknown))
        found["checks"] = len(evaluations)
        if run is not None:
            log_evaluations_in(instance, run, evaluations)
    return found


def _unknown(instance: dg.DagsterInstance, lake: Lake, path: str) -> list[Manifest]:
    """Return the manifests of the partitions of an asset that the instance has no materialisation of."""
    manifests = lake.manifests(path)
    known = instance.get_materialized_partitions(key_of(path)) if manifests else set()
    whole = instance.get_latest_materialization_event(key_of(path)) is not None
    return [
        manifest
        for manifest in manifests
        if (Month.parse(manifest.partition).partition_key not in known if manifest.partition else not whole)
    ]


def _materialization(manifest: Manifest) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        key_of(manifest.asset),
        partition=Month.parse(manifest.partition).partition_key if manifest.partition else None,
        metadata=facts(manifest),
        tags={
            DATA_VERSION_TAG: manifest.content_hash,
            f"{DATA_VERSION_TAG}_is_user_provided": "true",
            CODE_VERSION_TAG: manifest.code_version,
        },
    )


def _columns(
    platform: Platform, lake: Lake, path: str, manifests: Iterable[Manifest]
) -> Iterator[dg.AssetMaterialization]:
    """Yield the columns of the stored months of a feature group, with their statistics against the present state."""
    group = next((group for group in platform.registry.available if group.asset == path), None)
    session = LakeSession(lake)
    for manifest in manifests if group is not None else ():
        assert group is not None  # noqa: S101 - there are months of a group only where there is a group
        month = Month.parse(manifest.partition or "")
        reference = load_states(session, [group])[group.name].reference
        yield from column_materializations(group, month, stored_statistics(session, month, group, reference))


def _verdicts(
    platform: Platform, lake: Lake, unknown: Mapping[str, list[Manifest]]
) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield the last word of the evidence log on each check of the partitions, where it was of what is stored now."""
    contents = {address(m.asset, m.partition): m for manifests in unknown.values() for m in manifests}
    last: dict[tuple[str, str], Mapping[str, Any]] = {}
    for entry in evidence_log(lake, platform.secrets).entries():
        last[entry.record["name"], entry.record["asset"]] = entry.record
    for check in declared_checks(platform):
        for partition in check.month_keys:
            where = address(check.asset, partition)
            record = last.get((check.name, where))
            if record is None or where not in contents or record["data_version"] != contents[where].content_hash:
                continue
            yield as_evaluation(check, Month.parse(partition) if partition else None, _outcome(check, record))


def _outcome(check: Declared, record: Mapping[str, Any]) -> CheckOutcome:
    return CheckOutcome(record["passed"], record["reason"], record["n"], record["observed"], record["table"])
