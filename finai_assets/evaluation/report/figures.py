"""The figures of the evaluation report: each from the stored evaluation and curves alone, so that they can be drawn again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from finai_assets.evaluation.curves import drawn_models
from finai_assets.evaluation.models import (
    ABOUT,
    CEILING,
    LEARNED_BASELINES,
    LIGHTGBM_ALL,
    LIGHTGBM_RAW,
    PRIOR,
    SHARED_BOTTOM,
    TEACHER,
)
from finai_assets.evaluation.plots import BLUE, GREY, INK, MODEL_COLOURS, QUIET, SEQUENTIAL, WIDTH, style

COLUMNS = 4  # panels side by side
SHOWN_CLASSES = 15
_ACROSS = (-0.5, 1.05)  # of lift shares; what lies beyond is written, not drawn
_DASHES: Mapping[str, Any] = {
    TEACHER: "-",
    LIGHTGBM_ALL: "--",
    LIGHTGBM_RAW: ":",
    SHARED_BOTTOM: "-.",
    CEILING: "-",
}
# The ceiling is calibrated by construction; the raw trees are left out so that the others can be told apart.
_NOT_CALIBRATION = (CEILING, LIGHTGBM_RAW)
# On shades, text is near white or near black whatever the page's dress.
_ON_DARK, _ON_LIGHT = "#fdfdfd", "#101214"


@style()
def lift_shares(evaluation: Mapping[str, Any], split: str = "test") -> Figure:
    """Draw a bar with its interval for each task and learned model, the mean over tasks on top."""
    mean = evaluation["summary"][split]["lift_share"]
    models = [name for name in (TEACHER, *LEARNED_BASELINES) if name in mean]
    rows: list[tuple[str, Mapping[str, Any]]] = [
        ("mean over tasks", {name: {**mean[name], "value": mean[name]["mean"]} for name in models})
    ]
    for name, task in evaluation["tasks"].items():
        if task[split]["lift_share"].get(TEACHER):
            rows.append((name, task[split]["lift_share"]))
    figure = Figure(figsize=(WIDTH, 0.8 + 0.56 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    height = 0.8 / len(models)
    for row, (_, shares) in enumerate(rows):
        for place, model in enumerate(models):
            found = shares.get(model)
            if found:
                _bar(axes, row - 0.4 + (place + 0.5) * height, height * 0.88, found, MODEL_COLOURS[model])
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.axhline(0.5, color=QUIET, linewidth=0.8)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_xlim(*_ACROSS)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("lift share: 0 = trivial forecast, 1 = ceiling (out of reach)")
    handles = [Patch(color=MODEL_COLOURS[name], label=ABOUT[name].title) for name in models]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(models))
    return figure


def _bar(axes: Axes, at: float, height: float, found: Mapping[str, Any], colour: str) -> None:
    left, right = _ACROSS
    value = found["value"]
    axes.barh(at, min(max(value, left), right), height, color=colour, linewidth=0)
    if found["low"] is not None and found["high"] > left and found["low"] < right:
        axes.plot([max(found["low"], left), min(found["high"], right)], [at, at], color=INK, linewidth=1.0)
    if value < left or value > right:
        # at the free side of the zero line, with a sign that says where the bar goes on
        text = f"◂ {value:.1f}" if value < left else f"{value:.1f} ▸"
        axes.text(
            0.012 if value < left else right - 0.07, at, text.replace("-", "−"), ha="left", va="center", fontsize=7
        )


@style()
def roc_curves(curves: Mapping[str, Any]) -> Figure:
    """Draw true against false positive rate of each binary task."""

    def draw(axes: Axes, task: Mapping[str, Any]) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        _lines(axes, task, "roc")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")

    return _panels(curves, _kind(curves, "binary"), "roc", draw, "false positive rate", "true positive rate")


@style()
def precision_recall_curves(curves: Mapping[str, Any]) -> Figure:
    """Draw precision against recall of each binary task; the grey line is the prevalence, which a random order reaches."""

    def draw(axes: Axes, task: Mapping[str, Any]) -> None:
        prior = task["models"].get(PRIOR, {}).get("pr")
        if prior:
            axes.axhline(prior[-1][1], color=GREY, linewidth=0.8)
        _lines(axes, task, "pr")
        axes.set_xlim(0, 1)
        # the first few rows of a ranking reach any precision by luck: the scale is that of the rest
        tops = [y for name in drawn_models(task["models"], "pr") for x, y in task["models"][name]["pr"] if x >= 0.02]
        axes.set_ylim(0, min(1.0, 1.1 * max(tops)))

    return _panels(curves, _kind(curves, "binary"), "pr", draw, "recall", "precision")


def _lines(axes: Axes, task: Mapping[str, Any], key: str) -> None:
    for name in drawn_models(task["models"], key):
        if name in _DASHES:
            x, y = np.array(task["models"][name][key]).T
            thin = name == CEILING
            axes.plot(x, y, color=MODEL_COLOURS[name], linestyle=_DASHES[name], linewidth=0.8 if thin else 1.4)


@style()
def reliability_curves(curves: Mapping[str, Any]) -> Figure:
    """Draw what happened against what was said, in bins of equally many rows, for every task."""
    keys = {"binary": "reliability", "multiclass": "reliability", "regression": "deciles"}

    def draw(axes: Axes, task: Mapping[str, Any]) -> None:
        key, values = keys[task["kind"]], []
        for name in drawn_models(task["models"], key):
            if name not in _DASHES or name in _NOT_CALIBRATION:
                continue
            bins = task["models"][name][key]
            x, y = [found["predicted"] for found in bins], [found["observed"] for found in bins]
            values += [*x, *y]
            colour = MODEL_COLOURS[name]
            axes.plot(x, y, color=colour, linestyle=_DASHES[name], linewidth=1.1, marker="o", markersize=2.6)
            if name == TEACHER:
                values += [found["high"] for found in bins if found["high"] is not None]
                values += [found["low"] for found in bins if found["low"] is not None]
                for found in bins:
                    if found["low"] is not None:
                        axes.plot([found["predicted"]] * 2, [found["low"], found["high"]], color=colour, linewidth=0.9)
        low, high = min(values), max(values)
        if task["kind"] == "binary":
            low = 0.0
        room = 0.04 * (high - low or 1.0)
        axes.plot([low, high], [low, high], color=GREY, linewidth=0.8, zorder=1)
        axes.set_xlim(low - room, high + room)
        axes.set_ylim(low - room, high + room)
        axes.set_aspect("equal")

    names = [name for name, task in curves["tasks"].items() if task["models"][TEACHER].get(keys[task["kind"]])]
    return _panels(curves, names, "", draw, "predicted", "observed", skip=_NOT_CALIBRATION)


@style()
def class_recalls(curves: Mapping[str, Any], models: Sequence[str]) -> Figure:
    """Draw, for each multiclass task, the share of each class's rows that is predicted; the most frequent classes on top."""
    names = [name for name in _kind(curves, "multiclass") if curves["tasks"][name]["models"][models[0]]]
    shown = {name: _frequent(curves["tasks"][name], models[0]) for name in names}
    figure = Figure(figsize=(WIDTH, 1.0 + 0.24 * sum(len(rows) + 2.5 for rows in shown.values())), layout="constrained")
    grid = figure.subplots(len(names), 1, squeeze=False, height_ratios=[len(rows) + 1 for rows in shown.values()])
    for axes, name in zip(grid[:, 0], names, strict=True):
        task = curves["tasks"][name]
        labels = task["class_labels"] or [str(k) for k in range(1 + max(shown[name]))]
        for place, model in enumerate(models):
            by_class = {found["class"]: found for found in task["models"].get(model, {}).get("recall", [])}
            for row, index in enumerate(shown[name]):
                if index in by_class:
                    found, at = by_class[index], row + (place - (len(models) - 1) / 2) * 0.26
                    colour = MODEL_COLOURS[model]
                    axes.plot([found["low"], found["high"]], [at, at], color=colour, linewidth=1.1)
                    axes.plot(found["recall"], at, color=colour, marker="o", markersize=4)
        counts = {found["class"]: found["n"] for found in task["models"][models[0]]["recall"]}
        axes.set_yticks(range(len(shown[name])), [f"{labels[index]} (n {counts[index]:,})" for index in shown[name]])
        axes.set_ylim(len(shown[name]) - 0.4, -0.6)
        axes.set_xlim(-0.01, 1.01)
        axes.set_title(name)
        axes.tick_params(axis="y", length=0)
    grid[-1, 0].set_xlabel("share of the class's rows that is predicted as such (recall)")
    handles = [Line2D([], [], color=MODEL_COLOURS[m], marker="o", markersize=4, label=ABOUT[m].title) for m in models]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(models))
    return figure


def _frequent(task: Mapping[str, Any], model: str) -> list[int]:
    counted = sorted(task["models"][model]["recall"], key=lambda found: (-found["n"], found["class"]))
    return [found["class"] for found in counted[:SHOWN_CLASSES]]


@style()
def gate_map(curves: Mapping[str, Any]) -> Figure:
    """Draw the mean gate weight of each task on each named expert, with the figure in each cell."""
    tasks = [name for name in curves["tasks"] if curves["gates"].get(name)]
    slots = list(curves["gates"][tasks[0]])
    weights = np.array([[curves["gates"][task][slot] for slot in slots] for task in tasks])
    figure = Figure(figsize=(WIDTH, 1.2 + 0.32 * len(tasks)), layout="constrained")
    axes = figure.add_subplot()
    shades = mpl.colormaps[SEQUENTIAL]
    top = float(weights.max()) or 1.0
    axes.pcolormesh(weights, cmap=shades, vmin=0, vmax=top, edgecolor="none")  # cells, no picture: a page loads none
    for row, column in np.ndindex(*weights.shape):
        value = float(weights[row, column])
        red, green, blue, _ = shades(value / top)
        light = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.45
        axes.text(
            column + 0.5, row + 0.5, f"{value:.2f}", ha="center", va="center", color=_ON_LIGHT if light else _ON_DARK
        )
    axes.set_yticks(np.arange(len(tasks)) + 0.5, tasks)
    axes.set_xticks(np.arange(len(slots)) + 0.5, [slot.replace("_", " ") for slot in slots], rotation=25, ha="right")
    axes.set_ylim(len(tasks), 0)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


@style()
def learning_curves(curves: Mapping[str, Any]) -> Figure:
    """Draw train and validation loss of each task by epoch, and the score that stops the training; the best epoch marked."""
    learning = curves["learning"]
    epochs = [record["epoch"] for record in learning["epochs"]]
    tasks = sorted({name for record in learning["epochs"] for name in record["validation"]})
    order = [name for name in curves["tasks"] if name in tasks]
    figure, panels = _grid(len(order) + 1, height=1.75)
    for axes, name in zip(panels, ["", *order], strict=False):
        if name:
            for part, colour, dashes in (("train", GREY, "--"), ("validation", BLUE, "-")):
                values = [record[part].get(name, np.nan) for record in learning["epochs"]]
                axes.plot(epochs, values, color=colour, linestyle=dashes, linewidth=1.4)
        else:
            axes.plot(epochs, [record["score"] for record in learning["epochs"]], color=INK, linewidth=1.4)
        axes.axvline(learning["best_epoch"], color=QUIET, linewidth=0.9, linestyle=(0, (2, 2)))
        axes.set_title(name or "score (higher is better)")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4))
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("loss", fontsize=9)
    handles = [
        Line2D([], [], color=GREY, linestyle="--", label="train loss (with dropout)"),
        Line2D([], [], color=BLUE, label="validation loss"),
        Line2D(
            [], [], color=QUIET, linestyle=(0, (2, 2)), linewidth=0.9, label=f"best epoch: {learning['best_epoch']}"
        ),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def _kind(curves: Mapping[str, Any], kind: str) -> list[str]:
    return [name for name, task in curves["tasks"].items() if task["kind"] == kind]


def _panels(
    curves: Mapping[str, Any],
    names: Sequence[str],
    key: str,
    draw: Callable[[Axes, Mapping[str, Any]], None],
    x: str,
    y: str,
    skip: Sequence[str] = (),
) -> Figure:
    """Draw a panel for each task, with one legend for all."""
    names = [name for name in names if not key or drawn_models(curves["tasks"][name]["models"], key)]
    figure, panels = _grid(len(names), height=2.35)
    for axes, name in zip(panels, names, strict=False):
        draw(axes, curves["tasks"][name])
        axes.set_title(name)
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    figure.supxlabel(x, fontsize=9)
    figure.supylabel(y, fontsize=9)
    present = {model for name in names for model in curves["tasks"][name]["models"]}
    handles = [
        Line2D([], [], color=MODEL_COLOURS[model], linestyle=dashes, linewidth=0.8 if model == CEILING else 1.6,
               label=ABOUT[model].title)
        for model, dashes in _DASHES.items()
        if model in present and model not in skip
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def _grid(count: int, *, height: float) -> tuple[Figure, Iterator[Axes]]:
    rows = -(-count // COLUMNS)
    figure = Figure(figsize=(WIDTH, 0.7 + height * rows), layout="constrained")
    every = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in every[count:]:
        axes.remove()
    return figure, iter(every[:count])
