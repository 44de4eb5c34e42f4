"""``summary.json``, which is read back from the lake after a run of the main job, and the tables printed from it."""

from __future__ import annotations

import json
import platform as machine
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from finai_assets.asset_graph import (
    BUNDLE,
    DECISIONS,
    EVALUATION,
    LISTS,
    OUTCOMES,
    RECOMMENDATIONS,
    SCORED_BY,
    SNAPSHOTS,
    is_label,
    student_asset,
)
from finai_assets.bundle.registry import is_approved
from finai_assets.evaluation.assets import evaluation_report_path
from finai_assets.partitions import is_mature
from finai_assets.platform import Platform
from finai_assets.recommend.evaluate import FILE as LISTS_FILE
from finai_assets.recommend.judged import FILE as OUTCOMES_FILE
from finai_assets.recommend.lists_page import PAGE, by_accuracy
from finai_assets.students.card import read_card
from finai_checks.framework.audits import audit_standing
from finai_checks.framework.check import Declared
from finai_checks.framework.ledger import Ledger
from finai_cli.output import Terminal, styled
from finai_resources.home import Home
from finai_resources.json_text import plain, to_json
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import address
from finai_resources.warehouse import Warehouse
from finai_resources.whole_file import replace_file

# Parts of the platform that do not exist yet, so that nobody looks for them.
ABSENT = (
    "compliance report",
    "kill switch, safety gate and audit chain in the handler",
)
SHOWN_RECOMMENDATIONS = 3
TABLE_WIDTH = 204


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
            "nothing_offered": _nothing_offered(lake, month),
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


def _nothing_offered(lake: Lake, month: str) -> dict[str, int]:
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
        for month in _partitions(check, platform):
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


def _partitions(check: Declared, platform: Platform) -> list[str | None]:
    if check.months is None:
        return [None]
    labels = is_label(check.asset)
    return [month.key for month in check.months if not labels or is_mature(month, platform.settings)]


def print_summary(summary: dict[str, Any], warehouse: Warehouse, console: Console) -> None:
    """Print the tables of tasks and lists, three recommendations, the counts of checks, and the paths of report and bundle."""
    # A table narrower than its figures is unreadable; a terminal narrower than the table wraps or scrolls it.
    wide = Terminal(file=console.file, width=max(console.width, TABLE_WIDTH))
    if summary["tasks"]:
        wide.print(task_table(summary))
    for name, reason in summary["unavailable_tasks"].items():
        console.print(styled(("not available", "yellow"), f" {name}: {reason}"))
    for name, how in summary["derived"].items():
        console.print(styled(("derived", "yellow"), f" {name}: {how}"))
    if summary["lists"]:
        wide.print(list_table(summary["lists"]))
        _print_recommendations(summary, warehouse, console)
    checks = summary["checks"]
    console.print(
        f"checks: {checks['passed']} passed, {checks['warned']} warned, {checks['failed']} failed, "
        f"{checks['missing']} without a result; "
        f"{checks['audits_due']} audits due (`finai recheck --audit`)",
    )
    for name, title in (("audits_failed", "audit failed"), ("audits_overdue", "audit overdue")):
        for line in checks[name]:
            console.print(styled("  ", (title, "red"), f" {line}"), soft_wrap=True, highlight=False)
    months = summary["months"]
    console.print(
        f"{summary['dataset']}: {summary['customers']:,} customers, {months['snapshots'][0]}..{months['snapshots'][1]}, "
        f"{summary['columns']['available']:,} columns in {len(summary['groups'])} groups, "
        f"{summary['columns']['constant']} constant",
        soft_wrap=True,
    )
    if summary["evaluation_report"]:
        console.print(f"evaluation report: {summary['evaluation_report']}", soft_wrap=True)
    if bundle := summary["bundle"]:
        console.print(f"page of lists: {summary['lists_page']}", soft_wrap=True)
        console.print(
            f"bundle {bundle['id'][:16]} ({bundle['bytes'] / 1e6:.1f} MB): {bundle['folder']}", soft_wrap=True
        )
    if summary["ends"]:
        console.print(escape(summary["ends"]), soft_wrap=True)


def task_table(summary: dict[str, Any]) -> Table:
    """Return one row for each task: the primary metric on test months beside its baselines and the ceiling."""
    n_months = ", ".join(summary["months"]["test"])
    title = (
        f"Test months {n_months}: primary metric (interval by bootstrap over customers) beside baselines and ceiling"
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    table.add_column("task", no_wrap=True)
    for name in (
        "metric", "n", "prior", "persist.", "LGBM raw", "LGBM all", "shared b.", "teacher", "student", "ceiling",
    ):  # fmt: skip
        table.add_column(name, justify="right" if name != "metric" else "left", no_wrap=True)
    table.add_column("route", no_wrap=True)
    table.add_column("copy explains", justify="right", no_wrap=True)
    for name, task in summary["tasks"].items():
        metric = PRIMARY[task["kind"]]
        test = task["evaluation"]["test"]["metrics"]
        estimates = {model: (test.get(model) or {}).get(metric) for model in MODELS}
        student = ((task["student"] or {}).get("student") or {}).get(metric)
        n = next((e["n"] for e in estimates.values() if e), 0)
        cells = [_cell(estimates[m]) for m in MODELS[:5]]
        table.add_row(
            name, metric, f"{n:,}", *cells, _cell(estimates["teacher"], interval=True), _cell(student, interval=True),
            _cell(estimates["ceiling"]), task["route"], _fidelity(task),
        )  # fmt: skip
    return table


def list_table(lists: dict[str, Any]) -> Table:
    """Return one row for each list: its figures on test rows beside those of its rivals, and how far ours is ahead."""
    shares = lists["layers"]
    total = max(1, sum(shares.values()))
    title = (
        f"Lists of products, {lists['acquiring']:,} test rows that acquire something; "
        f"{shares['1'] / total:.1%} of what is served is of layer 1"
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    table.add_column("list", no_wrap=True)
    for name in (*LIST_FIGURES.values(), "ours - list", "served - list"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in by_accuracy(lists):
        figures = lists["lists"][name]
        cells = [_cell(figures.get(figure), interval=figure in {"ndcg_at_3", "lift_share"}) for figure in LIST_FIGURES]
        over = [_cell(lists[part].get(name), interval=True) for part in ("ours_over", "served_over")]
        table.add_row(name, *cells, *over)
    return table


def _fidelity(task: dict[str, Any]) -> str:
    """Return how much of its teacher's output the copy that serves explains, and whether it misses a floor on test."""
    if task["route"] != "DISTILL":
        return ""
    explained = _cell(task["fidelity"]["figures"]["explained_variance"])
    return explained if task["fidelity"]["passed"] else f"{explained}, over a floor"


PRIMARY = {"binary": "auc", "multiclass": "log_loss", "regression": "r2"}
LIST_FIGURES = {
    "hr_at_1": "HR@1", "hr_at_3": "HR@3", "map_at_7": "MAP@7", "ndcg_at_3": "NDCG@3", "lift_share": "lift share",
    "coverage": "coverage", "novelty": "novelty",
}  # fmt: skip
MODELS = ("prior", "persistence", "lightgbm_raw", "lightgbm_all", "shared_bottom", "teacher", "ceiling")


def _cell(estimate: dict[str, Any] | None, *, interval: bool = False) -> str:
    if not estimate or estimate.get("value") is None:
        return "-"
    text = f"{estimate['value']:.3f}"
    if interval and estimate.get("low") is not None:
        text += f" ({estimate['low']:.3f}..{estimate['high']:.3f})"
    return text


def _print_recommendations(summary: dict[str, Any], warehouse: Warehouse, console: Console) -> None:
    month = summary["recommendations"]["month"]
    reads = {RECOMMENDATIONS: [month]}
    (found,) = warehouse.query(
        "SELECT count(*) AS rows, count(DISTINCT customer_id) AS customers FROM recommendations.customers", reads=reads
    ).to_pylist()
    nothing = summary["recommendations"]["nothing_offered"]
    told = ", ".join(f"{code} {count:,}" for code, count in nothing.items())
    console.print(f"\n{found['rows']:,} recommendations to {found['customers']:,} customers for {month}:")
    if nothing:
        console.print(f"  nothing is offered to {sum(nothing.values()):,} customers: {told}", soft_wrap=True)
    if not summary["recommendations"]["approved"]:
        console.print(
            "  not approved: their bundle is a challenger until `finai promote` makes it champion", soft_wrap=True
        )
    if summary["outcomes"]:
        console.print(f"  {_told_outcomes(summary['outcomes'])}", soft_wrap=True)
    shown = warehouse.query(
        "SELECT customer_id, product, score, layer, reason_ko, reason_en FROM recommendations.customers "
        "WHERE rank = 1 ORDER BY customer_id LIMIT $shown",
        {"shown": SHOWN_RECOMMENDATIONS},
        reads=reads,
    )
    for row in shown.to_pylist():
        score = f"score {row['score']:.4f}, layer {row['layer']}"
        line = styled(f"  customer {row['customer_id']}: ", (row["product"], "bold"), f" ({score})")
        console.print(line, soft_wrap=True)
        console.print(f"    {row['reason_ko']}\n    {row['reason_en']}", soft_wrap=True)


def _told_outcomes(outcomes: dict[str, Any]) -> str:
    figures = ", ".join(
        f"{name.replace('_', ' ')} {_cell(of['ndcg_at_3'], interval=True)}" for name, of in outcomes["lists"].items()
    )
    acquiring = f"{outcomes['acquiring']:,} customers acquired something"
    return f"{outcomes['month']} has matured: {acquiring}; NDCG@3 of what was {figures}"


def read_summary(file: Path) -> dict[str, Any]:
    """Return a stored summary."""
    loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return loaded
