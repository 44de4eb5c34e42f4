"""The table of lists: every list with its figures, the lift share, and how far ours is ahead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finai_assets.evaluation.lists.metrics import ACCURACY, COVERAGE, NOVELTY, PRIMARY


def markdown(lists: Mapping[str, Any]) -> str:
    """Return the lists as a Markdown table, rivals first, the ceiling last."""
    known = any("lift_share" in figures for figures in lists["lists"].values())
    head = ["list", *ACCURACY, COVERAGE, NOVELTY, *(["lift share"] if known else []), "ours - list", "served - list"]
    rows = [head, ["---"] * len(head)]
    for name in by_accuracy(lists):
        figures = lists["lists"][name]
        cells = [_cell(figures[figure]) for figure in (*ACCURACY, COVERAGE, NOVELTY)]
        cells += [_cell(figures["lift_share"])] if known else []
        rows.append([name, *cells, _cell(lists["ours_over"].get(name)), _cell(lists["served_over"].get(name))])
    told = f"{lists['acquiring']:,} of {lists['rows']:,} test rows acquire something; intervals by customer; differences of "
    return told + f"{PRIMARY}.\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)


def by_accuracy(lists: Mapping[str, Any]) -> list[str]:
    """Return the names of the lists, the least accurate first; one without a figure comes before all."""
    figure = {name: figures[PRIMARY].get("value") for name, figures in lists["lists"].items()}
    return sorted(figure, key=lambda name: (-1.0 if figure[name] is None else figure[name], name))


def _cell(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None or estimate.get("value") is None:
        return ""
    value = f"{estimate['value']:.3f}"
    return value if estimate.get("low") is None else f"{value} ({estimate['low']:.3f}..{estimate['high']:.3f})"
