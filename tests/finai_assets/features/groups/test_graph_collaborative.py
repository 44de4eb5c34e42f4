"""What the customer-product graph gives a customer, and how well it ranks products that were hidden from it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from finai_assets.features.block import Block, Events
from finai_assets.features.catalogue import Catalogue
from finai_assets.features.groups import graph_collaborative as group
from finai_assets.features.methods.lightgcn import train
from finai_assets.ingest.synthetic import generate
from finai_assets.settings import Settings, load_settings
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

CUSTOMERS = 1000
MONTH = Month.parse("2015-01")
PANEL = {
    "dataset": {
        "raw_months": ["2014-10", "2015-06"],
        "snapshot_months": ["2015-01", "2015-05"],
        "splits": {
            "train": ["2015-01", "2015-02"],
            "validation": ["2015-04", "2015-04"],
            "test": ["2015-05", "2015-05"],
        },
    },
    "generator": {"customers": CUSTOMERS, "block_customers": 500, "truth_draws": 2},
}


def block_of(ids: np.ndarray, held: np.ndarray, month: Month = MONTH) -> Block:
    """Return customers of whom nothing but the holdings is known."""
    held = held.astype(np.uint8)[:, None]
    observed = np.ones((len(ids), 1), np.bool_)
    return Block(month, ids, pa.table({"customer_id": ids}), held, observed, Events.none(len(ids)), Catalogue.none())


def random_block(seed: int, customers: int = 60, month: Month = MONTH) -> Block:
    rng = np.random.default_rng(seed)
    return block_of(10 * np.arange(customers), rng.random((customers, 24)) < 0.3, month)


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings("synthetic", "smoke", overrides={"feature_groups": {"graph_collaborative": {"steps": 10}}})


@pytest.fixture(scope="module")
def fitted(settings: Settings) -> dict[str, np.ndarray]:
    return group.fit([random_block(1)], settings)


def test_a_customer_is_a_node_with_its_latest_holdings() -> None:
    early, late = random_block(1, 8), random_block(2, 6, MONTH + 1)
    late = replace(late, customer_id=late.customer_id + 50)  # 50, 60 and 70 are in both months
    expected = np.concatenate([early.held[:5, 0], late.held[:, 0]])
    assert group.latest_holdings([early, late]).tolist() == expected.tolist()
    assert group.latest_holdings([late, early]).tolist() == expected.tolist()


def test_whoever_was_in_train_has_no_other_formula(settings: Settings, fitted: dict[str, np.ndarray]) -> None:
    known = random_block(1)
    new = replace(known, customer_id=known.customer_id + 10**9)
    assert group.transform(new, fitted, settings).tobytes() == group.transform(known, fitted, settings).tobytes()


def test_an_embedding_is_the_sum_over_held_products_by_the_root_of_their_number(
    settings: Settings, fitted: dict[str, np.ndarray]
) -> None:
    block = random_block(3)
    held = block.held[:, 0]
    expected = held @ fitted["inductive_table"] / np.sqrt(held.sum(axis=1))[:, None]
    np.testing.assert_allclose(group.transform(block, fitted, settings)[:, :64], expected, atol=1e-6)


def test_a_customers_values_do_not_depend_on_the_others(settings: Settings, fitted: dict[str, np.ndarray]) -> None:
    block = random_block(4)
    found = group.transform(block, fitted, settings)
    order = np.random.default_rng(0).permutation(len(block))
    assert group.transform(block.take(order), fitted, settings).tobytes("F") == found[order].tobytes("F")
    alone = [group.transform(block.take(np.array([k])), fitted, settings) for k in range(len(block))]
    assert np.concatenate(alone).tolist() == found.tolist()


def test_the_fit_does_not_depend_on_the_order_of_customers(settings: Settings, fitted: dict[str, np.ndarray]) -> None:
    block = random_block(1)
    order = np.random.default_rng(0).permutation(len(block))
    pieces = [block.take(order[:7]), block.take(order[7:])]
    again = group.fit(pieces, settings)
    assert {name: array.tobytes() for name, array in again.items()} == {n: a.tobytes() for n, a in fitted.items()}


def test_a_customer_without_product_is_at_the_origin(settings: Settings, fitted: dict[str, np.ndarray]) -> None:
    assert group.transform(block_of(np.array([5]), np.zeros((1, 24))), fitted, settings).tolist() == [[0.0] * 66]


def test_a_product_that_no_one_in_train_held_counts_as_held_but_is_no_node(settings: Settings) -> None:
    block = random_block(6)
    block.held[:, 0, 9] = 0
    params = group.fit([block], settings)
    held = np.zeros((3, 24))
    held[:, 2], held[1:, 9], held[2, 2] = 1, 1, 0
    with_known, with_both, with_unknown = group.transform(block_of(np.arange(3), held), params, settings)
    assert with_both[:64].tolist() == with_known[:64].tolist()
    assert set(with_unknown[:64].tolist()) == {0.0}
    assert [with_known[64], with_both[64], with_unknown[64]] == [1, 2, 1]
    assert with_both[65] == pytest.approx(with_known[65] / 2)
    assert with_unknown[65] == 0


@dataclass(frozen=True)
class Reference:
    """Customers of the synthetic generator with their latest holdings in train, in two halves by chance."""

    settings: Settings
    rows: dict[Month, pa.Table]
    ids: np.ndarray
    held: np.ndarray
    known: np.ndarray


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    settings = load_settings("synthetic", "smoke", overrides=PANEL)
    lake = Lake.on_disk(tmp_path_factory.mktemp("graph"))
    generate(
        settings, b"a key of the tests, 32 bytes long", LakeSession(lake), tasks=(), workers=2, code_version="test"
    )
    rows = {month: lake.read("source/snapshots", month.key) for month in settings.dataset.splits.train}
    latest = {
        c: h for month in sorted(rows) for c, h in rows[month].select(["customer_id", "held"]).to_pandas().to_numpy()
    }
    ids = np.array(sorted(latest), np.int64)
    held = np.zeros((len(ids), len(settings.products)), np.uint8)
    for row, customer in zip(held, ids.tolist(), strict=True):
        row[np.asarray(latest[customer], np.int64)] = 1
    return Reference(settings, rows, ids, held, np.random.default_rng(3).random(len(ids)) < 0.5)


@pytest.fixture(scope="module")
def params(reference: Reference) -> dict[str, np.ndarray]:
    """Return what the group learns from one half of the customers."""
    return group.fit([block_of(reference.ids[reference.known], reference.held[reference.known])], reference.settings)


def hide_one(held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return customers of two products or more who lack some, and which of theirs is hidden by chance."""
    rng = np.random.default_rng(4)
    customers = np.flatnonzero((held.sum(axis=1) >= 2) & (held.sum(axis=1) < held.shape[1]))
    return customers, np.array([rng.choice(np.flatnonzero(held[u])) for u in customers])


def areas(scores: np.ndarray, held: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Return for each customer the share of products not held that rank below the hidden one; ties count half."""
    own = scores[np.arange(len(hidden)), hidden][:, None]
    return ((own > scores) + 0.5 * (own == scores)).mean(axis=1, where=held == 0)


def test_hidden_products_of_unseen_customers_rank_above_those_not_held(
    reference: Reference, params: dict[str, np.ndarray]
) -> None:
    ids, held = reference.ids[~reference.known], reference.held[~reference.known]
    customers, hidden = hide_one(held)
    rest = held[customers].copy()
    rest[np.arange(len(hidden)), hidden] = 0
    embedding = group.transform(block_of(ids[customers], rest), params, reference.settings)[:, :64]
    found = areas(embedding @ params["product_embedding"].T, held[customers], hidden)
    popular = areas(np.broadcast_to(params["popularity"], rest.shape), held[customers], hidden)
    gain = found - popular
    print(f"AUC {found.mean():.3f}, by popularity {popular.mean():.3f}, {len(hidden)} customers, "  # noqa: T201 - shown with -s
          f"gain {gain.mean():.3f} +- {gain.std() / np.sqrt(len(gain)):.3f}")  # fmt: skip
    assert len(hidden) > 350
    assert found.mean() >= 0.7
    assert gain.mean() > 3 * gain.std() / np.sqrt(len(gain))


def test_popularity_is_what_duckdb_counts(reference: Reference) -> None:
    blocks = []
    for month, rows in reference.rows.items():
        held = np.zeros((rows.num_rows, 24))
        for row, products in zip(held, rows["held"].to_pylist(), strict=True):
            row[products] = 1
        blocks.append(block_of(rows["customer_id"].to_numpy(), held, month))
    options = load_settings("synthetic", "smoke", overrides={"feature_groups": {"graph_collaborative": {"steps": 1}}})
    params = group.fit(blocks, options)
    rows = pa.concat_tables(
        [table.select(["customer_id", "snapshot_month", "held"]) for table in reference.rows.values()]
    )
    counted = duckdb.sql(
        """
        with latest as (select customer_id, arg_max(held, snapshot_month) as held from rows group by customer_id)
        select product, count(*) / (select count(*) from latest) as share
        from (select unnest(held) as product from latest) group by product order by product
        """
    ).fetchall()
    assert [product for product, _ in counted] == list(range(24))
    np.testing.assert_allclose(params["popularity"], [share for _, share in counted], rtol=1e-12)
    last = blocks[-1]
    mean = [np.mean([counted[i][1] for i in np.flatnonzero(row)]) if row.any() else 0.0 for row in last.held[:, 0]]
    found = group.transform(last, params, options)
    np.testing.assert_allclose(found[:, 65], mean, rtol=1e-6)
    assert found[:, 64].tolist() == last.held[:, 0].sum(axis=1).tolist()


def test_the_inductive_embedding_is_close_to_the_one_of_the_trained_node(
    reference: Reference, params: dict[str, np.ndarray]
) -> None:
    held, ids = reference.held[reference.known], reference.ids[reference.known]
    options = reference.settings.feature_groups.graph_collaborative
    model, _ = train(held, options, reference.settings.seed)
    inductive = group.transform(block_of(ids, held), params, reference.settings)[:, :64]
    trained = model.customer_embedding
    correlation = [np.corrcoef(inductive[:, c], trained[:, c])[0, 1] for c in range(64)]
    print(f"correlation of a component: mean {np.mean(correlation):.3f}, lowest {np.min(correlation):.3f}")  # noqa: T201
    assert np.mean(correlation) > 0.8
    assert np.min(correlation) > 0.6


def test_the_embeddings_span_as_many_directions_as_there_are_products(
    reference: Reference, params: dict[str, np.ndarray]
) -> None:
    found = group.transform(block_of(reference.ids, reference.held), params, reference.settings)[:, :64].astype(float)
    spectrum = np.linalg.svd(found, compute_uv=False)
    assert (spectrum[:24] > 1e-4 * spectrum[0]).all()
    assert (spectrum[24:] < 1e-6 * spectrum[0]).all()
