"""Writes the tables of docs/results.md, in Markdown, from stored summaries.

python -m finai_cli.results HOME [HOME ...]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from finai_cli.summary import MODELS, PRIMARY, read_summary


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


if __name__ == "__main__":
    main()
