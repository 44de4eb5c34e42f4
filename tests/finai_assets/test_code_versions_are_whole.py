"""No function runs while an asset is computed whose source is not in the asset's code version."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

import serving_lambda.lightgbm_c  # noqa: F401 - its class body runs when it is imported, not in an asset
from finai_assets import source
from finai_assets.asset_graph import (
    COLUMNS,
    HANDED,
    MATRIX,
    PREDICTIONS,
    PRODUCTS,
    SNAPSHOTS,
    SOURCE,
    TEACHER,
    TRANSFER,
    AssetGraph,
    label_asset,
    student_asset,
)
from finai_assets.source import Symbol, reached
from finai_checks.framework import small_lake
from finai_checks.framework.small_lake import SmallLake

pytestmark = pytest.mark.slow

# What every computation passes through, or what builds the small lake itself.
_AROUND = (
    "finai_checks.framework.small_lake",
    "finai_assets.platform",
    "finai_assets.made_with",
    "finai_assets.source",
)

# What makes the values that the small lake's methods hand over, as the Dagster assets do: it is versioned by value.
_HANDED_OVER = {
    ("finai_assets.labels.splits", "Splits"),
    ("finai_assets.labels.task", "available"),
    ("finai_resources.manifest", "one_version"),
}


@contextmanager
def functions_that_run(seen: set[CodeType]) -> Iterator[None]:
    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call":
            seen.add(frame.f_code)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def symbols(codes: set[CodeType]) -> set[Symbol]:
    """Return the top-level definitions that code objects of the project belong to."""
    found = set()
    for code in codes:
        file = Path(code.co_filename)
        if source.ROOT in file.parents and file.relative_to(source.ROOT).parts[0] in source.PACKAGES:
            module = ".".join(file.relative_to(source.ROOT).with_suffix("").parts).removesuffix(".__init__")
            name = code.co_qualname.partition(".")[0]
            # A finaliser runs whenever the collector comes by, whatever left the object behind.
            if not name.startswith("<") and code.co_name != "__del__":
                found.add((module, name))
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[AssetGraph, dict[str, set[Symbol]]]:
    """Build the small lake and return, by step, what ran in it."""
    codes: dict[str, set[CodeType]] = {}
    patch = pytest.MonkeyPatch()

    def watched(step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            with functions_that_run(codes.setdefault(step, set())):
                return function(*arguments, **named)

        return run

    for step in ("generate", "load_catalogue", "load_month", "compute_labels"):
        patch.setattr(small_lake, step, watched(step, getattr(small_lake, step)))
    for step in ("refit", "compute", "rebuild_matrix", "retrain"):
        patch.setattr(SmallLake, step, watched(step, getattr(SmallLake, step)))
    distil = watched("distil", SmallLake.distil)

    def distil_with_what_is_declared(small: SmallLake, name: str) -> None:
        assert small.platform.displayable  # handed over by value, and hashed by value
        assert isinstance(small.platform.rule_columns, frozenset)
        distil(small, name)

    patch.setattr(SmallLake, "distil", distil_with_what_is_declared)
    made = SmallLake.build(tmp_path_factory.mktemp("small") / "lake")
    patch.undo()
    return made.platform.graph, {step: symbols(found) for step, found in codes.items()}


def test_every_function_that_runs_is_in_the_code_version(
    ran: tuple[AssetGraph, dict[str, set[Symbol]]],
) -> None:
    graph, steps = ran
    groups = [member.name for member in graph.groups]
    computes = {
        "generate": [SOURCE],
        "load_catalogue": [PRODUCTS],
        "load_month": [SNAPSHOTS],
        "refit": [f"feature_state/{name}" for name in groups],
        "compute": [f"features/{name}" for name in groups],
        "compute_labels": [label_asset(member.name) for member in graph.tasks],
        "rebuild_matrix": [MATRIX],
        "retrain": [TEACHER, PREDICTIONS],
        "distil": [COLUMNS, TRANSFER, student_asset(small_lake.STUDENT)],
    }
    outside: dict[str, list[Symbol]] = {}
    for step, paths in computes.items():
        assert len(steps[step]) > 10, f"{step} was not watched"
        known = {symbol for path in paths for symbol in reached(*HANDED, *graph.starts(path))}
        outside[step] = sorted(
            symbol
            for symbol in steps[step] - known - _HANDED_OVER
            if not source.is_left_out(symbol[0]) and not symbol[0].startswith(_AROUND)
        )
    assert {step: found for step, found in outside.items() if found} == {}
