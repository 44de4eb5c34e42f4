"""What a run prints at its end: the tables of tasks and lists, ten customers' recommendations, and what to look at next."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from finai_assets.asset_graph import RECOMMENDATIONS
from finai_assets.recommend.lists_page import by_accuracy
from finai_cli.output import Terminal, styled
from finai_resources.home import Home
from finai_resources.warehouse import Warehouse
from serving_lambda.filters import CONSENT_UNKNOWN

SHOWN_CUSTOMERS = 10
TABLE_WIDTH = 204
_WITHOUT_CONSENTS = (
    "who has consented is not known: map `consents` in the data set's YAML; or, as a person who answers for it, permit it by "
    "`finai overrides add --check consent_zero_leak --asset recommendations/customers`, and run again"
)


def print_summary(summary: dict[str, Any], home: Home, warehouse: Warehouse, console: Console) -> None:
    """Print the tables of tasks and lists, the counts of checks, ten customers' recommendations, and what to look at next."""
    # A table narrower than its figures is unreadable; a terminal narrower than the table wraps or scrolls it.
    wide = Terminal(file=console.file, width=max(console.width, TABLE_WIDTH))
    if summary["tasks"]:
        wide.print(task_table(summary))
    for name, reason in summary["unavailable_tasks"].items():
        console.print(styled(("not available", "yellow"), f" {name}: {reason}"), soft_wrap=True)
    for name, how in summary["derived"].items():
        console.print(styled(("derived", "yellow"), f" {name}: {how}"), soft_wrap=True)
    if summary["lists"]:
        wide.print(list_table(summary["lists"]))
    _print_checks(summary["checks"], console)
    months = summary["months"]
    console.print(
        f"{summary['dataset']}: {summary['customers']:,} customers, {months['snapshots'][0]}..{months['snapshots'][1]}, "
        f"{summary['columns']['available']:,} columns in {len(summary['groups'])} groups, "
        f"{summary['columns']['constant']} constant",
        soft_wrap=True,
    )
    if summary["lists"]:
        _print_recommendations(summary, warehouse, console)
    if summary["ends"]:
        console.print(escape(summary["ends"]), soft_wrap=True)
    _print_what_to_look_at(summary, home, console)


def _print_checks(checks: dict[str, Any], console: Console) -> None:
    console.print(
        f"checks: {checks['passed']} passed, {checks['warned']} warned, {checks['failed']} failed, "
        f"{checks['missing']} without a result; "
        f"{checks['audits_due']} audits due (`finai recheck --audit`)",
        soft_wrap=True,
    )
    for name, title in (("audits_failed", "audit failed"), ("audits_overdue", "audit overdue")):
        for line in checks[name]:
            console.print(styled("  ", (title, "red"), f" {line}"), soft_wrap=True, highlight=False)


def _print_what_to_look_at(summary: dict[str, Any], home: Home, console: Console) -> None:
    """Print the pages by path, and the commands that show the rest, as they work from this folder."""
    chosen = _options(summary, home)
    console.print("\nlook at:")
    for path, what in (
        (summary["evaluation_report"], "the tasks: skill beside baselines and ceiling"),
        (summary["lists_page"], "the lists beside their rivals"),
        (summary["bundle"] and summary["bundle"]["folder"], "the signed bundle that serving loads"),
    ):
        if path:
            console.print(f"  {_from_here(path)}  {what}", soft_wrap=True, highlight=False)
    commands = [("ui", "the Dagster UI on http://127.0.0.1:3000")]
    if summary["recommendations"]:
        commands += [("reasons CUSTOMER", "one customer's list, as customer, banker and auditor read it")]
    for command, what in commands:
        words = " ".join([_program(), command, *chosen])
        console.print(f"  {words}  {what}", soft_wrap=True, highlight=False)


def _options(summary: dict[str, Any], home: Home) -> list[str]:
    """Return the options that choose the same data set, profile and home from a fresh shell in this folder."""
    chosen = {"dataset": (summary["dataset"], "synthetic"), "profile": (summary["profile"], "demo")}
    words = [word for name, (value, default) in chosen.items() if value != default for word in (f"--{name}", value)]
    usual = Path(".finai").resolve() / f"{summary['dataset']}-{summary['profile']}"
    return words if home.root == usual else [*words, "--home", shlex.quote(_from_here(str(home.root)))]


def _program() -> str:
    """Return how this program is called from this folder: by its name where the shell finds it."""
    script = Path(sys.executable).with_name("finai")
    found = shutil.which("finai")
    if found and Path(found).resolve() == script.resolve():
        return "finai"
    return (
        shlex.quote(_from_here(str(script))) if script.exists() else f"{shlex.quote(sys.executable)} -m finai_cli.main"
    )


def _from_here(path: str) -> str:
    """Return a path relative to the working folder where it lies below it; the address of an object as it is."""
    return os.path.relpath(path) if Path(path).is_absolute() and Path(path).is_relative_to(Path.cwd()) else path


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
        if CONSENT_UNKNOWN in nothing:
            console.print(f"  {_WITHOUT_CONSENTS}", soft_wrap=True)
    if not summary["recommendations"]["approved"]:
        console.print(
            "  not approved: their bundle is a challenger until `finai promote` makes it champion", soft_wrap=True
        )
    if summary["outcomes"]:
        console.print(f"  {_told_outcomes(summary['outcomes'])}", soft_wrap=True)
    shown = warehouse.query(
        "SELECT customer_id, list(product ORDER BY rank) AS products, first(score ORDER BY rank) AS score, "
        "first(layer ORDER BY rank) AS layer, first(reason_ko ORDER BY rank) AS reason_ko, "
        "first(reason_en ORDER BY rank) AS reason_en FROM recommendations.customers "
        "GROUP BY customer_id ORDER BY customer_id LIMIT $shown",
        {"shown": SHOWN_CUSTOMERS},
        reads=reads,
    )
    for row in shown.to_pylist():
        first, *others = row["products"]
        score = f" (score {row['score']:.4f}, layer {row['layer']})" + "".join(f", {name}" for name in others)
        console.print(styled(f"  customer {row['customer_id']}: ", (first, "bold"), score), soft_wrap=True)
        console.print(f"    {row['reason_ko']}\n    {row['reason_en']}", soft_wrap=True)


def _told_outcomes(outcomes: dict[str, Any]) -> str:
    figures = ", ".join(
        f"{name.replace('_', ' ')} {_cell(of['ndcg_at_3'], interval=True)}" for name, of in outcomes["lists"].items()
    )
    acquiring = f"{outcomes['acquiring']:,} customers acquired something"
    return f"{outcomes['month']} has matured: {acquiring}; NDCG@3 of what was {figures}"
