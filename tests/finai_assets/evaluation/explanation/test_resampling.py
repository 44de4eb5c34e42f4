from __future__ import annotations

import numpy as np

from finai_assets.scoring.metrics import evaluate
from finai_assets.scoring.resampling import mean_interval


def test_the_interval_of_a_mean_is_that_of_the_same_metric(small):
    random = np.random.default_rng(0)
    customer, label, prediction = np.arange(200) // 3, random.normal(size=200), random.normal(size=200)
    label[::7] = np.nan
    metric = evaluate("regression", label, prediction, customer, settings=small.metrics, seed=3)["mae"]
    known = np.isfinite(label)
    found = mean_interval(np.abs(label - prediction)[known], customer[known], small.metrics, 3)
    np.testing.assert_allclose(
        [found.value, found.low, found.high], [metric.value, metric.low, metric.high], rtol=1e-12
    )


def test_what_is_not_known_has_no_interval(small):
    found = mean_interval(np.full(10, np.nan), np.arange(10), small.metrics, 1)
    assert found.plain() == {"value": None, "low": None, "high": None}


def test_rows_of_one_customer_are_drawn_together(small):
    values = np.repeat([0.0, 1.0], 100)
    alone = mean_interval(values, np.arange(200), small.metrics, 1)
    together = mean_interval(values, np.repeat([0, 1], 100), small.metrics, 1)
    assert alone.high - alone.low < 0.2
    assert (together.low, together.high) == (0.0, 1.0)
