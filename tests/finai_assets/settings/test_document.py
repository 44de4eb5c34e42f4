"""The page of the configuration: written from the models, complete, and as the code is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from finai_assets.settings import document
from finai_assets.settings.base import Section
from finai_assets.settings.dataset import MonthSpan
from finai_assets.settings.document import TARGET, render
from finai_assets.settings.tables import TablesSettings


class _Inner(Section):
    """A part. It says more."""

    # how much of it
    share: Annotated[float, Field(ge=0, lt=1)] = 0.5
    kind: str | None = None  # which one, or
    other: Literal[
        "a", "b",
    ] = "a"  # fmt: skip
    from_: Annotated[str, Field(alias="from")] = ""  # where from


class _Outer(Section):
    """LightGBM's part."""

    inner: _Inner | None = None
    parts: dict[str, _Inner] = Field(default_factory=dict)
    more: _Inner = _Inner()  # more of it


def test_the_page_is_what_the_models_say() -> None:
    assert TARGET.read_text(encoding="utf-8") == render(), "run python -m finai_assets.settings.document"


def test_a_remark_beside_a_key_or_on_the_lines_before_is_its_meaning_and_one_for_a_tool_is_none() -> None:
    comments = document._comments(_Inner)
    assert comments["share"] == "how much of it"
    assert comments["kind"] == "which one, or"
    assert "other" not in comments


def test_a_section_without_a_remark_means_what_its_docstring_says_first() -> None:
    assert document._meaning(_Outer, "inner", "inner") == "a part"
    assert document._meaning(_Outer, "parts", "parts") == "a part"
    assert document._meaning(_Outer, "more", "more") == "more of it"
    assert document._meaning(_Inner, "from", "from") == "where from"
    assert document._meaning(_Inner, "other", "other") == ""
    assert document._first_sentence(_Outer) == "LightGBM's part"


def test_every_key_has_a_meaning() -> None:
    rows = [line for line in render().splitlines() if line.startswith("| `")]
    assert len(rows) > 600
    assert [row for row in rows if not re.split(r"(?<!\\)\|", row)[4].strip()] == []


def test_what_is_said_beside_a_key_of_the_feature_groups_need_not_be_said_in_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "datasets").mkdir()
    for name, text in {
        "pipeline.yaml": "seed: 1  # of all draws\nfit: {rows: 2}\n",
        "feature_groups.yaml": "feature_groups:\n  one:  # a group\n    days: 3   # how far back\n",
        "datasets/synthetic.yaml": 'dataset:\n  name: "a # b"\n',
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(document, "CONFIG_FOLDER", tmp_path)
    assert document._yaml_comments.__wrapped__() == {
        "seed": "of all draws",
        "feature_groups.one": "a group",
        "feature_groups.one.days": "how far back",
    }


def test_kinds_are_told_in_words_with_their_bounds() -> None:
    properties = _Inner.model_json_schema()["properties"]
    assert document._kind(properties["share"]) == "number ≥ 0, < 1"
    assert document._kind(properties["kind"]) == "string or `null`"
    of_parts = _Outer.model_json_schema()["properties"]
    assert document._kind(of_parts["inner"]) == "section or `null`"
    assert document._kind(of_parts["parts"]) == "mapping to section"
    assert document._kind(MonthSpan.model_json_schema()["properties"]["first"]) == "month"
    by_name = TablesSettings.model_json_schema()["properties"]["sources"]
    assert document._kind(by_name) == "mapping to section"


def test_every_section_of_the_settings_has_a_table_and_known_values_stand_in_it() -> None:
    page = render()
    assert "| `gap_days` | integer ≥ 7 | `30` | at least this long between" in page
    assert '| `policy` | `better` / `replicate` | `"replicate"` |' in page
    assert "## tables.sources.NAME" in page
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert len(headings) == len(set(headings)) > 80
