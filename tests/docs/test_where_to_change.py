"""The page that says where to change what names files and settings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from finai_assets.settings import load_settings
from finai_assets.settings.base import Section

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split(" | ")]
    for line in (ROOT / "docs" / "where-to-change.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| change |")
]
ASKED = {"column", "group", "task", "data set", "floor", "check", "field of the answer", "expert", "product",
         "reason template", "regulation", "schedule"}  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_every_path_of_a_row_exists(row: list[str]) -> None:
    paths = [text for text in re.findall(r"`([^`]+)`", row[1]) if "/" in text or text.endswith((".toml", ".lock"))]
    assert paths, "a row names at least one file"
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_every_setting_of_a_row_exists(row: list[str]) -> None:
    settings = load_settings("synthetic", "smoke")
    found = re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", row[1])
    named = [text for text in found if settings.has(text.partition(".")[0]) and not text.endswith(".py")]
    assert [name for name in named if not _is_there(settings, name)] == []


def test_the_common_changes_have_a_row() -> None:
    changes = " ".join(row[0] for row in ROWS)
    assert [change for change in sorted(ASKED) if change not in changes] == []


def _is_there(settings: Section, path: str) -> bool:
    value: object = settings
    for part in path.split("."):
        if not isinstance(value, Section) or not value.has(part):
            return False
        value = getattr(value, part)
    return True
