"""The training matrix: rows, their order, labels as classes, and what it refuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from stored_tensors import read_tensor

from finai_assets.features.catalogue import read_catalogue
from finai_assets.labels.tasks import Task, build_tasks
from finai_assets.settings import Settings
from finai_assets.training.matrix import ASSET, TrainingMatrix, build_matrix, load_matrix, month_features
from finai_assets.training.side import fill_side, routed_tensors, width_of
from finai_resources.errors import GateError, LakeError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

MONTHS = {
    "train": [Month.parse("2015-01"), Month.parse("2015-02")],
    "validation": [Month.parse("2015-03")],
    "test": [Month.parse("2015-04")],
}
NAMES = ("churn_signal", "product_stability", "nba_primary", "next_mcc", "segment_prediction")


def label_column(task: Task, n: int, rng: np.random.Generator) -> pa.Array:
    if task.name == "next_mcc":
        return pa.array(4000 + 17 * rng.geometric(0.04, n) % 2000, pa.int32(), mask=rng.random(n) < 0.1)
    if task.kind == "multiclass":
        return pa.array(rng.integers(0, task.classes, n), pa.int8())
    return pa.array(rng.random(n).round(), pa.float32(), mask=rng.random(n) < 0.2)


@pytest.fixture(scope="module")
def tasks(world: Any) -> tuple[Task, ...]:
    return tuple(task for task in build_tasks(world.settings) if task.name in NAMES)


@pytest.fixture(scope="module")
def lake(world: Any, new_lake: Callable[[], Lake], tasks: tuple[Task, ...]) -> Lake:
    lake = world.panel.write(new_lake())
    for month in chain.from_iterable(MONTHS.values()):
        world.compute(lake, month, block_customers=1000)
        ids = np.sort(world.panel.snapshots[month]["customer_id"].to_numpy())
        rng = np.random.default_rng(month.ordinal)
        for task in tasks:
            table = pa.table({"customer_id": ids, "label": label_column(task, len(ids), rng)})
            with lake.write(task.asset, month.key) as out:
                out.write(table)
    return lake


def _settings(world: Any, teacher: dict[str, Any]) -> Settings:
    return world.settings.model_copy(update={"teacher": world.settings.teacher.model_copy(update=teacher)})


def build(world: Any, lake: Lake, tasks: tuple[Task, ...], months: Any = None, **teacher: Any) -> TrainingMatrix:
    session = LakeSession(lake)
    with session.write(ASSET, code_version="test") as out:
        build_matrix(session, _settings(world, teacher), world.registry, tasks, months or MONTHS, out)
    return load_matrix(lake)


@pytest.fixture(scope="module")
def matrix(world: Any, lake: Lake, tasks: tuple[Task, ...]) -> TrainingMatrix:
    return build(world, lake, tasks)


def test_rows_are_sorted_by_split_month_and_customer(matrix: TrainingMatrix, world: Any) -> None:
    order = {"train": 0, "validation": 1, "test": 2}
    keys = [
        (order[split], month, customer)
        for split, month, customer in zip(
            matrix.split.tolist(), matrix.month.tolist(), matrix.customer.tolist(), strict=True
        )
    ]
    assert keys == sorted(keys)
    for split, months in MONTHS.items():
        assert set(matrix.month[matrix.rows(split)]) == {month.key for month in months}
        assert len(matrix.customer[matrix.rows(split)]) == sum(world.panel.snapshots[m].num_rows for m in months)
    assert matrix.columns == world.registry.names
    assert matrix.X.shape == (len(matrix), 1211)


def test_features_are_those_of_the_customer_and_month(matrix: TrainingMatrix, world: Any, lake: Lake) -> None:
    for month in ("2015-02", "2015-04"):
        rows = matrix.month == month
        for group in world.registry.available:
            table = lake.read(group.asset, month)
            for name in group.names[:: max(1, len(group.names) // 5)]:
                found = np.asarray(matrix.X[rows, matrix.columns.index(name)])
                np.testing.assert_array_equal(found, table[name].to_numpy())


def test_the_matrix_stays_on_disk(matrix: TrainingMatrix) -> None:
    assert isinstance(matrix.X, np.memmap)
    assert matrix.X.dtype == np.float32


def test_labels_are_masked_where_null(matrix: TrainingMatrix, lake: Lake) -> None:
    stored = lake.read("labels/churn_signal", "2015-03")["label"].to_pylist()
    found = matrix.labels["churn_signal"][matrix.rows("validation")]
    assert [None if np.isnan(v) else v for v in found.tolist()] == stored
    assert np.isnan(found).any()


def test_the_mcc_vocabulary_is_the_top_49_of_train_labels_and_other(matrix: TrainingMatrix, lake: Lake) -> None:
    counted: Counter[int] = Counter()
    for month in MONTHS["train"]:
        counted.update(v for v in lake.read("labels/next_mcc", month.key)["label"].to_pylist() if v is not None)
    expected = sorted(counted, key=lambda code: (-counted[code], code))[:49]
    task = matrix.task("next_mcc")
    assert task.class_labels == (*map(str, expected), "other")
    assert task.classes == 50
    assert task.fitted_on is not None
    assert task.fitted_on.months == tuple(month.key for month in MONTHS["train"])
    assert task.fitted_on.rows == counted.total()
    stored = lake.read("labels/next_mcc", "2015-04")["label"].to_pylist()
    classes = [None if code is None else expected.index(code) if code in expected else 49 for code in stored]
    found = matrix.labels["next_mcc"][matrix.rows("test")].tolist()
    assert [None if np.isnan(v) else int(v) for v in found] == classes
    assert 49 in classes


def test_persistence_says_what_was_there_before_the_cutoff(matrix: TrainingMatrix, world: Any) -> None:
    month = MONTHS["test"][0]
    rows = matrix.rows("test")
    assert set(matrix.persistence) == {"product_stability", "segment_prediction", "next_mcc"}
    assert set(matrix.persistence["product_stability"].tolist()) == {1.0}
    snapshot = world.panel.snapshots[month].to_pandas().set_index("customer_id").loc[matrix.customer[rows]]
    segments = [world.settings.dataset.segments.index(name) for name in snapshot.segment]
    assert matrix.persistence["segment_prediction"][rows].tolist() == segments
    history = pa.concat_tables([world.panel.transactions[month - back] for back in range(12)]).to_pandas()
    history = history.assign(m=history.merchant_id.fillna(-1)).sort_values(["ts", "amount", "mcc", "m"])
    last = history.groupby("customer_id").mcc.last().reindex(matrix.customer[rows])
    labels = matrix.task("next_mcc").class_labels
    expected = [None if np.isnan(c) else labels.index(str(int(c))) if str(int(c)) in labels else 49 for c in last]
    found = matrix.persistence["next_mcc"][rows].tolist()
    assert [None if np.isnan(v) else int(v) for v in found] == expected
    assert None in expected


def test_train_rows_above_the_limit_are_sampled_by_whole_customers(
    world: Any, lake: Lake, tasks: tuple[Task, ...], matrix: TrainingMatrix
) -> None:
    sampled = build(world, lake, tasks, max_train_rows=200)
    rows = sampled.rows("train")
    assert 150 < rows.stop <= 200
    full = {c: int((matrix.customer[matrix.rows("train")] == c).sum()) for c in np.unique(sampled.customer[rows])}
    assert all(int((sampled.customer[rows] == c).sum()) == n for c, n in full.items())
    assert (
        sampled.rows("test").stop - sampled.rows("test").start == matrix.rows("test").stop - matrix.rows("test").start
    )
    position = {(m, c): i for i, (m, c) in enumerate(zip(matrix.month.tolist(), matrix.customer.tolist(), strict=True))}
    at = [position[key] for key in zip(sampled.month.tolist(), sampled.customer.tolist(), strict=True)]
    np.testing.assert_array_equal(np.asarray(sampled.X), np.asarray(matrix.X)[at])
    build(world, lake, tasks)


def test_the_same_inputs_give_the_same_bytes(world: Any, lake: Lake, tasks: tuple[Task, ...]) -> None:
    build(world, lake, tasks)
    first = lake.manifest(ASSET).content_hash
    build(world, lake, tasks)
    assert lake.manifest(ASSET).content_hash == first


def test_a_month_in_two_splits_is_refused(world: Any, lake: Lake, tasks: tuple[Task, ...]) -> None:
    months = {**MONTHS, "test": MONTHS["validation"]}
    with pytest.raises(GateError, match="2015-03 is in validation and in test"):
        build(world, lake, tasks, months)


def test_an_empty_split_is_refused(world: Any, lake: Lake, tasks: tuple[Task, ...]) -> None:
    with pytest.raises(GateError, match="the split test has no rows"):
        build(world, lake, tasks, {**MONTHS, "test": []})


def test_labels_that_do_not_cover_the_rows_are_refused(world: Any, lake: Lake, tasks: tuple[Task, ...]) -> None:
    table = lake.read("labels/churn_signal", "2015-03")
    with lake.write("labels/churn_signal", "2015-03") as out:
        out.write(table.slice(5))
    try:
        with pytest.raises(GateError, match=r"5 of .* customers have no row"):
            build(world, lake, tasks)
    finally:
        with lake.write("labels/churn_signal", "2015-03") as out:
            out.write(table)


def test_groups_that_disagree_about_the_customers_are_refused(
    world: Any, new_lake: Callable[[], Lake], month: Month
) -> None:
    lake = world.panel.write(new_lake())
    world.compute(lake)
    table = lake.read("features/txn_behavior", month.key)
    with lake.write("features/txn_behavior", month.key) as out:
        out.write(table.slice(1))
    with pytest.raises(LakeError, match="features/txn_behavior"):
        month_features(LakeSession(lake), month, world.registry, -(2**62), 2**62)


def test_month_features_are_the_rows_of_a_range_in_registry_order(world: Any, month: Month) -> None:
    ids = np.sort(world.panel.snapshots[month]["customer_id"].to_numpy())
    found, X = month_features(LakeSession(world.lake), month, world.registry, int(ids[10]), int(ids[99]))
    assert found.tolist() == ids[10:100].tolist()
    table = world.lake.read("features/txn_rolling_stats", month.key)
    at = world.registry.names.index("roll_count_30d")
    assert X[:, at].tolist() == table["roll_count_30d"].to_pylist()[10:100]


def routing(*groups: str) -> dict[str, Any]:
    return {"experts": ("some",), "routing": {"some": groups, "not_chosen": ("tda_local",)}}


def test_the_tensors_of_routed_groups_alone_stand_beside_the_columns_in_the_order_of_the_rows(
    world: Any, lake: Lake, tasks: tuple[Task, ...]
) -> None:
    found = build(world, lake, tasks, **routing("demographics", "merchant_hierarchy", "tda_global"))
    assert isinstance(found.side, np.memmap)
    assert found.side.dtype == np.float32
    groups = {name: world.registry.group(name) for name in ("tda_global", "merchant_hierarchy")}
    names = [group.name for group in world.registry.available if group.name in groups]
    assert [(t.group, t.name) for t in found.tensors] == [(name, groups[name].tensors[0].name) for name in names]
    for month in ("2015-01", "2015-04"):
        rows, first = found.month == month, 0
        for tensor in found.tensors:
            group = groups[tensor.group]
            ids, values = read_tensor(LakeSession(lake), group.asset, month, group.tensors[0])
            assert tensor.shape == values.shape[1:]
            assert values.any()
            position = {int(customer): at for at, customer in enumerate(ids)}
            expected = values[[position[int(customer)] for customer in found.customer[rows]]]
            part = np.asarray(found.side[rows, first : first + tensor.size])
            np.testing.assert_array_equal(part, expected.reshape(len(expected), -1))
            first += tensor.size
        assert first == found.side.shape[1]


def test_sampled_rows_keep_their_own_tensors(world: Any, lake: Lake, tasks: tuple[Task, ...]) -> None:
    full = build(world, lake, tasks, **routing("merchant_hierarchy"))
    whole = np.array(full.side)
    position = {(m, c): i for i, (m, c) in enumerate(zip(full.month.tolist(), full.customer.tolist(), strict=True))}
    sampled = build(world, lake, tasks, max_train_rows=200, **routing("merchant_hierarchy"))
    assert len(sampled) < len(full)
    at = [position[key] for key in zip(sampled.month.tolist(), sampled.customer.tolist(), strict=True)]
    assert sampled.side is not None
    np.testing.assert_array_equal(np.asarray(sampled.side), whole[at])


def test_without_a_routed_tensor_no_side_array_is_stored(world: Any, lake: Lake, tasks: tuple[Task, ...]) -> None:
    found = build(world, lake, tasks, **routing("demographics"))
    assert found.side is None
    assert found.tensors == ()
    assert "side.npy" not in {stored.role for stored in lake.manifest(ASSET).files}


def test_a_tensor_that_lacks_customers_is_refused(world: Any, lake: Lake) -> None:
    month = MONTHS["validation"][0]
    registry = world.registry
    tensors = routed_tensors(registry, _settings(world, routing("tda_global")))
    customer = np.sort(world.panel.snapshots[month]["customer_id"].to_numpy())
    more = np.append(customer, customer[-1] + 1)
    rows = np.zeros((len(more), width_of(tensors)), np.float32)
    with pytest.raises(LakeError, match=rf"{len(customer)} of {len(more)} customers"):
        fill_side(LakeSession(lake), registry, tensors, month.key, more, rows)


def test_the_merchant_tree_travels_with_the_matrix(matrix: TrainingMatrix, lake: Lake) -> None:
    stored = read_catalogue(LakeSession(lake))
    for name in ("family", "mcc", "l2", "l1"):
        np.testing.assert_array_equal(getattr(matrix.catalogue, name), getattr(stored, name))
        assert len(getattr(stored, name)) > 0
