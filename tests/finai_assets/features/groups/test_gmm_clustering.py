"""The mixture's columns on the panel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.mixture import GaussianMixture

from finai_assets.features.block import Block, read_block
from finai_assets.features.fit import sample_rows
from finai_assets.features.groups import gmm_clustering
from finai_assets.features.methods import scalars
from finai_assets.settings import load_settings
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month


@pytest.fixture(scope="module")
def params(world: Any) -> Any:
    return world.states["gmm_clustering"].params


@pytest.fixture(scope="module")
def found(world: Any, month: Month) -> np.ndarray:
    table = world.lake.read("features/gmm_clustering", month.key).drop_columns(["customer_id"])
    return np.column_stack([column.to_numpy() for column in table.columns])


def test_stored_responsibilities_equal_those_of_scikit_learn_and_sum_to_one(
    world: Any, params: Any, block: Block, found: np.ndarray
) -> None:
    reference = GaussianMixture(20, covariance_type="full")
    reference.weights_, reference.means_, reference.covariances_ = (
        params[name] for name in ("weights", "means", "covariances")
    )
    reference.precisions_cholesky_ = np.stack([np.linalg.cholesky(np.linalg.inv(c)) for c in params["covariances"]])
    values = scalars.transform(block, params, world.settings)
    np.testing.assert_allclose(found[:, :20], reference.predict_proba(values), atol=1e-6)
    np.testing.assert_allclose(found[:, :20].sum(axis=1), 1, atol=1e-6)


def test_the_component_is_the_most_likely_one_and_the_entropy_is_in_nats(found: np.ndarray) -> None:
    shares = found[:, :20].astype(float)
    np.testing.assert_array_equal(found[:, 20], shares.argmax(axis=1))
    entropy = -np.sum(shares * np.log(np.where(shares > 0, shares, 1)), axis=1)
    np.testing.assert_allclose(found[:, 21], entropy, atol=1e-5)
    assert found[:, 21].max() <= np.log(20) + 1e-6


def test_components_come_by_descending_weight_and_none_is_dead(world: Any, params: Any) -> None:
    assert (np.diff(params["weights"]) <= 0).all()
    assert params["weights"].min() >= 0.005
    session = LakeSession(world.lake)
    shares = [
        gmm_clustering.transform(
            read_block(session, month, int(ids[0]), int(ids[-1]), world.settings, customers=ids), params, world.settings
        )[:, :20]
        for month, ids in sample_rows(session, world.settings).items()
    ]
    assert np.concatenate(shares).astype(float).mean(axis=0).min() >= 0.005 - 1e-7


def test_the_objective_of_the_fit_never_falls_but_at_a_re_seeding(params: Any) -> None:
    steps = np.diff(params["objectives"])
    assert len(steps) > 3
    assert steps[params["reseeded"][1:] == 0].min() > -1e-10


def test_idle_customers_have_a_distribution_too(block: Block, found: np.ndarray) -> None:
    idle = np.diff(block.events.start) == 0
    assert idle.any()
    assert np.isfinite(found[idle]).all()


def test_the_number_of_components_follows_the_configuration() -> None:
    settings = load_settings(
        "synthetic",
        "smoke",
        overrides={"feature_groups": {"gmm_clustering": {"components": 3}, "model_derived": {"centres": 2}}},
    )
    columns = gmm_clustering.columns(settings)
    assert len(columns) == 5
    assert columns[3].high == 2


def test_a_floor_of_weight_that_a_re_seeded_half_could_not_meet_is_refused(world: Any) -> None:
    chosen = world.settings.feature_groups.gmm_clustering
    with pytest.raises(ValidationError, match="min_weight may be at most"):
        type(chosen)(**{**chosen.model_dump(), "min_weight": 0.03})
