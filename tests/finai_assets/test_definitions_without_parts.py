"""The platform of a data set that has not everything: what cannot be made is not in the graph, and the rest loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finai_assets.asset_graph import (
    BUNDLE,
    CHAMPION,
    CHOICE,
    EVALUATION,
    EXPERT_SHARES,
    LISTS,
    MATRIX,
    RECOMMENDATIONS,
    Partitions,
)
from finai_assets.definitions import build_definitions
from finai_assets.platform import Platform
from finai_assets.settings import load_settings
from finai_checks.catalogue import declared_checks
from finai_cli.plan import main_job
from finai_cli.summary import what_ends
from finai_resources.home import Home

OFFERS = {CHOICE, BUNDLE, LISTS, CHAMPION, RECOMMENDATIONS}
NO_TRANSACTIONS = {"unavailable_tables": {"transactions": "the bank delivers none"}}
NO_PRODUCTS = {"unavailable_tables": {"products": "the shop sells nothing that is held"}}
NO_ATTRIBUTES = {"unavailable_tables": {"protected_attributes": "nobody was asked"}}
NOTHING = {
    "lacks": {"segment": "nobody is told apart"},
    "unavailable_tables": {"transactions": "there are none", "products": "there are none"},
}


def platform_without(dataset: dict[str, Any]) -> Platform:
    return Platform.of(load_settings("synthetic", "smoke", overrides={"dataset": dataset}))


@pytest.mark.parametrize(
    ("dataset", "tasks", "last_stage"),
    [
        (NO_TRANSACTIONS, 10, "judge"),
        (NO_PRODUCTS, 4, "train"),
        (NO_ATTRIBUTES, 13, "judge"),
        ({"segments": []}, 12, "judge"),
        (NOTHING, 0, "features"),
    ],
    ids=["no transactions", "no products", "no protected attributes", "no segments", "nothing but customers"],
)
def test_the_rest_loads(dataset: dict[str, Any], tasks: int, last_stage: str, tmp_path: Path) -> None:
    platform = platform_without(dataset)
    graph, checks = platform.graph, declared_checks(platform)
    assert len(platform.available_tasks) == tasks
    specs = build_definitions(settings=platform.settings, home=Home.at(tmp_path)).resolve_all_asset_specs()
    columns = {f"features/{column.group}/{column.name}" for column in platform.registry.columns}
    assert {spec.key.to_user_string() for spec in specs} == {*graph.paths, *columns}
    assert {check.asset for check in checks} <= set(graph.paths)
    for path in graph.paths:
        assert all(upstream in graph for upstream, _ in graph.reads(path))
    stages = main_job(platform)
    assert [stage.name for stage in stages][-1] == last_stage
    planned = {path for stage in stages for unit in stage.units for path in unit.assets}
    assert planned == set(graph.paths) - {CHAMPION, EXPERT_SHARES}  # which a person asks for


def test_without_transactions_no_asset_of_them_is_left() -> None:
    platform = platform_without(NO_TRANSACTIONS)
    assert not {"raw/transactions", "raw/merchant_categories", "features/txn_behavior", "labels/next_mcc"} & set(
        platform.graph.paths
    )
    assert platform.settings.teacher.experts == ("deepfm", "lightgcn", "causal")
    assert what_ends(platform) is None


def test_without_products_the_run_ends_after_the_students_and_says_so() -> None:
    platform = platform_without(NO_PRODUCTS)
    assert not OFFERS & set(platform.graph.paths)
    assert {MATRIX, EVALUATION, "students/next_mcc", "students/fidelity"} <= set(platform.graph.paths)
    assert not [
        path for path in platform.graph.paths if path in {"raw/products", "raw/product_terms", "labels/nba_primary"}
    ]
    told = str(what_ends(platform))
    assert told == (
        "The run ends after the students, as there is nothing to recommend: the shop sells nothing that is held."
    )


def test_without_a_task_the_run_ends_after_the_features_and_says_so() -> None:
    platform = platform_without(NOTHING)
    partitions = {platform.graph[path].partitions for path in platform.graph.paths}
    assert partitions == set(Partitions) - {Partitions.MATURE}  # labels and outcomes alone wait for a window
    assert not [path for path in platform.graph.paths if path.startswith(("teacher/", "students/", "serving/"))]
    assert what_ends(platform) == "The run ends after the features: the data set can carry no prediction task."
    assert what_ends(platform_without({})) is None
