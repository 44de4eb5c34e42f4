"""The figures of the page of lists, from ``lists.json`` alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from finai_assets.evaluation.lists.metrics import PRIMARY
from finai_assets.evaluation.lists.rivals import CEILING, EASE, PRODUCT_TREES
from finai_assets.evaluation.plots import BLUE, GREEN, GREY, INK, ORANGE, QUIET, SKY, VERMILION, WIDTH, style
from finai_assets.recommend.variants import SHIPPED

COLOURS = {"ours": BLUE, "served": SKY, "rules": GREEN, PRODUCT_TREES: VERMILION, EASE: ORANGE, CEILING: INK}
_SHOWN = ("ours", "served", EASE, PRODUCT_TREES, CEILING)  # by group: more would not be told apart
Estimate = Mapping[str, Any]


@style()
def accuracy(lists: Mapping[str, Any], names: Sequence[str]) -> Figure:
    """Draw the primary figure of each list with its interval, the least accurate on top."""
    figure = Figure(figsize=(WIDTH, 0.9 + 0.36 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    for row, name in enumerate(names):
        _point(axes, row, lists["lists"][name][PRIMARY], COLOURS.get(name, GREY), written=True)
    _rows(axes, names)
    axes.set_xlim(left=0)
    axes.set_xlabel("NDCG@3 of test rows that acquire something")
    return figure


@style()
def differences(lists: Mapping[str, Any], names: Sequence[str]) -> Figure:
    """Draw how far our list, and the one that is served, is ahead of each rival."""
    figure = Figure(figsize=(WIDTH, 1.1 + 0.46 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    for row, name in enumerate(names):
        for part, colour, shift in (("ours_over", BLUE, -0.14), ("served_over", SKY, 0.14)):
            if name in lists[part]:
                _point(axes, row + shift, lists[part][name], colour)
    axes.axvline(0, color=INK, linewidth=0.8)
    _rows(axes, names)
    axes.set_xlabel("difference of NDCG@3; right of 0 ours is better")
    handles = [axes.plot([], [], "o", color=colour, label=label)[0] for colour, label in (
        (BLUE, "ours, before constraints"), (SKY, "served, rivals under the same filters"))]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


@style()
def groups(lists: Mapping[str, Any]) -> Figure:
    """Draw the primary figure of some lists by month, segment and age band."""
    shown = [name for name in _SHOWN if name in lists["lists"]]
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    panels = figure.subplots(1, len(lists["groups"]), sharey=True, squeeze=False)[0]
    for axes, (by, found) in zip(panels, lists["groups"].items(), strict=True):
        for place, name in enumerate(shown):
            shift = (place - (len(shown) - 1) / 2) * 0.13
            for at, group in enumerate(found.values()):
                estimate = group[PRIMARY].get(name)
                if estimate and estimate["value"] is not None:
                    low, high = (estimate[end] for end in ("low", "high"))
                    if low is not None:
                        axes.plot([at + shift] * 2, [low, high], color=COLOURS[name], linewidth=1.2)
                    axes.plot(at + shift, estimate["value"], "o", color=COLOURS[name], markersize=4)
        axes.set_title(by)
        axes.set_xticks(range(len(found)), [f"{group}\nn = {of['acquiring']}" for group, of in found.items()])
        axes.grid(axis="x", visible=False)
    panels[0].set_ylabel("NDCG@3")
    panels[0].set_ylim(bottom=0)
    handles = [panels[0].plot([], [], "o", color=COLOURS[name], label=name)[0] for name in shown]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(shown))
    return figure


@style()
def variants(lists: Mapping[str, Any]) -> Figure:
    """Draw how far each variant of the ranking is ahead of what is served, on validation and on test rows."""
    splits = lists["variants"]["splits"]
    names = [name for name in lists["variants"]["what"] if name != SHIPPED]
    figure = Figure(figsize=(WIDTH, 1.1 + 0.42 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    parts = tuple(zip(splits, (BLUE, SKY), (-0.14, 0.14), strict=True))
    for row, name in enumerate(names):
        for split, colour, shift in parts:
            _point(axes, row + shift, splits[split]["variants"][name]["over_served"], colour)
    axes.axvline(0, color=INK, linewidth=0.8)
    _rows(axes, names)
    axes.set_xlabel("difference of NDCG@3 to what is served; left of 0 the variant is worse")
    handles = [axes.plot([], [], "o", color=colour, label=split)[0] for split, colour, _ in parts]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


@style()
def families(lists: Mapping[str, Any]) -> Figure:
    """Draw the share of each family among what is ranked first, what is served and what is acquired."""
    found = lists["families"]
    parts = (("ours", BLUE), ("served", SKY), ("acquired", INK))
    figure = Figure(figsize=(WIDTH, 0.9 + 0.5 * len(found)), layout="constrained")
    axes = figure.add_subplot()
    totals = {part: max(1, sum(counts[part] for counts in found.values())) for part, _ in parts}
    for row, counts in enumerate(found.values()):
        for place, (part, colour) in enumerate(parts):
            axes.barh(row + (place - 1) * 0.26, counts[part] / totals[part], height=0.24, color=colour)
    _rows(axes, list(found))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel("share of products")
    handles = [axes.barh([0], [0], color=colour, label=part)[0] for part, colour in parts]
    figure.legend(handles=handles, labels=[part for part, _ in parts], loc="outside upper center", ncols=len(parts))
    return figure


def _point(axes: Axes, row: float, found: Estimate, colour: str, *, written: bool = False) -> None:
    if found["value"] is None:
        return
    if found["low"] is not None:
        axes.plot([found["low"], found["high"]], [row, row], color=colour, linewidth=1.6)
    axes.plot(found["value"], row, "o", color=colour, markersize=5)
    if written:
        right = found["high"] if found["high"] is not None else found["value"]
        axes.annotate(
            f"{found['value']:.3f}", (right, row), xytext=(6, 0), textcoords="offset points", va="center", color=QUIET
        )


def _rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), list(names))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(8))
