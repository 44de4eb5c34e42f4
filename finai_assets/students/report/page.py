"""``fidelity.json`` as one page to be read by people, and as one table beside the asset.

The words stand in ``finai_assets/evaluation/templates/fidelity.html.j2``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finai_assets.evaluation.page import render
from finai_assets.evaluation.report.wording import NOTHING, estimate, number

LAYERS = {"served": "served", "layer_2": "layer 2"}
COMPARED = {"inputs": "inputs", "groups": "feature groups"}
SCORES = ("task", "route", "metric", "teacher", "copy", "direct", "served − teacher", "floors missed")


def fidelity_page(summary: Mapping[str, Any]) -> bytes:
    """Return the page; equal summaries give equal bytes.

    Parameters
    ----------
    summary : dict
        From :func:`finai_assets.students.report.summary.summarise`.
    """
    return render(
        "fidelity.html.j2",
        summary=summary,
        tasks=summary["tasks"],
        missing={name: task for name, task in summary["tasks"].items() if not task["copies_faithfully"]},
        scores=[[cell.replace("\n", " ") for cell in scores(name, task)] for name, task in summary["tasks"].items()],
        SCORES=SCORES,
        figures=figures,
        sizes=sizes,
        calibration=calibration,
        reasons=reasons,
        number=number,
    )


def markdown(summary: Mapping[str, Any]) -> str:
    """Return the scores of every task as a table in Markdown."""
    lines = [" | ".join(SCORES), " | ".join("---" for _ in SCORES)]
    lines += [" | ".join(scores(name, task)).replace("\n", " ") for name, task in summary["tasks"].items()]
    return "\n".join(f"| {line} |" for line in lines)


def scores(name: str, task: Mapping[str, Any]) -> list[str]:
    """Return a task's cells below :data:`SCORES`."""
    missed = [row["measure"] for row in task["figures"] if row["passed"] is False]
    told = NOTHING if not task["figures"] else ", ".join(missed) or "none"
    found = [estimate(task["scores"].get(who)) for who in ("teacher", "copy", "direct")]
    return [name, task["route"], task["metric"], *found, estimate(task["over_teacher"]), told]


def figures(name: str, task: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for every figure of fidelity of a task: task, measure, value, floor, verdict, noise ceiling."""
    return [
        [
            name,
            row["measure"],
            estimate(row).replace("\n", " "),
            NOTHING if row["floor"] is None else f"{row['bound']} {row['floor']:g}",
            {True: "kept", False: "missed", None: NOTHING}[row["passed"]],
            _plain(row["noise_ceiling"]),
        ]
        for row in task["figures"]
    ]


def sizes(name: str, task: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for each model of a task: the task, the layer, columns, leaves, bytes."""
    return [
        [name, title, *(f"{task['size'][layer][what]:,}" for what in ("columns", "leaves", "bytes"))]
        for layer, title in LAYERS.items()
        if task["size"][layer]
    ]


def calibration(name: str, task: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for each model of a task that gives probabilities: the task, the layer, calibrator, error before and after."""
    return [
        [name, LAYERS[layer], found["calibrator"], *(estimate(found[when]).replace("\n", " ") for when in ("before", "after"))]
        for layer, found in task["calibration"].items()
    ]  # fmt: skip


def reasons(name: str, task: Mapping[str, Any]) -> list[list[str]]:
    """Return two rows of an explained copy: the task, what is compared, on how many rows, overlap, equal signs, what it reads."""
    found = task["explanations"]
    if found is None:
        return []
    return [
        [name, title, f"{found[what]['compared']:,}",
         *(estimate(found[what][figure]).replace("\n", " ") for figure in ("overlap", "sign_agreement")),
         _plain(found["read_share"])]
        for what, title in COMPARED.items()
    ]  # fmt: skip


def _plain(value: float | None) -> str:
    return NOTHING if value is None else number(value, 3)
