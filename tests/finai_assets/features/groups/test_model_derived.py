"""Distances, acquisition posteriors and the reservoir on the panel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans

from finai_assets.features.block import Block, block_ranges, read_block
from finai_assets.features.fit import sample_rows
from finai_assets.features.groups import model_derived
from finai_assets.features.methods import scalars
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

CLASSES = [name for name, _ in model_derived.PRODUCT_CLASSES]


@pytest.fixture(scope="module")
def params(world: Any) -> Any:
    return world.states["model_derived"].params


@pytest.fixture(scope="module")
def train(world: Any) -> dict[Month, Block]:
    session = LakeSession(world.lake)
    return {
        month: read_block(session, month, int(ids[0]), int(ids[-1]), world.settings, customers=ids)
        for month, ids in sample_rows(session, world.settings).items()
    }


@pytest.fixture(scope="module")
def block(world: Any, month: Month) -> Block:
    session = LakeSession(world.lake)
    ranges = block_ranges(session, month, world.settings)
    return read_block(session, month, ranges[0][0], ranges[-1][1], world.settings)


@pytest.fixture(scope="module")
def found(world: Any, month: Month) -> pd.DataFrame:
    return world.lake.read("features/model_derived", month.key).to_pandas().set_index("customer_id")


def predictor(centres: np.ndarray) -> KMeans:
    """Return scikit-learn's k-means with given centres."""
    model = KMeans(len(centres), init=centres, n_init=1, max_iter=1).fit(centres)
    model.cluster_centers_ = np.ascontiguousarray(centres)
    return model


def test_stored_distances_equal_those_of_scikit_learn(
    world: Any, params: Any, block: Block, found: pd.DataFrame
) -> None:
    values = scalars.transform(block, params, world.settings)
    expected = predictor(params["centres"]).transform(values)
    np.testing.assert_allclose(found.filter(like="kmeans_distance"), expected, rtol=1e-6)


def test_centres_come_by_descending_size_and_are_the_means_of_their_rows(
    world: Any, params: Any, train: dict[Month, Block]
) -> None:
    values = np.concatenate([scalars.transform(b, params, world.settings) for b in train.values()])
    label = predictor(params["centres"]).predict(values)
    sizes = np.bincount(label, minlength=5)
    assert sizes.min() > 0
    assert (np.diff(sizes) <= 0).all()
    for k, centre in enumerate(params["centres"]):
        np.testing.assert_allclose(values[label == k].mean(axis=0), centre, atol=1e-9)


def test_counts_of_acquisitions_equal_a_count_by_hand(world: Any, params: Any, train: dict[Month, Block]) -> None:
    members = {
        name: {p for p, product in enumerate(world.settings.products) if product.product_class == name}
        for name in CLASSES
    }
    rows = []
    for month, block in train.items():
        now, before = (
            world.panel.snapshots[m].to_pandas().set_index("customer_id")["held"].map(set) for m in (month, month - 1)
        )
        cluster = predictor(params["centres"]).predict(scalars.transform(block, params, world.settings))
        for customer, k in zip(block.customer_id, cluster, strict=True):
            if customer in before.index:
                new = now[customer] - before[customer]
                rows.append({"cluster": k, **{name: bool(new & members[name]) for name in CLASSES}})
    frame = pd.DataFrame(rows).groupby("cluster")
    assert 0 < len(rows) < sum(map(len, train.values()))  # late joiners have no month before
    np.testing.assert_array_equal(params["acquired"], frame[CLASSES].sum().reindex(range(5), fill_value=0))
    expected = frame.size().reindex(range(5), fill_value=0)
    np.testing.assert_array_equal(params["observed"], np.repeat(expected.to_numpy()[:, None], 4, axis=1))


def test_the_stored_posterior_is_the_closed_form_of_the_nearest_cluster(params: Any, found: pd.DataFrame) -> None:
    distances = found.filter(like="kmeans_distance").to_numpy()
    cluster = distances.argmin(axis=1)
    for c, name in enumerate(CLASSES):
        expected = (1 + params["acquired"][cluster, c]) / (1 + 99 + params["observed"][cluster, c])
        np.testing.assert_allclose(found[f"acquisition_posterior_{name}"], expected, rtol=1e-6)
    assert len(np.unique(found["acquisition_posterior_card"])) == len(np.unique(cluster)) > 1


def test_without_observations_the_posterior_is_the_prior_and_with_many_it_is_the_rate() -> None:
    none = np.zeros((2, 4), int)
    np.testing.assert_allclose(model_derived.posterior_mean(none, none, 1, 99), 0.01)
    found = model_derived.posterior_mean(np.array([3, 300_000]), np.array([10, 1_000_000]), 1, 99)
    np.testing.assert_allclose(found, [4 / 110, 0.3], rtol=1e-3)


def test_a_class_without_products_and_a_panel_without_a_month_before_stay_at_the_prior(
    world: Any, train: dict[Month, Block]
) -> None:
    settings = world.settings.model_copy(
        update={
            "products": tuple(
                p.model_copy(update={"product_class": "account"}) if p.product_class == "loan" else p
                for p in world.settings.products
            )
        }
    )
    posterior = model_derived.fit(list(train.values()), settings)["posterior"]
    assert (posterior[:, CLASSES.index("loan")] == 0.01).all()
    assert (posterior[:, CLASSES.index("card")] != 0.01).all()
    first = [block.view(()) for block in train.values()]  # the snapshot month alone, and no event
    params = model_derived.fit(first, world.settings)
    assert (params["posterior"] == 0.01).all()
    assert params["amount_scale"].tolist() == [0.0, 1.0]


def test_the_scale_of_amounts_is_that_of_the_last_signed_logarithms(params: Any, train: dict[Month, Block]) -> None:
    logs = [
        np.sign(amount) * np.log1p(np.abs(amount))
        for block in train.values()
        for begin, end in zip(block.events.start[:-1], block.events.start[1:], strict=True)
        for amount in [block.events.amount[max(begin, end - 200) : end]]
    ]
    whole = np.concatenate(logs)
    np.testing.assert_allclose(params["amount_scale"], [whole.mean(), whole.std()], rtol=1e-9)


def test_customers_without_a_transaction_have_a_still_reservoir(block: Block, found: pd.DataFrame) -> None:
    idle = np.diff(block.events.start) == 0
    states = found.filter(like="liquid").to_numpy()
    assert idle.any()
    assert (states[idle] == 0).all()
    assert (np.abs(states[~idle]).max(axis=1) > 0).all()


def test_the_reservoir_reads_neither_who_the_customer_is_nor_what_is_held(
    world: Any, params: Any, block: Block
) -> None:
    columns = [c for c in model_derived.columns(world.settings) if c.name.startswith("liquid")]
    view = block.view(columns)
    assert not view.held.shape[1] > 1
    whole, cut = (model_derived.transform(b, params, world.settings)[:, -18:] for b in (block, view))
    np.testing.assert_array_equal(whole, cut)
