"""Curves: against scikit-learn where it has them, and what thinning and ties must leave as it is."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from finai_assets.evaluation.curves import (
    POINTS,
    deciles,
    precision_recall,
    recall_by_class,
    reliability,
    roc,
    wilson,
)


@pytest.fixture(scope="module")
def scored():
    random = np.random.default_rng(0)
    label = (random.random(5000) < 0.1).astype(float)
    score = np.round(0.3 * label + random.random(5000), 3)  # with ties
    return label, score


def area(points):
    x, y = np.array(points).T
    return float(np.trapezoid(y, x))


def test_a_thinned_roc_keeps_its_area_its_ends_and_lies_on_the_curve(scored):
    points = roc(*scored)
    assert len(points) <= POINTS
    assert points[0] == [0, 0]
    assert points[-1] == [1, 1]
    assert area(points) == pytest.approx(roc_auc_score(*scored), abs=1e-3)
    x, y, _ = roc_curve(*scored, drop_intermediate=False)
    for a, b in points:
        assert np.min(np.abs(x - a) + np.abs(y - b)) < 1e-5


def test_a_thinned_precision_recall_curve_lies_on_the_curve_and_keeps_its_area(scored):
    points = precision_recall(*scored)
    assert len(points) <= POINTS
    precision, recall, _ = precision_recall_curve(*scored)
    for a, b in points:
        assert np.min(np.abs(recall - a) + np.abs(precision - b)) < 1e-5
    assert points[-1][0] == 1
    assert area(points) == pytest.approx(average_precision_score(*scored), abs=0.01)


def test_a_constant_score_is_the_diagonal_and_one_point_at_the_prevalence():
    label, same = np.array([0.0, 0, 0, 1]), np.full(4, 0.3)
    assert roc(label, same) == [[0, 0], [1, 1]]
    assert precision_recall(label, same) == [[1, 0.25]]


def test_the_order_of_rows_does_not_matter(scored):
    at = np.random.default_rng(1).permutation(len(scored[0]))
    shuffled = [values[at] for values in scored]
    assert roc(*shuffled) == roc(*scored)
    assert precision_recall(*shuffled) == precision_recall(*scored)
    assert reliability(*shuffled, 0.95) == reliability(*scored, 0.95)


def test_reliability_bins_hold_every_row_once_and_cover_a_calibrated_forecast():
    random = np.random.default_rng(2)
    p = random.random(20_000)
    bins = reliability((random.random(20_000) < p).astype(float), p, 0.999)
    assert len(bins) == 10
    assert sum(found["n"] for found in bins) == 20_000
    assert all(found["low"] <= found["predicted"] <= found["high"] for found in bins)
    assert [found["predicted"] for found in bins] == sorted(found["predicted"] for found in bins)


def test_a_constant_forecast_is_one_bin():
    (only,) = reliability(np.array([0.0, 1, 0, 0]), np.full(4, 0.25), 0.95)
    assert (only["n"], only["predicted"], only["observed"]) == (4, 0.25, 0.25)


def test_wilson_s_interval_is_the_published_one_and_stays_within_zero_and_one():
    # Newcombe, Two-sided confidence intervals for the single proportion (Statistics in Medicine 17, 1998), table I, method 3
    assert wilson(81, 263, 0.95) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148, 0.95) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20, 0.95) == pytest.approx((0, 0.1611), abs=5e-5)
    assert wilson(1, 29, 0.95) == pytest.approx((0.0061, 0.1718), abs=5e-5)
    assert wilson(29, 29, 0.95)[1] == 1


def test_deciles_of_a_value_hold_every_row_and_a_single_row_has_no_interval():
    random = np.random.default_rng(3)
    truth = random.normal(size=1000)
    bins = deciles(truth + random.normal(0, 0.1, 1000), truth, 0.99)
    assert sum(found["n"] for found in bins) == 1000
    for found in bins:
        assert found["observed"] == pytest.approx(found["predicted"], abs=0.05)
        assert found["low"] < found["observed"] < found["high"]
    alone = deciles(np.array([1.0, 2.0]), np.array([0.0, 1.0]), 0.95)
    assert [found["low"] for found in alone] == [None, None]


def test_recall_is_told_for_classes_that_occur():
    found = recall_by_class(np.array([0.0, 0, 2, 2, 2, 2]), np.array([0, 1, 2, 2, 2, 0]), 4, 0.95)
    assert [(row["class"], row["n"], row["recall"]) for row in found] == [(0, 2, 0.5), (2, 4, 0.75)]
