from __future__ import annotations

import math

import numpy as np
import pytest

from finai_assets.scoring import resampling
from finai_assets.scoring.metrics import evaluate
from finai_assets.scoring.resampling import Interval, all_copies, draw_copies, mean_interval, percentile_interval
from finai_assets.settings.method import MetricSettings

SETTINGS = MetricSettings(bootstrap_samples=200, confidence=0.95)


def test_a_resample_has_as_many_customers_as_there_are_and_the_first_has_each_once():
    copies = all_copies(30, 500, 3)
    assert copies.shape == (501, 30)
    np.testing.assert_array_equal(copies.sum(axis=1), 30)
    np.testing.assert_array_equal(copies[0], 1)
    assert copies[1:].std() == pytest.approx(math.sqrt(29 / 30), abs=0.02)  # multinomial: drawn with replacement


def test_chunks_of_any_size_hold_the_same_resamples(monkeypatch):
    whole = all_copies(40, 25, [7, 40])
    monkeypatch.setattr(resampling, "_COPIES_AT_ONCE", 400)
    chunks = list(draw_copies(40, 25, [7, 40]))
    assert [len(chunk) for chunk in chunks] == [1, 10, 10, 5]
    np.testing.assert_array_equal(np.concatenate(chunks), whole)
    assert not np.array_equal(whole, all_copies(40, 25, [8, 40]))


def test_draws_that_are_not_defined_take_no_part_in_the_percentiles():
    draws = np.array([np.nan, 1.0, 1.0])
    assert percentile_interval(draws, 0.95) == (1.0, 1.0)
    assert percentile_interval(np.arange(101.0), 0.9) == pytest.approx((5.0, 95.0))
    assert all(math.isnan(value) for value in percentile_interval(np.full(3, np.nan), 0.95, least=0.0))


def test_most_resamples_must_have_the_figure_unless_fewer_are_asked_for():
    draws = np.array([1.0, 2.0, np.nan, np.nan, np.nan])
    assert all(math.isnan(value) for value in percentile_interval(draws, 0.95))
    assert percentile_interval(draws, 0.95, least=0.4) == pytest.approx((1.025, 1.975))


def test_a_figure_that_is_not_defined_has_no_interval_even_where_resamples_have_one():
    found = Interval.of(np.array([np.nan, 1.0, 2.0, 3.0]), 0.95)
    assert found.plain() == {"value": None, "low": None, "high": None}


def test_the_interval_of_a_mean_is_that_of_the_same_metric():
    random = np.random.default_rng(0)
    customer, label, prediction = np.arange(200) // 3, random.normal(size=200), random.normal(size=200)
    label[::7] = np.nan
    metric = evaluate("regression", label, prediction, customer, settings=SETTINGS, seed=3)["mae"]
    known = np.isfinite(label)
    found = mean_interval(np.abs(label - prediction)[known], customer[known], SETTINGS, 3)
    np.testing.assert_allclose(
        [found.value, found.low, found.high], [metric.value, metric.low, metric.high], rtol=1e-12
    )


def test_what_is_not_known_has_no_interval():
    found = mean_interval(np.full(10, np.nan), np.arange(10), SETTINGS, 1)
    assert found.plain() == {"value": None, "low": None, "high": None}


def test_rows_of_one_customer_are_drawn_together():
    values = np.repeat([0.0, 1.0], 100)
    alone = mean_interval(values, np.arange(200), SETTINGS, 1)
    together = mean_interval(values, np.repeat([0, 1], 100), SETTINGS, 1)
    assert alone.high - alone.low < 0.2
    assert (together.low, together.high) == (0.0, 1.0)
