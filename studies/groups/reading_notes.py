"""Renders the results of ``studies.groups.ablation``: what each feature group adds, in words and figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Measured = Mapping[str, Any]

_TITLE = "## What each group adds"
_NOT_MEASURED = """Not measured yet: `python -m studies.groups.ablation` on a finished run writes `docs/data/ablation.json`, from
which this section is rendered."""
_HOW = """Test skill of LightGBM, by `{command}`.

- Data set `{dataset}`, profile `{profile}`: {columns:,} columns in {groups} groups. Train {train} ({train_rows:,} rows, of which
  each of {seeds} seeds draws {sampled:,} by customer), validation {validation} (ends the boosting), test {test} ({test_rows:,}
  rows of {customers:,} customers). On more than {wide} columns each tree draws {share:.0%} of them.
- *Skill* is 2 AUC - 1 of a binary task, 1 - log-loss / log-loss of the train frequencies of a multiclass task, R2 of a
  regression: 0 is no skill, 1 is perfect.
- *Adds* is the skill of {base} with the group, less that without it. *Lost* is the skill of all groups, less that of all but
  this one. Both are means over {tasks} tasks, with {confidence:.0%} intervals over resampled test customers and seeds, paired on
  both sides.
- *Best task* is where the group adds most (for a group of the base: where most is lost). Its interval is widened for being the
  greatest of {tasks}.
- A figure counts where its interval excludes zero; of the {means} means, {chance:.1f} would do so by chance alone.
- Trees of few rows lose skill by every column that says nothing, so a wide group has to add more than a narrow one."""


def value_section(ablation: Measured | None, groups: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the section.

    Parameters
    ----------
    ablation
        What ``docs/data/ablation.json`` holds; None where it has not been measured.
    groups
        All groups, in order; those that were not part of the run are named as such.
    """
    yield _TITLE
    yield ""
    if ablation is None:
        yield _NOT_MEASURED
        return
    yield _how(ablation)
    yield ""
    yield f"| group | adds to {_base(ablation)} | lost when left out of all | best task | reading |"
    yield "|---|---|---|---|---|"
    measured = {entry["group"]: entry for entry in ablation["groups"]}
    for group in groups:
        yield _row(measured[group]) if group in measured else f"| {group} | not part of the run | | | |"
    every = ablation["all_over_base"]
    yield f"| all groups | {_interval(every)} | | {_best(every)} | {_adds(every)} |"
    yield ""
    yield "| task | metric | skill of the base | skill of all groups |"
    yield "|---|---|---|---|"
    for task, base in ablation["skill"]["base"].items():
        yield f"| {task} | {ablation['metrics'][task]} | {base:.3f} | {ablation['skill']['all'][task]:.3f} |"
    if undefined := ablation["undefined_tasks"]:
        yield ""
        yield f"The test rows define no skill for {', '.join(undefined)}."


def reading(entry: Measured) -> str:
    """Return in words what a group's figures say, by rule: only a difference whose interval excludes zero counts."""
    added = "part of the base" if entry["adds"] is None else _adds(entry["adds"])
    return f"{added}; {_lost(entry['loses'])}"


def _adds(found: Measured) -> str:
    best, gain = found["best"], found["gain"]
    on_best = f"{best['gain']:.3f} on {best['task']}" if best["low"] > 0 else None
    if found["low"] > 0:
        return f"adds {gain:.3f} on average, " + (on_best or "on no single task measurably")
    if on_best:
        rest = f"but takes away {-gain:.3f} on average" if found["high"] < 0 else "nothing measurable on average"
        return f"adds {on_best}, {rest}"
    if found["high"] < 0:
        return f"takes away {-gain:.3f} on average"
    return "adds nothing measurable on this data"


def _lost(found: Measured) -> str:
    best, gain = found["best"], found["gain"]
    on_best = f"{best['gain']:.3f} on {best['task']}" if best["low"] > 0 else None
    if found["low"] > 0:
        return f"not replaced by the others: {gain:.3f} is lost on average" + (f", {on_best}" if on_best else "")
    if on_best:
        rest = f", but {-gain:.3f} is gained on average" if found["high"] < 0 else ""
        return f"not replaced by the others: {on_best} is lost{rest}"
    if found["high"] < 0:
        return f"the others do better by {-gain:.3f} without it"
    return "redundant: nothing measurable is lost without it"


def _row(entry: Measured) -> str:
    adds, loses = entry["adds"], entry["loses"]
    added = "in the base" if adds is None else _interval(adds)
    best = _best(adds or loses)
    return f"| {entry['group']} | {added} | {_interval(loses)} | {best} | {reading(entry)} |"


def _best(found: Measured) -> str:
    return f"{found['best']['task']} {_interval(found['best'])}"


def _interval(found: Measured) -> str:
    return f"{found['gain']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]"


def _base(ablation: Measured) -> str:
    return "groups 1-4" if len(ablation["base"]) == 4 else ", ".join(ablation["base"])


def _how(ablation: Measured) -> str:
    rows, months = ablation["rows"], ablation["months"]
    means = sum(1 + (entry["adds"] is not None) for entry in ablation["groups"])
    return _HOW.format(
        command=ablation["command"],
        dataset=ablation["dataset"],
        profile=ablation["profile"],
        columns=ablation["columns"],
        groups=len(ablation["groups"]),
        train=_span(months["train"]),
        validation=_span(months["validation"]),
        test=_span(months["test"]),
        train_rows=rows["train"],
        sampled=rows["train_sampled"],
        test_rows=rows["test"],
        customers=ablation["test_customers"],
        seeds=ablation["seeds"],
        base=_base(ablation),
        tasks=len(ablation["tasks"]),
        confidence=ablation["confidence"],
        wide=ablation["wide"]["columns"],
        share=ablation["wide"]["share"],
        means=means,
        chance=means * (1 - ablation["confidence"]),
    )


def _span(months: Sequence[str]) -> str:
    return months[0] if len(months) == 1 else f"{months[0]}..{months[-1]}"
