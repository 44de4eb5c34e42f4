"""Lift shares: the figure, its interval, and the mean over tasks on common resamples."""

from __future__ import annotations

import numpy as np
import pytest

from finai_assets.evaluation.lift import lift_samples, over_tasks
from finai_assets.scoring.metrics import evaluate
from finai_assets.training.matrix import MatrixTask

BINARY = MatrixTask("churn_signal", "binary", 1, (), 1.0, None, "lifecycle")
REAL = MatrixTask("product_stability", "regression", 1, (), 1.0, None, "lifecycle")


@pytest.fixture(scope="module")
def rows():
    """Two rows for each of 600 customers, with a truth, a good and a poor forecast."""
    random = np.random.default_rng(0)
    customer = np.repeat(np.arange(600), 2)
    state = random.normal(size=1200)
    truth = 1 / (1 + np.exp(-2 * state))
    label = (random.random(1200) < truth).astype(float)
    good = 1 / (1 + np.exp(-(state + random.normal(0, 0.5, 1200))))
    poor = 1 / (1 + np.exp(-(state + random.normal(0, 3, 1200))))
    return (
        customer,
        label,
        {"ceiling": truth, "teacher": good, "lightgbm_all": poor, "prior": np.full(1200, label.mean())},
    )


@pytest.fixture(scope="module")
def settings(small):
    return small.metrics.model_copy(update={"bootstrap_samples": 300})


def samples(rows, settings, task=BINARY, **other):
    customer, label, predictions = rows
    return lift_samples(task, label, {**predictions, **other}, customer, trivial="prior", settings=settings, seed=1)


def test_the_share_is_the_way_from_trivial_to_ceiling(rows, settings):
    customer, label, predictions = rows
    auc = {
        name: evaluate("binary", label, value, customer, settings=settings, seed=1)["auc"].value
        for name, value in predictions.items()
    }
    found = samples(rows, settings)
    assert set(found) == {"teacher", "lightgbm_all"}
    assert found["teacher"][0] == pytest.approx((auc["teacher"] - 0.5) / (auc["ceiling"] - 0.5))
    assert found["teacher"].shape == (301,)


def test_the_truth_itself_has_share_one_in_every_resample(rows, settings):
    found = samples(rows, settings, teacher=rows[2]["ceiling"])
    np.testing.assert_allclose(found["teacher"], 1)


def test_where_less_is_better_the_share_has_the_same_sense(rows, settings):
    customer, label, predictions = rows
    two = {name: np.column_stack([1 - value, value]) for name, value in predictions.items()}
    task = MatrixTask("segment_prediction", "multiclass", 2, ("a", "b"), 1.0, None, "lifecycle")
    found = lift_samples(task, label, two, customer, trivial="prior", settings=settings, seed=1)
    assert found["lightgbm_all"][0] < found["teacher"][0] < 1


def test_rows_without_a_truth_take_no_part_for_any_model(rows, settings):
    customer, _, predictions = rows
    half = np.where(customer % 2 == 0, predictions["ceiling"], np.nan)
    spoilt = np.where(customer % 2 == 0, predictions["teacher"], 1 - predictions["teacher"])
    one = samples(rows, settings, ceiling=half)
    two = samples(rows, settings, ceiling=half, teacher=spoilt)
    np.testing.assert_array_equal(one["teacher"], two["teacher"])


def test_the_mean_over_tasks_pairs_resamples_of_customers(rows, settings):
    shares = {"a": samples(rows, settings), "b": samples(rows, settings)}
    found = over_tasks(shares, ("teacher", "lightgbm_all"), settings)
    one = over_tasks({"a": shares["a"]}, ("teacher", "lightgbm_all"), settings)
    assert found["lift_share"]["teacher"]["tasks"] == 2
    # the same task twice is no more evidence: resampled together, the interval stays as wide
    for key in ("mean", "low", "high"):
        assert found["lift_share"]["teacher"][key] == pytest.approx(one["lift_share"]["teacher"][key])
    minus = found["teacher_minus"]["lightgbm_all"]
    mean = {name: value["mean"] for name, value in found["lift_share"].items()}
    assert minus["value"] == pytest.approx(mean["teacher"] - mean["lightgbm_all"])
    assert minus["verdict"] == "better"
    assert 0 < minus["low"] <= minus["value"] <= minus["high"]


def test_a_model_that_lacks_a_task_has_no_mean(rows, settings):
    shares = {"a": samples(rows, settings), "b": samples(rows, settings)}
    del shares["b"]["lightgbm_all"]
    found = over_tasks(shares, ("teacher", "lightgbm_all"), settings)
    assert set(found["lift_share"]) == {"teacher"}
    assert found["teacher_minus"] == {}


def test_a_ceiling_below_the_trivial_gives_nothing(rows, settings):
    found = samples(rows, settings, ceiling=np.full(1200, 0.5))
    assert np.isnan(found["teacher"][0])
    assert over_tasks({"a": found}, ("teacher",), settings) == {"lift_share": {}, "teacher_minus": {}}


def test_the_interval_covers_as_often_as_it_says(small):
    """Of 60 worlds, the 90 % interval of a share holds the share of a very large world in most."""
    chosen = small.metrics.model_copy(update={"bootstrap_samples": 200, "confidence": 0.9})

    def world(seed, customers, settings=chosen):
        random = np.random.default_rng(seed)
        state = random.normal(size=customers)
        label = state + random.normal(size=customers)
        predictions = {
            "ceiling": state,
            "teacher": 0.7 * (state + random.normal(0, 0.6, customers)),
            "prior": np.zeros(customers),
        }
        return lift_samples(
            REAL, label, predictions, np.arange(customers), trivial="prior", settings=settings, seed=seed
        )["teacher"]

    true = world(1000, 400_000, chosen.model_copy(update={"bootstrap_samples": 1}))[0]
    hits = 0
    for seed in range(60):
        low, high = np.quantile(world(seed, 400)[1:], [0.05, 0.95])
        hits += low <= true <= high
    assert 46 <= hits <= 60, hits  # 54 expected; 46 is 3.4 standard deviations below
