"""The page of the configuration: written from the models, complete, and as the code is."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from finai_assets.settings import document
from finai_assets.settings.base import Section
from finai_assets.settings.document import TARGET, render


class _Inner(Section):
    """A part."""

    # how much of it
    share: Annotated[float, Field(ge=0, lt=1)] = 0.5
    kind: str | None = None  # which one, or


def test_the_page_is_what_the_models_say() -> None:
    assert TARGET.read_text(encoding="utf-8") == render(), "run python -m finai_assets.settings.document"


def test_a_remark_beside_a_key_or_on_the_lines_before_is_its_meaning_and_one_for_a_tool_is_none() -> None:
    comments = document._comments(_Inner)
    assert comments["share"] == "how much of it"
    assert comments["kind"] == "which one, or"


def test_kinds_are_told_in_words_with_their_bounds() -> None:
    properties = _Inner.model_json_schema()["properties"]
    assert document._kind(properties["share"]) == "number ≥ 0, < 1"
    assert document._kind(properties["kind"]) == "string or `null`"


def test_every_section_of_the_settings_has_a_table_and_known_values_stand_in_it() -> None:
    page = render()
    assert "| `gap_days` | integer ≥ 7 | `30` | at least this long between" in page
    assert '| `policy` | `better` / `replicate` | `"replicate"` |' in page
    assert "## tables.sources.NAME" in page
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert len(headings) == len(set(headings)) > 80
