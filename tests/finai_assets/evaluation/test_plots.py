"""Figures: the same bytes for the same figure, in colours that stay apart."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import colors
from matplotlib.figure import Figure

from finai_assets.evaluation.plots import INK, MODEL_COLOURS, PALETTE, style, svg
from finai_resources.errors import GateError


@style()
def drawing(top: float = 1.0) -> Figure:
    figure = Figure(figsize=(4, 3))
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, top], marker="o", label="a & b")
    axes.set_xlim(0, 0.5)
    axes.legend()
    return figure


def test_the_same_figure_gives_the_same_bytes():
    assert svg(drawing(), "a line") == svg(drawing(), "a line")
    assert svg(drawing(), "a line") != svg(drawing(2.0), "a line")


def test_the_machine_s_own_style_changes_nothing():
    plain = svg(drawing(), "a line")
    with mpl.rc_context({"font.size": 20, "svg.hashsalt": "other", "axes.facecolor": "red"}):
        assert svg(drawing(), "a line") == plain
        assert mpl.rcParams["font.size"] == 20


def test_a_figure_is_well_formed_without_date_and_speaks_its_label():
    text = svg(drawing(), 'says "so" & more')
    root = ET.fromstring(text)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == 'says "so" & more'
    assert "<metadata" not in text
    assert "dc:date" not in text
    assert ">a &amp; b</text>" in text


def test_ids_of_two_figures_do_not_meet_and_every_reference_holds():
    first, second = svg(drawing(), "one"), svg(drawing(2.0), "two")
    ids = [set(re.findall(r' id="([^"]+)"', text)) for text in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for text, own in zip((first, second), ids, strict=True):
        assert set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text)) <= own


def test_text_takes_the_colour_of_the_page():
    assert f"var(--ink, {INK})" in svg(drawing(), "a line")


def test_a_figure_without_a_label_is_refused():
    with pytest.raises(GateError, match="no label"):
        svg(drawing(), " ")


def test_a_figure_with_a_picture_is_refused_since_a_page_loads_none():
    with style():
        figure = Figure(figsize=(2, 2))
        figure.add_subplot().imshow(np.eye(3))
    with pytest.raises(GateError, match="picture"):
        svg(figure, "a picture")


# Machado, Oliveira and Fernandes, A physiologically-based model for simulation of color vision deficiency (2009), severity 1.
SIGHT = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def seen(colour: str, matrix: list[list[float]]) -> np.ndarray:
    """Return CIE Lab of a colour as somebody with that sight sees it."""
    rgb = np.array(colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(matrix) @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    ratio = xyz / [0.9505, 1.0, 1.089]
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SIGHT)
def test_the_colours_stay_apart_for_every_kind_of_sight(sight):
    for a, b in combinations([*PALETTE, INK], 2):
        distance = float(np.linalg.norm(seen(a, SIGHT[sight]) - seen(b, SIGHT[sight])))
        assert distance > 10, (a, b, distance)  # 2.3 is just noticeable


def test_every_model_has_a_colour_of_its_own():
    assert len(set(MODEL_COLOURS.values())) == len(MODEL_COLOURS)
