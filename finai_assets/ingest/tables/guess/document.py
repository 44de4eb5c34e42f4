"""The text of a data set's YAML from nested values, with the questions that are open as comments above what they are about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

import yaml

QUESTION = "# ?"
_WIDTH = 118
Path = tuple[str, ...]


def document(header: str, content: Mapping[str, Any], questions: Mapping[Path, Sequence[str]]) -> str:
    """Return the YAML of some content.

    Parameters
    ----------
    header
        Lines of the comment at the top.
    questions
        What could not be known, by the path of the key that it is about.
    """
    lines = [*(f"# {line}".rstrip() for line in header.splitlines())]
    for key, value in content.items():
        lines.append("")
        lines += _entry(key, value, (key,), questions, 0)
    return "\n".join(lines) + "\n"


def open_questions(text: str) -> list[tuple[int, str]]:
    """Return the questions of a file that nobody has answered yet, each with its line; an answered one is deleted."""
    found: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        plain = line.strip()
        if plain.startswith(QUESTION):
            found.append((number, plain.removeprefix(QUESTION).strip()))
        elif plain.startswith("#  ") and found and found[-1][0] == number - 1:
            found[-1] = (number, f"{found[-1][1]} {plain.removeprefix('#').strip()}")
    return found


def _entry(key: str, value: Any, path: Path, questions: Mapping[Path, Sequence[str]], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for question in questions.get(path, ()):
        first, *rest = wrap(question, _WIDTH - len(indent) - len(QUESTION) - 1)
        yield f"{indent}{QUESTION} {first}"
        yield from (f"{indent}#   {line}" for line in rest)
    name = _scalar(key)
    if isinstance(value, Mapping) and value:
        if path[-2:-1] == ("codes",):
            yield f"{indent}{name}: {_flow(value)}"
            return
        yield f"{indent}{name}:"
        for inner, each in value.items():
            yield from _entry(str(inner), each, (*path, str(inner)), questions, depth + 1)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        yield f"{indent}{name}:"
        yield from (f"{indent}  - {_flow(each)}" for each in value)
    else:
        yield f"{indent}{name}: {_flow(value)}"


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(name)}: {_flow(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(each) for each in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    """Return a scalar so that it is read as what it is, inside brackets too."""
    if isinstance(value, str) and "'" in value and value.isprintable() and not set('"\\') & set(value):
        return f'"{value}"'
    listed = yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=float("inf")).strip()
    return listed[1:-1]
