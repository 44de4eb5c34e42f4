"""Pages of HTML from the templates beside this module; texts are escaped, and a name that a template lacks is an error."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from jinja2 import Environment, PackageLoader, StrictUndefined

from finai_resources.errors import GateError


@dataclass(frozen=True, slots=True)
class Contents:
    """The table of contents of one page, which its sections fill as they are rendered.

    Parameters
    ----------
    anchors : dict
        The id of each section's heading by its title, in order.
    """

    anchors: dict[str, str] = field(default_factory=dict)

    def add(self, title: str) -> str:
        """List a section, and return the id of its heading.

        Raises
        ------
        GateError
            The page has a section of this title already.
        """
        if title in self.anchors:
            raise GateError(f"sections share the title {title!r}", where="report", fix="name each section once")
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
        self.anchors[title] = f"s{len(self.anchors) + 1}-{slug}"
        return self.anchors[title]


def environment() -> Environment:
    """Return what renders the templates of this package."""
    made = Environment(
        loader=PackageLoader("finai_assets.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"thousands": "{:,}".format, "span": _span}
    made.globals["refuse_row"] = _refuse_row
    return made


def render(template: str, **values: Any) -> bytes:
    """Return a whole page, UTF-8; equal values give equal bytes.

    Parameters
    ----------
    template : str
        The name of a template that extends ``base.html.j2``.
    values
        What it shows, and the functions that put it into words.

    Raises
    ------
    GateError
        Two sections have the same title, or a row of a table has another number of cells than the header.
    jinja2.UndefinedError
        The template names what is not among the values.
    """
    return environment().get_template(template).render(contents=Contents(), **values).encode()


def _span(months: Sequence[str]) -> str:
    """Return the first and the last of some months."""
    return months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}"


def _refuse_row(cells: Sequence[str], header: Sequence[str], caption: str) -> NoReturn:
    raise GateError(
        f"a row of {len(cells)} cells below {len(header)} names", where=caption or "table", fix="fill every cell"
    )
