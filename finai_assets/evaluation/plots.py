"""Figures as SVG: the same figure gives the same bytes, in colours that colour-blind readers can distinguish.

Figures are drawn with matplotlib's objects, without pyplot: ``Figure(...)`` inside :func:`style`, then :func:`svg`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from html import escape
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from finai_resources.errors import GateError

# Text, grid and background follow the page's light or dark theme; these values apply where there is no page.
INK, QUIET, LINE, PAPER = "#1f2328", "#59636e", "#d0d7de", "#ffffff"
_THEME = {INK: "--ink", QUIET: "--quiet", LINE: "--line", PAPER: "--paper"}

# Okabe and Ito, Color universal design (2008); its yellow is left out, which is too pale on white.
BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, GREY = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#e69f00",
    "#cc79a7",
    "#56b4e9",
    "#6e6e6e",
)
PALETTE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, GREY)
MODEL_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "teacher": BLUE,
        "student": SKY,
        "shared_bottom": GREEN,
        "lightgbm_all": VERMILION,
        "lightgbm_raw": ORANGE,
        "persistence": PURPLE,
        "prior": GREY,
        "ceiling": INK,
    }
)
# Shades that grow evenly darker, so that they keep their order in print and for colour-blind readers.
SEQUENTIAL = "Blues"
WIDTH = 11.2  # inches: the width of a page

_STYLE: Any = {  # matplotlib types its names one by one
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud, and takes the page's font
    "svg.hashsalt": "finai",
    "svg.id": None,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that text is measured alike everywhere
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the house's style whatever the machine's matplotlibrc says; also a decorator: ``@style()``."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def svg(figure: Figure, label: str) -> str:
    """Return a figure as an SVG element to be placed in a page.

    Parameters
    ----------
    figure : Figure
    label : str
        What the figure shows, for who cannot see it; plain text.

    Returns
    -------
    str
        Equal figures give equal text: it holds no date, and ids come from the content.

    Raises
    ------
    GateError
        The label is empty, or the figure holds a picture (of an image or a colour bar), which a page does not load.
    """
    if not label.strip():
        raise GateError("a figure has no label", where="report", fix="say in words what the figure shows")
    sink = io.BytesIO()
    with style():
        FigureCanvasSVG(figure).print_svg(sink, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    text = sink.getvalue().decode()
    text = text[text.index("<svg") :]
    if "<image" in text:
        raise GateError("a figure holds a picture", where=label, fix="draw cells with pcolormesh, and no colour bar")
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = _own_ids(text)
    for colour, name in _THEME.items():
        text = text.replace(colour, f"var({name}, {colour})")
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(label, quote=True)}" ', 1).strip()


def _own_ids(text: str) -> str:
    """Keep the ids that something refers to, made the figure's own, since a page holds several figures."""
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
    own = sha256(text.encode()).hexdigest()[:8]
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{own}-{m[1]}"' if m[1] in used else "", text)
    return re.sub(r"(url\(#|href=\"#)([^)\"]+)", lambda m: f"{m[1]}{own}-{m[2]}", text)
