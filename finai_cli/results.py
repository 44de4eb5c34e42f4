"""Writes the tables of docs/results.md, in Markdown, from stored summaries.

python -m finai_cli.results HOME [HOME ...]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from finai_assets.asset_graph import FIDELITY
from finai_assets.recommend.lists_page import by_accuracy
from finai_assets.students.report.summary import FILE
from finai_cli.summary import read_summary
from finai_cli.summary_printed import LIST_FIGURES, MODELS, PRIMARY
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession


def table(summary: dict[str, Any]) -> str:
    """Return one row for each task: n, the primary metric on test months with its interval, baselines, ceiling, route."""
    head = ["task", "metric", "n", "positives or mean", *MODELS, "student", "route"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, task in summary["tasks"].items():
        metric, found = PRIMARY[task["kind"]], task["evaluation"]["test"]["metrics"]
        student = ((task["student"] or {}).get("student") or {}).get(metric)
        cells = [_cell((found.get(model) or {}).get(metric)) for model in MODELS]
        n = next((entry[metric]["n"] for entry in found.values() if metric in entry), 0)
        prevalence = (found["prior"].get("prevalence") or {}).get("value")
        rate = f"{prevalence:.3f}" if prevalence is not None else ""
        lines.append("| " + " | ".join([name, metric, f"{n:,}", rate, *cells, _cell(student), task["route"]]) + " |")
    return "\n".join(lines)


def student_table(fidelity: dict[str, Any]) -> str:
    """Return one row for each task from ``fidelity.json``: route, scores, figures of the copy on test rows, sizes, calibration.

    A figure stands before the noise ceiling; ``!`` marks one that misses its floor.
    """
    measures = ("explained_variance", "pair_order", "decile_overlap", "decile_overlap_exact", "kl_share", "agreement")
    head = ["task", "route", "policy `better`", "metric", "teacher", "copy", "direct", *measures, "floors missed",
            "reasons: inputs, signs", "columns", "leaves", "kB", "layer 2: leaves, kB", "ECE before, after"]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, task in fidelity["tasks"].items():
        figures = {row["measure"]: row for row in task["figures"]}
        scores = [_cell(task["scores"].get(who)) for who in ("teacher", "copy", "direct")]
        served, behind = task["size"]["served"], task["size"]["layer_2"]
        missed = [row["measure"] for row in task["figures"] if row["passed"] is False]
        lines.append("| " + " | ".join([
            name, task["route"], task["routes"].get("better", ""), task["metric"], *scores,
            *(_figure(figures.get(measure)) for measure in measures), ", ".join(missed), _reasons(task["explanations"]),
            str(served["columns"]), f"{served['leaves']:,}", f"{served['bytes'] / 1000:.0f}",
            f"{behind['leaves']:,}, {behind['bytes'] / 1000:.0f}" if behind else "", _calibration(task["calibration"]),
        ]) + " |")  # fmt: skip
    return "\n".join(lines)


def lists_table(lists: dict[str, Any]) -> str:
    """Return one row for each list of products: its figures on test rows, the lift share, and how far ours is ahead."""
    head = ["list", *LIST_FIGURES.values(), "ours - list", "served - list"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name in by_accuracy(lists):
        figures = lists["lists"][name]
        cells = [_cell(figures.get(figure)) for figure in LIST_FIGURES]
        over = [_cell(lists[part].get(name)) for part in ("ours_over", "served_over")]
        lines.append("| " + " | ".join([name, *cells, *over]) + " |")
    return "\n".join(lines)


def _figure(row: dict[str, Any] | None) -> str:
    if row is None or row["value"] is None:
        return ""
    ceiling = "" if row["noise_ceiling"] is None else f", {row['noise_ceiling']:.3f}"
    return f"{row['value']:.3f}{ceiling}{'!' if row['passed'] is False else ''}"


def _reasons(found: dict[str, Any] | None) -> str:
    inputs = (found or {}).get("inputs") or {}
    parts = [(inputs.get(name) or {}).get("value") for name in ("overlap", "sign_agreement")]
    return "" if None in parts else ", ".join(f"{part:.2f}" for part in parts)


def _calibration(found: dict[str, Any] | None) -> str:
    served = (found or {}).get("served") or {}
    parts = [(served.get(name) or {}).get("value") for name in ("before", "after")]
    return "" if None in parts else ", ".join(f"{part:.4f}" for part in parts)


def _cell(estimate: dict[str, Any] | None) -> str:
    if not estimate or estimate.get("value") is None:
        return ""
    if estimate.get("low") is None:
        return f"{estimate['value']:.3f}"
    return f"{estimate['value']:.3f} ({estimate['low']:.3f}..{estimate['high']:.3f})"


def main() -> None:
    """Print the tables of the homes named on the command line."""
    for folder in sys.argv[1:]:
        summary = read_summary(Path(folder) / "summary.json")
        months = summary["months"]
        sys.stdout.write(
            f"### {summary['dataset']}, profile {summary['profile']}\n\n"
            f"{summary['customers']:,} customers in {months['snapshots'][1]}; train {months['train'][0]}..{months['train'][-1]}, "
            f"validation {', '.join(months['validation'])}, test {', '.join(months['test'])}; "
            f"{summary['columns']['available']:,} columns in {len(summary['groups'])} groups.\n\n{table(summary)}\n\n"
        )
        if not summary["tasks"]:
            continue
        fidelity = LakeSession(Lake.on_disk(Home.at(Path(folder)).lake_root)).read_json(FIDELITY, None, FILE)
        sys.stdout.write(f"Students, copies: {', '.join(fidelity['copies'])}\n\n{student_table(fidelity)}\n\n")
        if not (lists := summary["lists"]):
            continue
        sys.stdout.write(
            f"Lists, {lists['acquiring']:,} of {lists['rows']:,} test rows acquire something; served by layer "
            f"{', '.join(f'{layer}: {count:,}' for layer, count in lists['layers'].items())}\n\n{lists_table(lists)}\n\n"
        )


if __name__ == "__main__":
    main()
