"""A batch row is the handler's answer, whatever the block, and a month is written block by block."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from bundle_fixtures import KEY, Made, features

from finai_assets.recommend import score as module
from finai_assets.recommend.score import SCHEMA, score_block, score_month
from finai_assets.settings import load_settings
from finai_resources.errors import BundleError, ContractError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.progress import watched
from serving_lambda.bundle import Bundle, load_bundle
from serving_lambda.errors import ServingError

COUNT = 60
AGES = np.array([np.nan if i % 7 == 0 else 20.0 + i for i in range(COUNT)])
SEGMENTS = [None if i % 5 == 0 else "plus" for i in range(COUNT)]


def spoiled(made: Made, bundle: Bundle) -> np.ndarray:
    """Return features of which customers 3 and 4 break the contract."""
    X = made.X[:COUNT].copy()
    column = next(c for c in bundle.columns if not c.nullable and c.high is not None)
    place = made.registry.names.index(column.name)
    X[3, place], X[4, place] = np.nan, 1e9
    return X


def score(made: Made, bundle: Bundle, X: np.ndarray, part: slice = slice(None), **more: Any) -> pa.Table:
    return score_block(
        bundle,
        (np.arange(COUNT, dtype=np.int64) + 1000)[part],
        X[part],
        made.registry.names,
        held=made.held(COUNT)[part],
        age=AGES[part],
        segment=SEGMENTS[part],
        settings=made.settings,
        **more,
    )


def equals_the_handler(made: Made, bundle: Bundle, serving: Callable[..., dict[str, Any]]) -> set[int]:
    """Compare every row of a batch with the handler's answer; return the layers that were met."""
    X, held = spoiled(made, bundle), made.held(COUNT)
    rows = score(made, bundle, X).to_pylist()
    place = [made.registry.names.index(name) for name in bundle.names]
    layers = set()
    for index in range(COUNT):
        values = {n: None if np.isnan(v) else float(v) for n, v in zip(bundle.names, X[index, place], strict=True)}
        request = {
            "customer_id": 1000 + index, "features": values, "held": np.flatnonzero(held[index]).tolist(),
            "age": None if np.isnan(AGES[index]) else int(AGES[index]), "segment": SEGMENTS[index],
        }  # fmt: skip
        shown = serving(request)["recommendations"]
        stored = [row for row in rows if row["customer_id"] == 1000 + index]
        assert [row["rank"] for row in stored] == list(range(1, len(shown) + 1))
        for row, entry in zip(stored, shown, strict=True):
            layers.add(entry["layer"])
            assert (row["product_id"], row["product"], row["layer"]) == (
                entry["product_id"],
                entry["product"],
                entry["layer"],
            )
            assert row["score"] == np.float32(entry["score"])
            assert (row["reason_ko"], row["reason_en"]) == (entry["reason"]["ko"], entry["reason"]["en"])
            assert row["explained_by"] == entry["explained_by"]
            assert [(a["column"], a["contribution"]) for a in row["attributions"]] == [
                (a["column"], np.float32(a["contribution"])) for a in entry["attributions"]
            ]
            assert row["bundle_id"] == bundle.bundle_id
    return layers


def test_every_row_equals_the_handlers_answer_for_that_customer(
    made: Made, bundle: Bundle, serving: Callable[..., dict[str, Any]]
) -> None:
    assert equals_the_handler(made, bundle, serving) == {1, 2, 3}


def test_rows_of_layer_2_equal_the_handlers_answers_too(
    made: Made, bundle_folder: Path, serving: Callable[..., dict[str, Any]]
) -> None:
    for path in (bundle_folder / "models").glob("*.txt"):
        if not path.name.endswith(".direct.txt"):
            path.unlink()
    degraded = load_bundle(bundle_folder, KEY)
    assert degraded.layer_by_task["will_acquire_deposits"] == 2
    assert equals_the_handler(made, degraded, serving) == {2, 3}


def test_a_copy_that_fails_in_a_block_makes_way_for_its_direct_student_as_in_the_handler(
    made: Made, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ServingError("PREDICTION_FAILED", "no memory")

    whole = load_bundle(bundle_folder, KEY)
    failing = whole.students["nba_primary"].ready()
    monkeypatch.setattr(failing, "raw", broken)
    (bundle_folder / "models" / "nba_primary.txt").unlink()
    found, expected = (score(made, tried, made.X) for tried in (whole, load_bundle(bundle_folder, KEY)))
    assert found.equals(expected)


def test_neither_the_blocks_size_nor_the_threads_change_a_bit(made: Made, bundle: Bundle) -> None:
    X = spoiled(made, bundle)
    whole = score(made, bundle, X)
    pieces = [score(made, bundle, X, slice(low, low + 17), threads=2) for low in range(0, COUNT, 17)]
    assert pa.concat_tables(pieces).equals(whole)
    assert whole.schema == SCHEMA


def test_the_order_of_the_registrys_columns_does_not_matter(made: Made, bundle: Bundle) -> None:
    names = made.registry.names[::-1]
    turned = score_block(
        bundle, np.arange(COUNT) + 1000, made.X[:COUNT, ::-1], names,
        held=made.held(COUNT), age=AGES, segment=SEGMENTS, settings=made.settings,
    )  # fmt: skip
    assert turned.equals(score(made, bundle, made.X))


def test_features_that_lack_a_column_of_the_contract_are_refused(made: Made, bundle: Bundle) -> None:
    short = [name for name in made.registry.names if name != bundle.names[0]]
    with pytest.raises(BundleError, match=bundle.names[0]):
        score_block(
            bundle, np.arange(2), np.zeros((2, len(short)), np.float32), short,
            held=made.held(2), age=AGES[:2], segment=[None, None], settings=made.settings,
        )  # fmt: skip


def test_an_empty_block_gives_an_empty_table(made: Made, bundle: Bundle) -> None:
    assert score(made, bundle, made.X, slice(0, 0)).num_rows == 0


@pytest.fixture
def month(lake: Lake, made: Made) -> Month:
    """Store 90 customers of a month: snapshots and every feature group."""
    count, chosen = 90, Month.parse("2015-05")
    ids = pa.array(np.arange(count) * 3 + 7, pa.int64())
    X = features(made.registry, count, seed=9)
    held = [np.flatnonzero(row).tolist() for row in made.held(count)]
    snapshot = pa.table(
        {
            "customer_id": ids,
            "snapshot_month": pa.array([date(2015, 5, 1)] * count),
            "age": pa.array([None if i % 4 == 0 else 30 + i % 40 for i in range(count)], pa.int16()),
            "segment": pa.array(["mass"] * count),
            "held": pa.array(held, pa.list_(pa.int16())),
        }
    )
    with lake.write("raw/snapshots", chosen.key) as out:
        out.write(snapshot, row_group_size=32)
    for group in made.registry.available:
        places = made.registry.positions((group.name,))
        table = pa.table({"customer_id": ids, **{made.registry.names[p]: X[:, p] for p in places}})
        with lake.write(group.asset, chosen.key) as out:
            out.write(table, row_group_size=32)
    return chosen


def run(lake: Lake, made: Made, bundle: Bundle, month: Month, block: int) -> dict[str, Any]:
    settings = load_settings("synthetic", "smoke", overrides={"lake": {"block_customers": block}})
    return score_month(
        LakeSession(lake), month, made.registry, settings, bundle,
        asset="recommendations/customers", code_version="c", config_hash="h",
    )  # fmt: skip


def test_a_month_is_written_with_its_upstream_and_does_not_depend_on_the_block(
    lake: Lake, made: Made, bundle: Bundle, month: Month
) -> None:
    done: list[tuple[int, int]] = []
    with watched(lambda _label, *steps: done.append(steps)):
        figures = run(lake, made, bundle, month, 40)
    table = lake.read("recommendations/customers", month.key)
    manifest = lake.manifest("recommendations/customers", month.key)
    assert done[-1] == (90, 90)
    assert len(done) == 3
    assert figures["customers"] == 90
    assert figures["recommendations"] == table.num_rows == 270
    assert figures["empty"] == 0
    assert figures["served_by_rules"] == 0
    assert manifest.extra == {"bundle_id": bundle.bundle_id}
    assert f"raw/snapshots@{month.key}" in manifest.upstream
    assert {f"{group.asset}@{month.key}" for group in made.registry.available} <= set(manifest.upstream)
    run(lake, made, bundle, month, 1000)
    assert lake.read("recommendations/customers", month.key).equals(table)


@pytest.mark.parametrize("change", ["fewer", "others"])
def test_snapshots_and_features_of_different_customers_are_refused_and_nothing_is_written(
    lake: Lake, made: Made, bundle: Bundle, month: Month, change: str
) -> None:
    table = lake.read("raw/snapshots", month.key)
    if change == "others":
        ids = table["customer_id"].to_numpy().copy()
        ids[5] += 1
        table = table.set_column(0, "customer_id", pa.array(ids))
    with lake.write("raw/snapshots", month.key) as out:
        out.write(table.slice(0, 80) if change == "fewer" else table)
    with pytest.raises(ContractError, match=r"90|others"):
        run(lake, made, bundle, month, 1000)
    assert lake.find("recommendations/customers", month.key) is None


def test_a_model_that_fails_stops_the_month_with_one_error(
    lake: Lake, made: Made, bundle: Bundle, month: Month, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ServingError("PREDICTION_FAILED", "no memory")

    monkeypatch.setattr(module, "score_matrix", broken)
    with pytest.raises(BundleError, match="no memory"):
        run(lake, made, bundle, month, 1000)
    assert lake.find("recommendations/customers", month.key) is None
