"""Fenced blocks of a page, and whether an output is the one that a page shows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: the word after its fence, its text, and the number of its first line."""

    kind: str
    text: str
    line: int


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    return [Block(found[1], found[2], text.count("\n", 0, found.start()) + 2) for found in _FENCE.finditer(text)]


def shows(shown: str, output: str) -> bool:
    """Return whether an output is the one that is shown: ``...`` stands for anything; blanks and frames do not count."""
    pattern = ".*?".join(re.escape(_plain(part)) for part in shown.split("..."))
    return re.fullmatch(pattern, _plain(output), re.DOTALL) is not None


def _plain(text: str) -> str:
    return "".join(character for character in text if not character.isspace() and not "\u2500" <= character <= "\u257f")


def edited(text: str, diff: str) -> str:
    """Return a text after a block of lines with ``-``, ``+`` and a blank before them; what it changes must be there once."""
    old = "".join(f"{line[1:]}\n" for line in diff.splitlines() if line[:1] != "+")
    new = "".join(f"{line[1:]}\n" for line in diff.splitlines() if line[:1] != "-")
    if text.count(old) != 1:
        raise AssertionError(f"these lines are {text.count(old)} times in the file:\n{old}\n{text}")
    return text.replace(old, new)
