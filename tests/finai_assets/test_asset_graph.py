"""The graph is declared once: what derives from it agrees, and no other product file spells an asset's path."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest

from finai_assets import asset_graph, source
from finai_assets.asset_graph import (
    ASSETS,
    BUNDLE,
    CHAMPION,
    JOBS,
    MATRIX,
    OFFER_TABLES,
    RECOMMENDATIONS,
    SNAPSHOTS,
    AssetGraph,
    Partitions,
    Window,
    group_asset,
    state_asset,
)
from finai_assets.platform import Platform
from finai_assets.settings import load_settings
from finai_resources.months import Month

PRODUCT = ("finai_assets", "finai_checks", "finai_cli", "finai_resources", "serving_lambda", "studies")
FIRST_PARTS = {asset.path.partition("/")[0] for asset in ASSETS} | {"source", "truth"}
TEXT = re.compile(rf"^(?:{'|'.join(sorted(FIRST_PARTS))})/[a-z_0-9]*")


@pytest.fixture(scope="module")
def platform() -> Platform:
    return Platform.of(load_settings("synthetic", "smoke"))


@pytest.fixture(scope="module")
def graph(platform: Platform) -> AssetGraph:
    return platform.graph


def texts(tree: ast.Module) -> list[ast.Constant]:
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]


def test_no_other_product_file_spells_an_assets_path(graph: AssetGraph) -> None:
    """A text that is a path, an address or a column of an asset, or the folder of assets (`labels/`); no sentence."""
    folders = {f"{part}/" for part in FIRST_PARTS}
    known = {*graph.paths, *folders}
    spelled = [
        f"{file.relative_to(source.ROOT)}:{text.lineno} {text.value!r}"
        for package in PRODUCT
        for file in (source.ROOT / package).rglob("*.py")
        if file != Path(asset_graph.__file__)
        for text in texts(ast.parse(file.read_text(encoding="utf-8")))
        if (found := TEXT.match(text.value)) and found[0] in known and " " not in text.value  # a sentence names it
    ]
    assert spelled == []


def test_what_is_read_comes_before_what_reads_it(graph: AssetGraph) -> None:
    position = {path: index for index, path in enumerate(graph.paths)}
    for path in graph.paths:
        assert all(position[upstream] < position[path] for upstream, _ in graph.reads(path)), path


def test_every_asset_belongs_to_exactly_one_job(graph: AssetGraph) -> None:
    jobs = [path for job in JOBS for path in graph.in_groups(job.groups)]
    assert sorted(jobs) == sorted(graph.paths)


def test_the_assets_of_a_job_have_the_same_months(graph: AssetGraph) -> None:
    for job in JOBS:
        assert len({graph[path].partitions for path in graph.in_groups(job.groups)}) == 1, job.name


def test_a_state_is_asked_for_its_own_group_alone(graph: AssetGraph) -> None:
    states = [
        upstream for upstream, _ in graph.reads(group_asset("demographics")) if upstream.startswith("feature_state")
    ]
    assert states == [state_asset("demographics")]


def test_gates_are_asked_of_exactly_the_months_that_are_read(platform: Platform, graph: AssetGraph) -> None:
    used = {month.key for month in platform.splits.months}
    asked = {month for path, month in graph.asked(MATRIX) if path == group_asset("demographics")}
    assert asked == used
    month = Month.parse("2015-07")
    asked = graph.asked(RECOMMENDATIONS, month=month)
    assert {(group_asset("demographics"), "2015-07"), (BUNDLE, None), (SNAPSHOTS, "2015-07")} <= set(asked)


def test_gates_are_asked_of_all_that_lies_upstream_and_of_nothing_else(graph: AssetGraph) -> None:
    def upstream(path: str) -> set[str]:
        near = {each for each, _ in graph.reads(path)} - {CHAMPION}  # what it judged stops nobody else
        return near.union(*(upstream(each) for each in near))

    month = Month.parse("2015-07")
    for path in graph.paths:
        asked = {each for each, _ in graph.asked(path, month=month)}
        assert asked == (upstream(path) if path != CHAMPION else set()), path


def test_every_assets_function_asks_the_gates_before_it_reads() -> None:
    """A session on the lake is opened by `entered`, which asks; only promotion, which judges what failed, opens one itself."""
    opened = [
        file.parent.name
        for file in (source.ROOT / "finai_assets").rglob("assets.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "session" and isinstance(node.value, ast.Name)
        if node.value.id == "lake"
    ]
    assert opened == ["promotion"]


def test_tables_that_are_written_together_are_stale_together(graph: AssetGraph) -> None:
    raw = graph.in_groups(["raw"])
    assert graph.downstream([raw[1]], raw) == list(raw)
    assert graph[raw[0]].partitions is Partitions.RAW


def test_a_data_set_without_a_generator_has_no_source() -> None:
    assert "source/panel" in Platform.of(load_settings("synthetic", "smoke")).graph
    assert "source/panel" not in Platform.of(load_settings("berka", "demo")).graph


def test_an_asset_receives_the_settings_that_it_names_and_no_other(graph: AssetGraph) -> None:
    settings = graph.settings_of(MATRIX)
    assert settings.teacher.routing == graph.settings.teacher.routing
    with pytest.raises(AttributeError, match="dropout was not handed to this computation"):
        _ = settings.teacher.dropout
    with pytest.raises(AttributeError, match=r"Settings\.students was not handed"):
        _ = settings.students


def test_what_lawful_offering_needs_is_no_input_of_a_model(graph: AssetGraph) -> None:
    learned = graph.in_groups(["feature_state", "features", "labels", "splits", "teacher", "students", "choice"])
    assert len(learned) > 50
    assert not [(path, upstream) for path in learned for upstream, _ in graph.reads(path) if upstream in OFFER_TABLES]
    assert {upstream for upstream, _ in graph.reads(RECOMMENDATIONS)} >= set(OFFER_TABLES)


def test_a_table_that_the_data_set_has_not_is_not_in_its_graph() -> None:
    graph = Platform.of(load_settings("berka", "demo")).graph
    assert not set(OFFER_TABLES) & set(graph.paths)
    assert not {upstream for upstream, _ in graph.reads(RECOMMENDATIONS)} & set(OFFER_TABLES)


@pytest.mark.parametrize("window", [Window.TRANSFER, Window.TEST, Window.FIT, Window.SPLITS])
def test_an_asset_that_reads_other_months_is_another_version_and_no_other_asset_is(
    graph: AssetGraph, window: Window
) -> None:
    """Which months are read is worked out outside the functions of the asset, whose code says nothing of it."""
    months = graph.windows[window]
    assert isinstance(months, tuple)
    other = replace(graph, windows={**graph.windows, window: months[:-1]})
    changed = {path for path in graph.paths if graph.config_version(path) != other.config_version(path)}
    reading = {path for path in graph.paths if window in {read.window for _, read in graph.reads(path)}}
    assert changed == reading
    assert window is not Window.TRANSFER or reading == {"students/transfer_set"}
