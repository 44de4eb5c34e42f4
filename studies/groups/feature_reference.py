"""Writes the reference of all feature columns, ``docs/features.md``, from the registry and the measured figures."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from finai_assets.features.registry import Column, Group, Registry, build_registry
from finai_assets.settings import CONFIG_FOLDER, load_settings
from studies.groups.reading_notes import value_section

TARGET = CONFIG_FOLDER.parent / "docs" / "features.md"
ABLATION = TARGET.parent / "data" / "ablation.json"
_INTRODUCTION = """# Feature columns

Written by `python -m studies.groups.feature_reference` from the registry (data set `synthetic`); a test asserts that it is up to
date. Another data set gets what its configuration yields.

Every feature of a month reads events before the month's cutoff alone, and at most {months} months back. A *window* is the number
of days before the cutoff that a column reads; `snapshot` means the snapshot month's row alone. *Fit* says whether a state
fitted on train takes part. Columns marked `personal` describe the person rather than what the person does.
"""


def render(registry: Registry, *, look_back_months: int, ablation: Mapping[str, Any] | None = None) -> str:
    """Return the reference as Markdown; runs of numbered columns share a line.

    Parameters
    ----------
    ablation
        What ``studies.groups.ablation`` has measured of the groups; None where it has not.
    """
    total = sum(len(group.declared) for group in registry)
    lines = [_INTRODUCTION.format(months=look_back_months)]
    lines.append(
        f"{total:,} columns in {len(registry.groups)} groups, {len(registry.columns):,} of which the default data set carries.\n"
    )
    lines += ["| # | group | columns | what it is |", "|---|---|---|---|"]
    for group in registry:
        lines.append(f"| {group.number} | [{group.name}](#{group.name}) | {len(group.declared)} | {group.title} |")
    lines += ["", *value_section(ablation, [group.name for group in registry])]
    for group in registry:
        lines += ["", *_section(group)]
    return "\n".join(lines) + "\n"


def _section(group: Group) -> Iterator[str]:
    yield f"## {group.name}"
    yield ""
    yield f"{group.title}."
    yield ""
    if group.note:
        yield group.note
        yield ""
    yield "| column | kind | unit | meaning | 설명 | inputs | window | fit | missing |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for _, run in groupby(group.declared, key=_family):
        yield _row(list(run), group)
    if group.tensors:
        yield ""
        yield "Beside the columns a customer has side tensors, under the same manifest:"
        yield ""
        yield "| tensor | shape | what it is |"
        yield "|---|---|---|"
        for tensor in group.tensors:
            shape = " x ".join(map(str, tensor.shape))
            yield f"| `{tensor.name}` | {shape} | {_cell(tensor.description)} |"


def _family(column: Column) -> tuple[object, ...]:
    """Return the properties that columns of one run share: all but the number in the name."""
    return (
        re.sub(r"\d+$", "#", column.name),
        column.kind,
        column.unit,
        re.sub(r"\d+", "#", column.description),
        column.inputs,
        column.window_days,
        column.missing,
    )


def _row(run: list[Column], group: Group) -> str:
    first, last = run[0], run[-1]
    name = f"`{first.name}`" if len(run) == 1 else f"`{first.name}` … `{last.name}` ({len(run)})"
    if first.pii:
        name += " personal"
    if first.name in group.unavailable:
        name += f" (unavailable: {group.unavailable[first.name]})"
    window = "snapshot" if first.window_days is None else f"{first.window_days} d"
    inputs = ", ".join(f"`{source.partition('/')[2]}`" for source in first.inputs)
    cells = (
        name, first.kind, first.unit, _cell(first.description), _cell(first.description_ko), inputs, window,
        first.fit_scope, first.missing,
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def reference_text() -> str:
    """Return the reference of the default data set, with the measured figures of its groups."""
    settings = load_settings("synthetic", "demo")
    ablation = json.loads(ABLATION.read_text(encoding="utf-8")) if ABLATION.exists() else None
    return render(build_registry(settings), look_back_months=settings.look_back_months, ablation=ablation)


def write_reference(target: Path = TARGET) -> None:
    """Write the reference."""
    target.write_text(reference_text(), encoding="utf-8")


if __name__ == "__main__":
    write_reference()
