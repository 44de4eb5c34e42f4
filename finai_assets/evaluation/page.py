"""One self-contained HTML page: no script, no link to elsewhere, readable on a phone, on paper, in the dark and aloud.

Texts are escaped here; what is HTML already is called ``body`` or ``svg`` and comes from these functions or from ``plots.py``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape

from finai_resources.errors import GateError

# What a browser may load: nothing but the style in the page.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --quiet: #59636e; --line: #d0d7de; --paper: #ffffff; --soft: #f6f8fa;
  --link: #0550ae }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --quiet: #9aa4af; --line: #3d444d; --paper: #0d1117;
  --soft: #161b22; --link: #79b8ff } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .5rem }
h2 { font-size: 1.3rem; margin: 2.75rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line) }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .4rem }
p, li { max-width: 48rem }
.lead { font-size: 1.08rem; margin: 0 0 1rem }
a { color: var(--link) }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px }
nav { background: var(--soft); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; margin: 1.25rem 0 }
nav ol { margin: .25rem 0 0; padding-left: 1.4rem; columns: 20rem }
nav strong { font-weight: 600 }
.scroll { overflow-x: auto; margin: .75rem 0 1.25rem }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums }
caption { caption-side: top; text-align: left; color: var(--quiet); padding: 0 0 .4rem }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; font-weight: 400 }
thead th { font-weight: 600; border-bottom: 2px solid var(--line); vertical-align: bottom; background: var(--soft) }
tbody th { white-space: nowrap }
.number { text-align: right; white-space: pre }
figure { margin: 1rem 0 1.75rem }
figcaption { color: var(--quiet); font-size: .9rem; max-width: 48rem; margin-top: .25rem }
svg { display: block; max-width: 100%; height: auto; font-family: "DejaVu Sans", Verdana, sans-serif }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.25rem; margin: .75rem 0 1.25rem }
dt { color: var(--quiet) }
dd { margin: 0; max-width: 48rem; overflow-wrap: anywhere }
@media (max-width: 40rem) { body { padding: 1rem .9rem 3rem } svg { min-width: 34rem; max-width: none }
  dl { grid-template-columns: 1fr; gap: 0 } dd { margin-bottom: .5rem } }
@media print { :root { --ink: #000; --quiet: #333; --line: #999; --paper: #fff; --soft: #fff }
  body { max-width: none; padding: 0 } nav { display: none } .scroll { overflow: visible }
  figure, tr { break-inside: avoid } h2, h3 { break-after: avoid }
  table { font-size: .7rem } th, td { padding: .15rem .3rem } }
""".strip()


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page.

    Parameters
    ----------
    title : str
        Plain text; the table of contents links to it.
    body : str
        HTML.
    """

    title: str
    body: str


def page(title: str, lead: str, sections: Sequence[Section]) -> bytes:
    """Return a whole page, UTF-8.

    Parameters
    ----------
    title, lead : str
        Plain text: the heading, and the sentence below it that says what the page is about.
    sections : sequence of Section
        In order; the table of contents lists them.

    Raises
    ------
    GateError
        Two sections have the same title.
    """
    titles = [section.title for section in sections]
    if len(set(titles)) < len(titles):
        twice = sorted({name for name in titles if titles.count(name) > 1})
        raise GateError(f"sections share the title {twice}", where=title, fix="name each section once")
    anchors = [f"s{number}-{_slug(name)}" for number, name in enumerate(titles, start=1)]
    contents = "".join(
        f'<li><a href="#{anchor}">{escape(name)}</a></li>' for anchor, name in zip(anchors, titles, strict=True)
    )
    parts = "\n".join(
        f'<section aria-labelledby="{anchor}">\n<h2 id="{anchor}">{escape(section.title)}</h2>\n{section.body}\n</section>'
        for anchor, section in zip(anchors, sections, strict=True)
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{_STYLE}
</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p class="lead">{escape(lead)}</p>
</header>
<nav aria-label="Contents"><strong>Contents</strong><ol>{contents}</ol></nav>
<main>
{parts}
</main>
</body>
</html>
""".encode()


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: Collection[int] = (), caption: str = ""
) -> str:
    """Return a table that scrolls sideways where the screen is narrow.

    Parameters
    ----------
    header : sequence of str
        Names of the columns; plain text, as all cells.
    rows : sequence of sequence of str
        The first cell names the row.
    numeric : collection of int
        Positions of columns that are set flush right; a line break in their cells is kept.
    caption : str
        What the table shows, with units.

    Raises
    ------
    GateError
        A row has another number of cells than the header.
    """
    for row in rows:
        if len(row) != len(header):
            raise GateError(
                f"a row of {len(row)} cells below {len(header)} names", where=caption or "table", fix="fill every cell"
            )

    def cell(position: int, value: str, tag: str, scope: str = "") -> str:
        attributes = f' scope="{scope}"' if scope else ""
        attributes += ' class="number"' if position in numeric else ""
        return f"<{tag}{attributes}>{escape(value)}</{tag}>"

    head = "".join(cell(i, name, "th", "col") for i, name in enumerate(header))
    body = "\n".join(
        "<tr>"
        + "".join(cell(i, value, "td" if i else "th", "" if i else "row") for i, value in enumerate(row))
        + "</tr>"
        for row in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    # a part that scrolls must be reachable by keyboard, and a part that can be reached needs a name
    label = escape(caption or ", ".join(header), quote=True)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table>{title}\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def figure(svg: str, caption: str) -> str:
    """Return a figure: SVG from :func:`finai_assets.evaluation.plots.svg`, and a plain text that says how to read it."""
    return f'<figure>\n<div class="scroll">{svg}</div>\n<figcaption>{escape(caption)}</figcaption>\n</figure>'


def paragraph(text: str) -> str:
    """Return plain text as a paragraph."""
    return f"<p>{escape(text)}</p>"


def heading(text: str) -> str:
    """Return a heading within a section."""
    return f"<h3>{escape(text)}</h3>"


def bullets(items: Sequence[str]) -> str:
    """Return plain texts as a list; nothing where there are none."""
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>" if items else ""


def definitions(items: Sequence[tuple[str, str]]) -> str:
    """Return names and what they mean, as plain texts."""
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in items) + "</dl>"


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
