"""The page: self-contained, escaped, and made of what was given."""

from __future__ import annotations

import re
import tomllib
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from jinja2 import UndefinedError
from jinja2.meta import find_referenced_templates

from finai_assets import source
from finai_assets.asset_graph import ASSETS, EVALUATION, EXPLANATIONS
from finai_assets.evaluation.page import Contents, environment
from finai_resources.errors import GateError

TEMPLATES = "finai_assets/evaluation/templates/"
IMPORTS = '{% from "macros.html.j2" import section, table, figure with context %}'
WHOLE = (
    '{% extends "base.html.j2" %}'
    + IMPORTS
    + "{% block title %}{{ title }}{% endblock %}{% block lead %}{{ lead }}{% endblock %}{% block main %}"
    "{% for name in names %}{% call section(name) %}<p>{{ text }}</p>{% endcall %}{% endfor %}{% endblock %}"
)
TABLE = (
    IMPORTS + "{% call(row) table(header, numeric=[1], caption=caption) %}{% for cells in rows %}{{ row(cells) }}"
    "{% endfor %}{% endcall %}"
)
FIGURE = IMPORTS + "{% call figure(svg) %}{{ caption }}{% endcall %}"
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


def rendered(template: str, **values: object) -> str:
    return environment().from_string(template).render(contents=Contents(), **values)


def whole(title: str = "A <title>", names: tuple[str, ...] = ("First & last", "우리말")) -> str:
    return rendered(WHOLE, title=title, lead="What it is", names=names, text="a < b")


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
        whole(bad, (bad,)),
        rendered(WHOLE, title="", lead=bad, names=("a",), text=bad),
        rendered(TABLE, header=[bad, "n"], rows=[[bad, bad]], caption=bad),
        rendered(FIGURE, svg="<svg></svg>", caption=bad),
    ):
        assert "<script" not in html
        assert bad in "".join(read(html).text)


def test_a_table_marks_its_heads_and_sets_numbers_right():
    html = rendered(TABLE, header=["task", "n"], rows=[["churn", "12\n1 to 3"], ["next", "7"]], caption="rows")
    reader = read(html)
    assert [attrs.get("scope") for tag, attrs in reader.tags if tag == "th"] == ["col", "col", "row", "row"]
    assert [attrs.get("class") for tag, attrs in reader.tags if tag == "td"] == ["number", "number"]
    assert re.search(r'role="region" tabindex="0" aria-label="rows"', html)
    assert '<td class="number">12\n1 to 3</td>' in html, (
        "a number's second line is kept, and nothing is added around it"
    )


def test_a_table_without_a_caption_is_named_by_its_head():
    html = rendered(TABLE, header=["task", "n"], rows=[], caption="")
    assert 'aria-label="task, n"' in html
    assert "<caption>" not in html


def test_a_row_with_a_missing_cell_is_refused():
    with pytest.raises(GateError, match="1 cells below 2"):
        rendered(TABLE, header=["a", "b"], rows=[["x"]], caption="")


def test_two_sections_of_one_name_are_refused():
    with pytest.raises(GateError, match="share the title"):
        whole(names=("a", "a"))


def test_a_name_that_no_value_stands_for_is_refused():
    with pytest.raises(UndefinedError, match="forgotten"):
        rendered("{{ forgotten }}")


def test_templates_are_part_of_the_package():
    found = {file.name for file in files("finai_assets.evaluation").joinpath("templates").iterdir()}
    assert found == set(environment().list_templates())
    assert {"base.html.j2", "evaluation.html.j2", "explanations.html.j2", "macros.html.j2"} <= found


def test_an_installed_package_holds_every_template():
    project = tomllib.loads((source.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folder = source.ROOT / "finai_assets" / "evaluation"
    patterns = project["tool"]["setuptools"]["package-data"]["finai_assets.evaluation"]
    packed = {file for pattern in patterns for file in folder.glob(pattern)}
    assert packed == {file for file in (folder / "templates").rglob("*") if file.is_file()}


@pytest.mark.parametrize(("asset", "page"), [(EVALUATION, "evaluation"), (EXPLANATIONS, "explanations")])
def test_an_asset_declares_every_template_that_its_page_is_rendered_from(asset, page):
    waiting, found = [f"{page}.html.j2"], set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            text, _, _ = environment().loader.get_source(environment(), name)
            waiting += find_referenced_templates(environment().parse(text))
    declared = next(each for each in ASSETS if each.path == asset).templates
    assert set(declared) == {TEMPLATES + name for name in found}
