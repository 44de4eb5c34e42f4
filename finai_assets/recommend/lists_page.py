"""``lists.json`` as one page to be read by people, and as one table beside the asset.

The words stand in ``finai_assets/evaluation/templates/lists.html.j2``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finai_assets.evaluation.lists.metrics import ACCURACY, COVERAGE, HIT_3, NOVELTY, PRIMARY
from finai_assets.evaluation.lists.rivals import CEILING
from finai_assets.evaluation.page import render
from finai_assets.evaluation.plots import svg
from finai_assets.recommend import lists_plots
from finai_assets.recommend.variants import DIVERSITY

PAGE = "lists.html"
_CONSTRAINTS = {
    "held_only": "products that are held",
    "age_and_assets": "and age and asset limits",
    "suitability": "and suitability",
    "consent_and_messages": "and consent and recent messages: what may be offered",
}


def lists_page(lists: Mapping[str, Any]) -> bytes:
    """Return the page; equal figures give equal bytes.

    Parameters
    ----------
    lists : dict
        From :func:`finai_assets.recommend.evaluate.evaluate_lists`.
    """
    head, *rows = _rows(lists)
    return render(
        "lists.html.j2",
        lists=lists,
        known=CEILING in lists["lists"],
        ceiling=CEILING,
        names=by_accuracy(lists),
        rivals=list(lists["rivals"]),
        header=head,
        cells_of_lists=rows,
        constraints=[[words, _cell(lists["constraints"][name])] for name, words in _CONSTRAINTS.items()],
        variants=_variants(lists),
        told=lambda name: _cell(lists["lists"][name][PRIMARY]),
        share=lambda name: _cell(lists["lists"][name]["lift_share"]),
        plots=lists_plots,
        svg=svg,
    )


def markdown(lists: Mapping[str, Any]) -> str:
    """Return the lists as a Markdown table, the least accurate first."""
    head, *rows = _rows(lists)
    lines = [head, ["---"] * len(head), *rows]
    told = f"{lists['acquiring']:,} of {lists['rows']:,} test rows acquire something; intervals by customer; differences of "
    return told + f"{PRIMARY}.\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rows(lists: Mapping[str, Any]) -> list[list[str]]:
    """Return the head and a row for each list, the least accurate first."""
    known = any("lift_share" in figures for figures in lists["lists"].values())
    rows = [["list", *ACCURACY, COVERAGE, NOVELTY, *(["lift share"] if known else []), "ours - list", "served - list"]]
    for name in by_accuracy(lists):
        figures = lists["lists"][name]
        cells = [_cell(figures[figure]) for figure in (*ACCURACY, COVERAGE, NOVELTY)]
        cells += [_cell(figures["lift_share"])] if known else []
        rows.append([name, *cells, _cell(lists["ours_over"].get(name)), _cell(lists["served_over"].get(name))])
    return rows


def _variants(lists: Mapping[str, Any]) -> dict[str, list[list[str]]]:
    """Return the rows of the table of variants, by split."""
    splits = lists.get("variants", {}).get("splits", {})
    return {
        split: [
            [
                name.replace("_", " "),  # so that a narrow screen may break it
                _cell(figures[PRIMARY]),
                _cell(figures["over_served"]),
                _cell(figures[HIT_3]),
                f"{figures[COVERAGE]:.2f}",
                "" if figures[DIVERSITY] is None else f"{figures[DIVERSITY]:.2f}",
            ]
            for name, figures in found["variants"].items()
        ]
        for split, found in splits.items()
    }


def by_accuracy(lists: Mapping[str, Any]) -> list[str]:
    """Return the names of the lists, the least accurate first; one without a figure comes before all."""
    figure = {name: figures[PRIMARY].get("value") for name, figures in lists["lists"].items()}
    return sorted(figure, key=lambda name: (-1.0 if figure[name] is None else figure[name], name))


def _cell(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None or estimate.get("value") is None:
        return ""
    value = f"{estimate['value']:.3f}"
    return value if estimate.get("low") is None else f"{value} ({estimate['low']:.3f}..{estimate['high']:.3f})"
