"""The page: self-contained, escaped, and made of what was given."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from finai_assets.evaluation.page import Section, bullets, definitions, figure, heading, page, paragraph, table
from finai_resources.errors import GateError

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Reader(HTMLParser):
    """Checks that tags close in order; keeps tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def whole() -> str:
    sections = [Section("First & last", paragraph("a < b")), Section("우리말", heading("h") + bullets(["x"]))]
    return page("A <title>", "What it is", sections).decode()


def test_a_page_closes_every_tag_and_names_its_language():
    reader = read(whole())
    assert dict(reader.tags)["html"] == {"lang": "en"}
    assert [tag for tag, _ in reader.tags].count("h1") == 1


def test_a_page_loads_nothing_and_runs_nothing():
    reader = read(whole())
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in reader.tags}
    addresses = [value for _, attrs in reader.tags for key, value in attrs.items() if key in ("href", "src")]
    assert addresses
    assert all(value.startswith("#") for value in addresses)
    assert "http" not in whole().replace("http-equiv", "")
    assert "url(" not in whole()


def test_the_contents_lead_to_every_section():
    reader = read(whole())
    links = [attrs["href"] for tag, attrs in reader.tags if tag == "a"]
    anchors = [attrs["id"] for tag, attrs in reader.tags if tag == "h2"]
    assert links == [f"#{anchor}" for anchor in anchors]
    assert len(set(anchors)) == 2


def test_texts_are_escaped():
    bad = '<script>alert("1")</script>'
    for html in (
        page(bad, bad, [Section(bad, "")]).decode(),
        paragraph(bad),
        heading(bad),
        bullets([bad]),
        definitions([(bad, bad)]),
        table([bad], [[bad]], caption=bad),
        figure("<svg></svg>", bad),
    ):
        assert "<script" not in html
        assert bad in "".join(read(html).text)


def test_a_table_marks_its_heads_and_sets_numbers_right():
    html = table(["task", "n"], [["churn", "12"], ["next", "7"]], numeric={1}, caption="rows")
    reader = read(html)
    assert [attrs.get("scope") for tag, attrs in reader.tags if tag == "th"] == ["col", "col", "row", "row"]
    assert [attrs.get("class") for tag, attrs in reader.tags if tag == "td"] == ["number", "number"]
    assert re.search(r'role="region" tabindex="0" aria-label="rows"', html)


def test_a_row_with_a_missing_cell_is_refused():
    with pytest.raises(GateError, match="1 cells below 2"):
        table(["a", "b"], [["x"]])


def test_two_sections_of_one_name_are_refused():
    with pytest.raises(GateError, match="share the title"):
        page("t", "l", [Section("a", ""), Section("a", "")])
