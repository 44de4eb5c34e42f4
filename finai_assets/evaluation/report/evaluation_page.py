"""The evaluation as one page to be read by people: from ``evaluation.json`` and ``curves.json`` alone, in plain words.

The words stand in ``templates/evaluation.html.j2``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finai_assets.evaluation.models import LEARNED_BASELINES, LIGHTGBM_ALL, MODELS, TEACHER
from finai_assets.evaluation.page import render
from finai_assets.evaluation.plots import svg
from finai_assets.evaluation.report import figures, results, wording


def evaluation_report(evaluation: Mapping[str, Any], curves: Mapping[str, Any]) -> bytes:
    """Return the report; equal inputs give equal bytes.

    Parameters
    ----------
    evaluation : dict
        From :func:`~finai_assets.evaluation.comparison.evaluate_all`.
    curves : dict
        From :func:`~finai_assets.evaluation.curves.curves_of`.
    """
    known = evaluation["models"]
    baselines = [name for name in LEARNED_BASELINES if name in known]
    learned = [*baselines, TEACHER]
    drawn = {name: task["models"].get(TEACHER, {}) for name, task in curves["tasks"].items()}
    return render(
        "evaluation.html.j2",
        evaluation=evaluation,
        curves=curves,
        data=evaluation["data"],
        tasks=evaluation["tasks"],
        summary=evaluation["summary"][results.SPLIT],
        models={name: known[name] for name in MODELS if name in known},
        baselines=baselines,
        learned=learned,
        losing=results.losing_to_trees(evaluation),
        far_out=results.far_out(evaluation),
        calibration_errors=results.calibration_errors(curves, learned),
        ranked=any(found.get("roc") for found in drawn.values()),
        binary=[name for name, task in curves["tasks"].items() if task["kind"] == "binary"],
        multiclass=[name for name, found in drawn.items() if found.get("recall")],
        recalled=[name for name in (TEACHER, LIGHTGBM_ALL) if name in known],
        figures=figures,
        svg=svg,
        results=results,
        words=wording,
    )
