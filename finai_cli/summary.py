"""``summary.json``, which is read back from the lake after a run of the main job."""

from __future__ import annotations

import json
import platform as machine
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from finai_assets.asset_graph import (
    BUNDLE,
    DECISIONS,
    EVALUATION,
    LISTS,
    OUTCOMES,
    RECOMMENDATIONS,
    SCORED_BY,
    SNAPSHOTS,
    student_asset,
)
from finai_assets.bundle.registry import is_approved
from finai_assets.evaluation.assets import evaluation_report_path
from finai_assets.platform import Platform
from finai_assets.recommend.evaluate import FILE as LISTS_FILE
from finai_assets.recommend.judged import FILE as OUTCOMES_FILE
from finai_assets.recommend.lists_page import PAGE
from finai_assets.students.card import read_card
from finai_checks.framework.audits import audit_standing
from finai_checks.framework.check import Declared
from finai_checks.framework.ledger import Ledger
from finai_resources.home import Home
from finai_resources.json_text import plain, to_json
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import address
from finai_resources.whole_file import replace_file

# Parts of the platform that do not exist yet, so that nobody looks for them.
ABSENT = (
    "compliance report",
    "kill switch, safety gate and audit chain in the handler",
)


def write_summary(
    platform: Platform, home: Home, ledger: Ledger, checks: list[Declared], stages: list[dict[str, Any]]
) -> dict[str, Any]:
    """Collect the summary, write it to the home, with paths from there so that the home may move, and return it."""
    summary = dict(plain(_collect(platform, home, ledger, checks, _with_earlier_figures(home, stages))))
    replace_file(home.summary, to_json(_from_home(summary, home), indent=1))
    return summary


def _from_home(summary: dict[str, Any], home: Home) -> dict[str, Any]:
    """Return the summary with the paths below the home's folder as they are seen from there."""

    def seen(path: str | None) -> str | None:
        return str(Path(path).relative_to(home.root)) if path and Path(path).is_relative_to(home.root) else path

    bundle = summary["bundle"] and {**summary["bundle"], "folder": seen(summary["bundle"]["folder"])}
    return {**summary, "bundle": bundle, **{name: seen(summary[name]) for name in ("evaluation_report", "lists_page")}}


def _with_earlier_figures(home: Home, stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the stages; one that was up to date gets the figures of the run that computed it."""
    earlier = {s["name"]: s for s in read_summary(home.summary)["stages"]} if home.summary.exists() else {}
    return [
        {**stage, "did": stage["figures"] if stage["ran"] else earlier.get(stage["name"], {}).get("did")}
        for stage in stages
    ]


def _collect(
    platform: Platform, home: Home, ledger: Ledger, checks: list[Declared], stages: list[dict[str, Any]]
) -> dict[str, Any]:
    settings, registry, lake = platform.settings, platform.registry, ledger.lake
    snapshots = list(settings.dataset.snapshot_months)
    last = snapshots[-1].key
    verdicts = check_verdicts(ledger, checks, platform)
    return {
        "dataset": settings.dataset.name,
        "profile": settings.profile,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "months": {
            "raw": [settings.dataset.raw_months.first.key, settings.dataset.raw_months.last.key],
            "snapshots": [snapshots[0].key, last],
            **{name: [month.key for month in months] for name, months in platform.splits},
        },
        "customers": lake.manifest(SNAPSHOTS, last).rows,
        "groups": [group.name for group in registry.available],
        "columns": {
            "available": len(registry.columns),
            "declared": sum(len(group.declared) for group in registry),
            "unavailable": {name: reason for group in registry for name, reason in group.unavailable.items()},
            "constant": verdicts["constant_columns"],
        },
        "derived": dict(settings.dataset.derived),
        "unavailable_tables": dict(settings.dataset.unavailable_tables),
        "unavailable_tasks": {task.name: task.unavailable for task in platform.tasks if task.unavailable},
        "ends": what_ends(platform),
        **_models(platform, lake),
        **_offers(platform, home, lake, last),
        "checks": {name: count for name, count in verdicts.items() if name != "constant_columns"},
        "report": None,
        "absent": list(ABSENT),
        "stages": stages,
        "peak_mib": max((stage["figures"]["peak_mib"] for stage in stages), default=0),
        "seconds": round(sum(stage["figures"]["seconds"] for stage in stages), 1),
        "versions": {
            "python": machine.python_version(),
            **{name: version(name) for name in ("dagster", "torch", "lightgbm", "pyarrow", "numpy")},
        },
    }


def what_ends(platform: Platform) -> str | None:
    """Return in one sentence where the main job of a data set ends before recommendations, and why; None where it does not."""
    if EVALUATION not in platform.graph:
        return "The run ends after the features: the data set can carry no prediction task."
    if BUNDLE not in platform.graph:
        reason = platform.settings.dataset.unavailable_tables["products"]
        return f"The run ends after the students, as there is nothing to recommend: {reason}."
    return None


def _models(platform: Platform, lake: Lake) -> dict[str, Any]:
    """Return the tasks with the scores of their models, and the page about them."""
    if EVALUATION not in platform.graph:
        return {"tasks": {}, "evaluation_report": None}
    evaluation = json.loads(lake.read_bytes(EVALUATION, None, "evaluation.json"))
    return {
        "tasks": {task.name: _task(lake, evaluation, task.name) for task in platform.available_tasks},
        "evaluation_report": evaluation_report_path(lake),
    }


def _offers(platform: Platform, home: Home, lake: Lake, month: str) -> dict[str, Any]:
    """Return the bundle, what it recommends in a month, and how good its lists are; None each where nothing is recommended."""
    if BUNDLE not in platform.graph:
        return dict.fromkeys(("bundle", "recommendations", "outcomes", "lists", "lists_page"))
    bundle_id = json.loads(lake.read_bytes(BUNDLE, None, "manifest.json"))["bundle_id"]
    lists = json.loads(lake.read_bytes(LISTS, None, LISTS_FILE))
    recommended = lake.manifest(RECOMMENDATIONS, month)
    return {
        "bundle": {"id": bundle_id, "bytes": lake.manifest(BUNDLE).bytes, "folder": str(home.bundles / bundle_id)},
        "recommendations": {
            "month": month,
            "rows": recommended.rows,
            "nothing_offered": nothing_offered(lake, month),
            # Read when it is told, as an approval may come after the lists were made.
            "bundle": recommended.extra[SCORED_BY],
            "approved": is_approved(lake, recommended.extra[SCORED_BY]),
        },
        "outcomes": _outcomes(lake, [each.key for each in platform.settings.dataset.snapshot_months]),
        "lists": {name: found for name, found in lists.items() if name not in {"rivals", "groups"}},
        "lists_page": _page_of_lists(lake),
    }


def _page_of_lists(lake: Lake) -> str:
    manifest = lake.manifest(LISTS)
    return next(lake.path(manifest, stored) for stored in manifest.files if stored.role == PAGE)


def _outcomes(lake: Lake, months: list[str]) -> dict[str, Any] | None:
    """Return the outcomes of the last month of which they are stored, None where they are of none."""
    judged = [month for month in months if lake.find(OUTCOMES, month) is not None]
    return dict(json.loads(lake.read_bytes(OUTCOMES, judged[-1], OUTCOMES_FILE))) if judged else None


def nothing_offered(lake: Lake, month: str) -> dict[str, int]:
    """Return how many customers are offered nothing, by code, the most frequent first."""
    counts = pc.value_counts(pc.drop_null(lake.read(DECISIONS, month, columns=["code"])["code"])).to_pylist()
    return {row["values"]: row["counts"] for row in sorted(counts, key=lambda row: (-row["counts"], row["values"]))}


def _task(lake: Lake, evaluation: dict[str, Any], task: str) -> dict[str, Any]:
    student = read_card(LakeSession(lake), student_asset(task))
    return {
        "kind": student.kind,
        "route": student.route,
        "route_reason": student.reason,
        "evaluation": evaluation["tasks"][task],
        "student": student.metrics.get("test"),
        "fidelity": student.fidelity,
        "leaves": student.leaves,
        "bytes": student.model_bytes,
    }


def check_verdicts(ledger: Ledger, checks: list[Declared], platform: Platform) -> dict[str, Any]:
    """Count the recorded outcomes of every check on every stored partition, and the constant columns.

    A check of every run without a result is ``missing``. An audit without one is an ``audit_due``; those that failed, and those
    that a configured schedule misses, are listed with the reason, and of the blocking ones those that close their gates.
    """
    counts: dict[str, Any] = dict.fromkeys(
        ("passed", "warned", "failed", "missing", "audits_due", "constant_columns"), 0
    )
    audits: dict[str, list[str]] = {"audits_failed": [], "audits_overdue": [], "audits_closing": []}
    ledger.refresh()
    for check in checks:
        for month in sorted(check.month_keys, key=str):
            if ledger.content(check.asset, month) is None:
                continue
            if check.kind.audit:
                _count_audit(ledger, check, month, platform, counts, audits)
                continue
            found = ledger.standing(check, month)
            if found.has_passed:
                counts["passed"] += 1
            elif found.state in {"failed", "expired"}:
                counts["failed" if check.blocking else "warned"] += 1
            else:
                counts["missing"] += 1
            if check.name == "columns_vary_on_train" and found.record:
                counts["constant_columns"] += int(found.record["observed"].get("constant_columns", 0))
    return {**counts, **audits}


def _count_audit(
    ledger: Ledger,
    check: Declared,
    month: str | None,
    platform: Platform,
    counts: dict[str, Any],
    audits: dict[str, list[str]],
) -> None:
    found = audit_standing(ledger, check, month, platform.settings.checks.audits.due)
    name = f"{check.id} {check.name} on {address(check.asset, month)}"
    if found.state == "passed":
        counts["passed"] += 1
    elif found.state == "failed":
        counts["failed" if check.blocking else "warned"] += 1
        audits["audits_failed"].append(f"{name}: {found.reason}")
    else:
        counts["audits_due"] += 1
        if found.state in {"overdue", "late"}:
            audits["audits_overdue"].append(f"{name}: {found.reason}")
    if check.blocking and found.closes:
        audits["audits_closing"].append(name)


def read_summary(file: Path) -> dict[str, Any]:
    """Return a stored summary."""
    loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return loaded
