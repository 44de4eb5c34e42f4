"""The graph and the tree that experts are built on: what they are taken from, and how they are stored."""

from __future__ import annotations

import io

import numpy as np
import pytest

from finai_assets.features.catalogue import Catalogue
from finai_assets.teacher.structure import Structure
from finai_resources.errors import GateError

COLUMNS = ("age", "held_a", "held_b", "income", "held_c", "held_d")
HELD = ("held_a", "held_b", "held_c", "held_d")
AT = [1, 2, 4, 5]
TRAIN = slice(0, 60)
CATALOGUE = Catalogue(
    np.array([0, 0, 1, 1], np.int32),
    mcc=np.array([5411, 5812, 5999], np.int32),
    l2=np.array([3, 4, 4], np.int32),
    l1=np.array([1, 2, 2], np.int32),
)


@pytest.fixture
def rows():
    """Return X, customer and month: twenty customers in three months of train, then in one of validation."""
    random = np.random.default_rng(0)
    X = random.normal(size=(80, 6)).astype(np.float32)
    X[:, AT] = random.random((80, 4)) < 0.4
    X[:, 5] = 0  # nobody holds the last product
    X[45, AT] = 0  # one holds nothing at last
    return X, np.tile(np.arange(20), 4), np.repeat(["2014-11", "2014-12", "2015-01", "2015-05"], 20)


def fit(X, customer, month, *, rows=TRAIN, held=HELD):
    return Structure.fit(X, rows, customer=customer, month=month, columns=COLUMNS, held=held, catalogue=CATALOGUE)


def same(one, other):
    return one.to_bytes() == other.to_bytes()


def test_the_graph_equals_the_dense_formula_on_the_latest_train_rows(rows):
    X, customer, month = rows
    latest = X[40:60][:, AT].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        by_customer = np.nan_to_num(np.diag(latest.sum(1) ** -0.5), posinf=0)
        by_product = np.nan_to_num(np.diag(latest.sum(0) ** -0.5), posinf=0)
    adjacency = by_customer @ latest @ by_product
    found = fit(X, customer, month)
    np.testing.assert_array_equal(found.degree, latest.sum(0))
    np.testing.assert_allclose(found.graph, adjacency.T @ adjacency, atol=1e-12)
    assert found.graph[3].tolist() == found.graph[:, 3].tolist() == [0.0] * 4
    assert found.held == HELD


def test_rows_outside_train_change_nothing(rows):
    X, customer, month = rows
    other = X.copy()
    other[60:] = 1 - other[60:]
    assert same(fit(X, customer, month), fit(other, customer, month))


def test_rows_before_a_customer_s_latest_change_nothing_and_the_latest_do(rows):
    X, customer, month = rows
    earlier, latest = X.copy(), X.copy()
    earlier[:40, AT] = 1 - earlier[:40, AT]
    latest[41, AT] = 1 - latest[41, AT]
    assert same(fit(X, customer, month), fit(earlier, customer, month))
    assert not same(fit(X, customer, month), fit(latest, customer, month))


def test_a_customer_without_a_row_in_the_last_month_counts_with_an_earlier_one(rows):
    X, customer, month = (part[:59] for part in rows)  # customer 19 has no third month
    found = fit(X, customer, month, rows=slice(0, 59))
    np.testing.assert_array_equal(found.degree, X[[*range(40, 59), 39]][:, AT].sum(0))


def test_the_order_of_rows_and_where_train_lies_do_not_matter(rows):
    X, customer, month = rows
    order = np.concatenate([np.arange(60, 80), np.random.default_rng(1).permutation(60)])
    moved = fit(X[order], customer[order], month[order], rows=slice(20, 80))
    np.testing.assert_array_equal(moved.degree, fit(X, customer, month).degree)
    np.testing.assert_allclose(moved.graph, fit(X, customer, month).graph, atol=1e-15)


def test_the_rows_are_read_in_parts_without_changing_anything(rows, monkeypatch):
    whole = fit(*rows)
    monkeypatch.setattr("finai_assets.teacher.structure._CHUNK_ROWS", 7)
    assert same(whole, fit(*rows))


def test_a_memory_map_serves_as_well(rows, tmp_path):
    X, customer, month = rows
    np.save(tmp_path / "X.npy", X)
    assert same(fit(np.load(tmp_path / "X.npy", mmap_mode="r"), customer, month), fit(X, customer, month))


def test_the_tree_is_that_of_the_catalogue(rows):
    assert fit(*rows).tree.tolist() == [[5411, 5812, 5999], [3, 4, 4], [1, 2, 2]]
    assert fit(*rows).tree.dtype == np.int64


@pytest.mark.parametrize("which", ["fitted", "none"])
def test_the_bytes_hold_everything_and_no_pickle(rows, which):
    found = fit(*rows) if which == "fitted" else Structure.none()
    content = found.to_bytes()
    back = Structure.from_bytes(content)
    assert back.to_bytes() == content
    assert back.held == found.held
    for name in ("tree", "degree", "graph"):
        stored, given = getattr(back, name), getattr(found, name)
        assert stored.dtype == given.dtype
        np.testing.assert_array_equal(stored, given)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays.files)


def test_equal_structures_have_equal_bytes_whatever_their_memory(rows):
    found = fit(*rows)
    other = Structure(
        np.asfortranarray(found.tree), tuple(found.held), found.degree.copy(), np.asfortranarray(found.graph)
    )
    assert same(found, other)


def test_no_train_rows_and_strange_columns_are_refused(rows):
    X, customer, month = rows
    with pytest.raises(GateError, match="no train rows"):
        fit(X, customer, month, rows=slice(0, 0))
    with pytest.raises(GateError, match="held_z"):
        fit(X, customer, month, held=("held_a", "held_z"))
    spoilt = X.copy()
    spoilt[41, 1] = np.nan
    spoilt[42, 2] = 2
    with pytest.raises(GateError, match="2 values"):
        fit(spoilt, customer, month)


def test_a_data_set_without_categories_or_products_gives_the_empty_structure(rows):
    X, customer, month = rows
    found = Structure.fit(
        X, TRAIN, customer=customer, month=month, columns=COLUMNS, held=(), catalogue=Catalogue.none()
    )
    assert same(found, Structure.none())
