"""The explanations as one page to be read by people, from the stored summary alone.

The words stand in ``templates/explanations.html.j2``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finai_assets.evaluation.explanation import cells, figures, wording
from finai_assets.evaluation.explanation.ablation_of_experts import CLOSED, REPLACED
from finai_assets.evaluation.explanation.deletion import LOSES
from finai_assets.evaluation.page import render
from finai_assets.evaluation.plots import svg


def explanation_page(summary: Mapping[str, Any]) -> bytes:
    """Return the page; equal summaries give equal bytes.

    Parameters
    ----------
    summary : dict
        From :func:`~finai_assets.evaluation.explanation.explain.explain`.
    """
    deletion = {name: task["deletion"] for name, task in summary["tasks"].items()}
    return render(
        "explanations.html.j2",
        summary=summary,
        sample=summary["sample"],
        settings=summary["settings"],
        found=summary["summary"],
        gates=summary["gates"],
        tasks=summary["tasks"],
        against_deviation=sum(
            wording.low(found["change"]["area"]["attributed_minus_deviation"]) > 0 for found in deletion.values()
        ),
        judged=sum(found["skill"]["full"] is not None for found in deletion.values()),
        moves_less=[name for name, found in deletion.items() if found["verdict"] == LOSES],
        costs_less=[name for name, found in deletion.items() if found["verdict_skill"] == LOSES],
        REPLACED=REPLACED,
        CLOSED=CLOSED,
        cells=cells,
        words=wording,
        figures=figures,
        svg=svg,
    )
