"""The evaluation as one page to be read by people: from ``evaluation.json`` and ``curves.json`` alone, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finai_assets.evaluation.models import (
    ABOUT,
    CEILING,
    LEARNED_BASELINES,
    LIGHTGBM_ALL,
    LIGHTGBM_RAW,
    MODELS,
    SHARED_BOTTOM,
    TEACHER,
)
from finai_assets.evaluation.page import Section, bullets, definitions, figure, heading, page, paragraph, table
from finai_assets.evaluation.plots import svg
from finai_assets.evaluation.report import figures
from finai_assets.evaluation.report.results import SPLIT, in_short, lift, results, where_trees_win
from finai_assets.evaluation.report.wording import NOTHING, counted, month_span


def evaluation_report(evaluation: Mapping[str, Any], curves: Mapping[str, Any]) -> bytes:
    """Return the report; equal inputs give equal bytes.

    Parameters
    ----------
    evaluation : dict
        From :func:`~finai_assets.evaluation.comparison.evaluate_all`.
    curves : dict
        From :func:`~finai_assets.evaluation.curves.curves_of`.
    """
    data = evaluation["data"]
    months = data["splits"][SPLIT]["months"]
    lead = (
        f"How well the teacher predicts the {len(evaluation['tasks'])} tasks of the data set {data['dataset']} on "
        f"test months ({month_span(months)}) that nothing was fitted or chosen on, beside baselines that learned "
        "from the same rows"
        + (", and beside the ceiling of the generator's true probabilities." if _has_ceiling(evaluation) else ".")
    )
    sections = [
        Section("In short", in_short(evaluation)),
        Section("What was measured", _measured(evaluation)),
        Section("The models", _models(evaluation)),
        Section("Results by task", results(evaluation)),
    ]
    if evaluation["summary"][SPLIT]["lift_share"]:
        sections.append(Section("Lift share", lift(evaluation)))
    sections += [
        Section("Where trees win", where_trees_win(evaluation)),
        Section("Ranking: ROC and precision-recall", _ranking(curves)),
        Section("Calibration", _calibration(evaluation, curves)),
        Section("Gates", _gates(curves)),
        Section("Learning curves", _learning(curves)),
    ]
    return page(f"Teacher evaluation: {data['dataset']}", lead, [section for section in sections if section.body])


def _measured(evaluation: Mapping[str, Any]) -> str:
    data = evaluation["data"]
    purpose = {
        "train": "fits every model, the normaliser and all constants",
        "validation": "stops trainings, calibrates, and chooses the trivial forecast",
        "test": "is scored; nothing is fitted or chosen on it",
    }
    rows = [
        [name, month_span(found["months"]), f"{found['rows']:,}", f"{found['customers']:,}", purpose[name]]
        for name, found in data["splits"].items()
    ]
    level = f"{100 * data['confidence']:.0f} %"
    return (
        definitions(
            [
                ("Data set", f"{data['dataset']}, profile {data['profile']}, seed {data['seed']}"),
                ("A row", "a customer at the end of a month: features from before the cutoff, labels from after it"),
                ("Label window", f"{counted(data['horizon_months'], 'month')} from the cutoff on"),
                (
                    "Gap",
                    f"at least {data['gap_days']} days between a split's label windows and the next split's first "
                    "cutoff",
                ),
                (
                    "Interval",
                    f"{level}, from {data['resamples']} resamples of customers (not rows: a customer's months are "
                    "alike)",
                ),
            ]
        )
        + table(["split", "months", "rows", "customers", "what it does"], rows, numeric={2, 3}, caption="The splits")
        + bullets(
            [
                "AUC (binary tasks): how often a customer to whom it happens is ranked above one to whom it does "
                "not; 0.5 is chance.",
                "Log-loss (tasks with classes): mean of −log of the probability given to what happened, in nats; "
                "lower is better.",
                "R² (regressions): share of the variance that is explained; 0 is the mean, below 0 is worse than "
                "the mean.",
                f"Better and worse mean that the {level} interval of the paired difference excludes zero. Tasks are "
                f"looked at one by one: of {len(evaluation['tasks'])} comparisons without any difference about one "
                f"in {round(1 / (1 - data['confidence']))} would still look clear.",
            ]
        )
    )


def _models(evaluation: Mapping[str, Any]) -> str:
    rows = []
    for name in MODELS:
        if name in evaluation["models"]:
            known = evaluation["models"][name]
            rows.append(
                [
                    ABOUT[name].title,
                    known["what"]
                    + (f" (groups {', '.join(evaluation['raw_groups'])})" if name == LIGHTGBM_RAW else ""),
                    *(
                        f"{known[key]:,}" if key in known else NOTHING
                        for key in ("train_rows", "columns", "parameters")
                    ),
                ]
            )
    body = table(
        ["model", "what it does", "rows learned from", "columns", "parameters"],
        rows,
        numeric={2, 3, 4},
        caption="The models, from what knows least to what knows most",
    )
    network = evaluation["models"].get(SHARED_BOTTOM)
    if network:
        share = network["parameters"] / network["teacher_parameters"] - 1
        body += paragraph(
            f"The shared bottom differs from the teacher in {100 * abs(share):.1f} % of its number of parameters, so what the "
            "teacher has ahead of it is not a matter of size. Its best epoch on validation is "
            f"{network['best_epoch']} of {len(network['scores'])}."
        )
    if CEILING in evaluation["models"]:
        body += paragraph(
            "The ceiling is no model. The generator draws what happens to a customer from probabilities that "
            "follow from a hidden state, and the ceiling knows them. Tables show the traces of that state alone, "
            "so no observer can reach the ceiling, however good; how near one could come is not known."
        )
    return body


def _ranking(curves: Mapping[str, Any]) -> str:
    binary = [name for name, task in curves["tasks"].items() if task["kind"] == "binary"]
    if not any(task["models"].get(TEACHER, {}).get("roc") for task in curves["tasks"].values()):
        return ""
    spoken = f"One panel for each of {len(binary)} binary tasks: {', '.join(binary)}."
    return figure(
        svg(figures.roc_curves(curves), f"ROC curves. {spoken}"),
        "ROC curves on test rows. The grey diagonal is chance.",
    ) + figure(
        svg(figures.precision_recall_curves(curves), f"Precision-recall curves. {spoken}"),
        "Precision-recall curves on test rows. The grey line is the prevalence, which a random order reaches; the "
        "scale leaves out the first 2 % of recall, where precision hangs on a handful of rows.",
    )


def _calibration(evaluation: Mapping[str, Any], curves: Mapping[str, Any]) -> str:
    names = [name for name in (*LEARNED_BASELINES, TEACHER) if name in evaluation["models"]]
    rows = []
    for task, found in curves["tasks"].items():
        errors = [found["models"].get(name, {}).get("calibration_error") for name in names]
        if any(error is not None for error in errors):
            rows.append([task, *(NOTHING if error is None else f"{error:.4f}" for error in errors)])
    body = figure(
        svg(figures.reliability_curves(curves), "Calibration: observed against predicted, one panel for each task."),
        "Bins of about equally many test rows. Binary tasks: probability against share of positives. Tasks with "
        "classes: probability of the top class against how often it is right. Regressions: predicted against mean "
        "value. On the grey diagonal what is said is what happens. Vertical lines: intervals of the teacher's "
        "bins, rows taken as independent.",
    )
    if rows:
        body += table(
            ["task", *(ABOUT[name].title for name in names)],
            rows,
            numeric=range(1, 1 + len(names)),
            caption="Expected calibration error of binary tasks: mean gap between predicted and observed share over 10 bins",
        )
    multiclass = [name for name, task in curves["tasks"].items() if task["models"][TEACHER].get("recall")]
    models = [name for name in (TEACHER, LIGHTGBM_ALL) if name in evaluation["models"]]
    if multiclass:
        body += heading("Tasks with classes") + figure(
            svg(figures.class_recalls(curves, models), f"Recall of each class of {', '.join(multiclass)}."),
            "Recall on test rows, the class with the highest probability being predicted; at most the "
            f"{figures.SHOWN_CLASSES} most frequent classes of a task, the others are in curves.json. Lines are "
            "intervals, rows taken as independent.",
        )
    return body


def _gates(curves: Mapping[str, Any]) -> str:
    if not any(curves["gates"].values()):
        return ""
    return paragraph(
        "Each task has a gate that weighs the named experts, and an expert of its own, for each customer. The "
        "weights are what the network mixes by; how far they explain it is measured in teacher/explanations."
    ) + figure(
        svg(figures.gate_map(curves), "Heat map of the mean gate weight of each task on each expert."),
        "Mean weight over test rows of the first layer's gates; a row adds up to 1 where gates are softmax. Darker "
        "is more.",
    )


def _learning(curves: Mapping[str, Any]) -> str:
    learning = curves["learning"]
    best = learning["epochs"][learning["best_epoch"] - 1]
    return figure(
        svg(figures.learning_curves(curves), "Train and validation loss by epoch, one panel for each task."),
        f"{len(learning['epochs'])} epochs; epoch {learning['best_epoch']} has the best score ({best['score']:.3f}) "
        "and is kept. The score is the mean over tasks of 1 − validation loss / loss of train's best constant. "
        "Losses are those that are trained on (focal for rare events, Huber for values), so they differ from the "
        "metrics above; train loss is measured with dropout and while weights still change.",
    )


def _has_ceiling(evaluation: Mapping[str, Any]) -> bool:
    return CEILING in evaluation["models"]
