"""The figures of the explanations' page, each drawn from the stored summary alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from finai_assets.evaluation.explanation.ablation_of_experts import REPLACED
from finai_assets.evaluation.explanation.deletion import ATTRIBUTED, DEVIATION, RANDOM
from finai_assets.evaluation.plots import BLUE, GREY, LINE, ORANGE, PALETTE, QUIET, SEQUENTIAL, WIDTH, style

COLUMNS = 4  # panels side by side
# Orders of masking: colour, dashes, and the legend's text.
ORDERS: Mapping[str, tuple[str, Any, str]] = {
    ATTRIBUTED: (BLUE, "-", "highest attribution first"),
    DEVIATION: (ORANGE, "--", "farthest from the mean first (no model)"),
    RANDOM: (GREY, ":", "at random"),
}
_WEIGHTS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)  # per cent, where a scale may have a mark
_CLOSE_WEIGHTS = range(1, 100)  # where all weights are nearly alike
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_ON_DARK, _ON_LIGHT = "#fdfdfd", "#101214"  # on shades, whatever the page's theme


@style()
def deletion_curves(summary: Mapping[str, Any]) -> Figure:
    """Draw how far each task's prediction moves as more inputs are masked, by order of masking."""
    tasks = summary["tasks"]
    rows = -(-len(tasks) // COLUMNS)
    figure = Figure(figsize=(WIDTH, 0.7 + 1.95 * rows), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in panels[len(tasks) :]:
        axes.remove()
    for axes, (name, task) in zip(panels, tasks.items(), strict=False):
        found = task["deletion"]
        for order, (colour, dashes, _) in ORDERS.items():
            axes.plot(
                [100 * share for share in found["shares"]],
                found["change"][order],
                color=colour, linestyle=dashes, marker="o", markersize=2.6,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_title(name)
        axes.set_ylim(bottom=0)
        shown = found["shares"][::2]
        axes.set_xticks([100 * share for share in shown], [f"{100 * share:.0f}" for share in shown])
        axes.minorticks_off()
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    figure.supxlabel("share of inputs that is masked, % (logarithmic)", fontsize=9)
    figure.supylabel("how far the prediction moves", fontsize=9)
    handles = [
        Line2D([], [], color=colour, linestyle=dashes, marker="o", markersize=2.6, label=label)
        for colour, dashes, label in ORDERS.values()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


@style()
def group_map(summary: Mapping[str, Any]) -> Figure:
    """Draw the share of each task's absolute attributions that each group of inputs has, in per cent."""
    tasks = list(summary["tasks"])
    groups = list(summary["tasks"][tasks[0]]["importance"]["groups"])
    sizes = np.array([[summary["tasks"][task]["importance"]["groups"][group] for group in groups] for task in tasks])
    total = sizes.sum(axis=1, keepdims=True)
    shares = 100 * np.divide(sizes, total, out=np.zeros_like(sizes), where=total > 0)
    order = np.argsort(-shares.mean(axis=0), kind="stable")
    figure = Figure(figsize=(WIDTH, 1.6 + 0.34 * len(tasks)), layout="constrained")
    _cells(figure.add_subplot(), shares[:, order], tasks, [groups[k] for k in order], float(shares.max()))
    return figure


@style()
def expert_maps(summary: Mapping[str, Any]) -> Figure:
    """Draw, for each task and expert, the gate's weight beside the measured worth of the expert."""
    tasks = list(summary["tasks"])
    slots = summary["slots"]
    parts = {
        "gate weight, %": [[100 * _slot(summary, task, slot)["gate"] for slot in slots] for task in tasks],
        "attributions, %": [_shares(summary["tasks"][task]["experts"]["experts"], slots) for task in tasks],
        "prediction moves, %": [
            _shares({slot: _slot(summary, task, slot)["change"]["value"] for slot in slots}, slots) for task in tasks
        ],
    }
    figure = Figure(figsize=(WIDTH, 1.75 + 0.32 * len(tasks)), layout="constrained")
    top = max(float(np.max(values)) for values in parts.values())  # one scale, so that flat gates look flat
    for axes, (title, values) in zip(figure.subplots(1, len(parts)), parts.items(), strict=True):
        shown = tasks if title.startswith("gate") else []
        _cells(axes, np.array(values, dtype=float), shown, slots, top)
        axes.set_title(title)
    return figure


@style()
def gates_against_worth(summary: Mapping[str, Any]) -> Figure:
    """Draw each task's experts by their mean gate weight and by the cost of taking them out."""
    tasks, slots = list(summary["tasks"]), summary["slots"]
    trivial = summary["gates"]["trivial_loss"]
    figure = Figure(figsize=(WIDTH, 4.1), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, key, title in zip(
        panels,
        ("loss", "change"),
        ("loss increase, % of the trivial loss", "how far the prediction moves"),
        strict=True,
    ):
        for place, slot in enumerate(slots):
            points = []
            for task in tasks:
                found = _slot(summary, task, slot)
                value = found["loss_increase" if key == "loss" else "change"]["value"]
                scale = 1.0 if key == "change" else trivial[task]
                if value is not None and scale:
                    points.append((100 * found["gate"], value if key == "change" else 100 * value / scale))
            x, y = np.array(points).reshape(-1, 2).T
            axes.scatter(
                x, y, s=18, color=PALETTE[place % len(PALETTE)], marker=_MARKERS[place % len(_MARKERS)], linewidths=0,
                label=slot.replace("_", " ") if key == "loss" else None,
            )  # fmt: skip
        rank = summary["gates"][REPLACED][key]["over_all"]
        axes.set_title(f"rank correlation {_rank(rank)}")
        axes.set_xlabel("mean gate weight, %")
        axes.set_ylabel(title)
        axes.set_yscale("symlog", linthresh=1.0 if key == "loss" else 0.001)
        axes.margins(0.06)
        axes.set_xscale("log")
        least, most = axes.get_xlim()
        ticks = [tick for tick in (_WEIGHTS if most > 3 * least else _CLOSE_WEIGHTS) if least <= tick <= most]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.axhline(0, color=QUIET, linewidth=0.8)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    figure.legend(loc="outside upper center", ncols=min(len(slots), 8), handletextpad=0.2, columnspacing=1.0)
    return figure


def _rank(found: Mapping[str, Any]) -> str:
    if found["value"] is None:
        return "not defined"
    text = f"{found['value']:.2f}" + ("" if found["low"] is None else f" ({found['low']:.2f} to {found['high']:.2f})")
    return text.replace("-", "−")


def _slot(summary: Mapping[str, Any], task: str, slot: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = summary["tasks"][task]["gate"]["slots"][slot]
    return found


def _shares(sizes: Mapping[str, float | None], slots: Sequence[str]) -> list[float]:
    """Return the per cent that each slot has of all slots; 0 where nothing has any."""
    values = np.array([sizes[slot] or 0.0 for slot in slots])
    return list(100 * values / values.sum()) if values.sum() > 0 else [0.0] * len(slots)


def _cells(axes: Axes, values: np.ndarray, rows: Sequence[str], columns: Sequence[str], top: float) -> None:
    """Draw a heat map of shades from 0 to ``top`` with the figure in each cell, in what can be read on its shade."""
    shades = mpl.colormaps[SEQUENTIAL]
    top = top or 1.0
    axes.pcolormesh(values, cmap=shades, vmin=0, vmax=top, edgecolor=LINE, linewidth=0.2)
    for row, column in np.ndindex(*values.shape):
        value = float(values[row, column])
        red, green, blue, _ = shades(value / top)
        light = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.45
        colour = _ON_LIGHT if light else _ON_DARK
        axes.text(column + 0.5, row + 0.5, f"{value:.0f}", ha="center", va="center", color=colour, fontsize=8)
    axes.set_yticks(np.arange(len(rows)) + 0.5, list(rows))
    labels = [name.replace("_", " ") for name in columns]
    axes.set_xticks(np.arange(len(columns)) + 0.5, labels, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_ylim(len(values), 0)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
