from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from finai_assets.scoring.resampling import percentile_interval
from studies.teacher.intervals import detectable, few_seeds, hierarchical, holm, paired_t


@pytest.mark.parametrize("count", [2, 3, 5, 12])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_interval_over_seeds_is_scipys_paired_t(count, confidence):
    random = np.random.default_rng(count)
    variant, reference = random.normal(0.3, 1, count), random.normal(0, 1, count)
    found = paired_t(variant - reference, confidence)
    expected = stats.ttest_rel(variant, reference)
    low, high = expected.confidence_interval(confidence)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)
    assert found.mean == pytest.approx((variant - reference).mean())


def test_one_seed_gives_a_mean_and_no_judgement():
    found = paired_t(np.array([0.2]), 0.95)
    assert found.mean == 0.2
    assert all(math.isnan(value) for value in (found.low, found.high, found.p, found.deviation))


def test_equal_differences_have_no_width():
    assert paired_t(np.zeros(5), 0.95).p == 1
    same = paired_t(np.full(4, 0.25), 0.95)
    assert (same.low, same.high, same.p) == (0.25, 0.25, 0)


def test_holm_rejects_as_the_sequential_procedure_does():
    p = {"a": 0.011, "b": 0.02, "c": 0.5, "d": 0.012, "e": 0.04}
    adjusted = holm(p)
    assert list(adjusted) == list(p)
    for level in (0.02, 0.05, 0.055, 0.1, 0.2):
        rejected = set()
        for rank, name in enumerate(sorted(p, key=p.__getitem__)):
            if p[name] > level / (len(p) - rank):
                break
            rejected.add(name)
        assert {name for name, value in adjusted.items() if value <= level} == rejected
    assert all(adjusted[name] >= p[name] for name in p)
    assert holm({"only": 0.03}) == {"only": 0.03}


@pytest.mark.parametrize(("count", "alpha"), [(5, 0.05), (5, 0.05 / 20), (3, 0.05), (10, 0.01)])
def test_the_smallest_difference_that_would_have_shown_is_shown_as_often_as_said(count, alpha):
    shift = detectable(2.0, count, alpha=alpha, power=0.8)
    random = np.random.default_rng(count)
    drawn = random.normal(shift, 2.0, (20_000, count))
    shown = stats.ttest_1samp(drawn, 0.0, axis=1).pvalue < alpha
    assert shown.mean() == pytest.approx(0.8, abs=0.012)


def test_the_smallest_difference_is_known_to_the_textbooks():
    # n = 5 pairs, two-sided 5 %, power 80 %: an effect of 1.68 standard deviations
    assert detectable(1.0, 5, alpha=0.05, power=0.8) == pytest.approx(1.682, abs=0.002)
    assert detectable(0.0, 5, alpha=0.05, power=0.8) == 0
    assert math.isnan(detectable(math.nan, 1, alpha=0.05, power=0.8))


def test_one_seed_has_the_spread_of_the_customers_alone():
    draws = np.random.default_rng(0).normal(0, 1, (3, 1, 50))
    np.testing.assert_array_equal(hierarchical(draws), draws[:, 0])


def test_seeds_are_resampled_alike_for_all_tasks():
    draws = np.random.default_rng(0).normal(0, 1, (1, 5, 200))
    both = hierarchical(np.concatenate([draws, 2 * draws]))
    np.testing.assert_allclose(both[1], 2 * both[0])


def test_the_interval_over_seeds_and_customers_covers_the_truth_as_often_as_said():
    """Differences with a part of the seed and a part of the customers; the truth is zero."""
    random = np.random.default_rng(1)
    covered, studies, seeds, customers, resamples = 0, 300, 5, 60, 200
    for _ in range(studies):
        seed = random.normal(0, 1.0, (seeds, 1))
        each = random.normal(0, 6.0, customers)  # of a customer, whatever the seed
        weights = random.multinomial(customers, np.full(customers, 1 / customers), resamples) / customers
        low, high = percentile_interval(hierarchical(seed + (weights @ each)[None]), 0.95)
        covered += low <= 0 <= high
    assert 0.91 <= covered / studies <= 0.995


def test_few_seeds_widen_the_more_the_fewer_they_are():
    assert few_seeds(2) > few_seeds(3) > few_seeds(5) > few_seeds(50) > 1
    assert few_seeds(5) == pytest.approx(math.sqrt(5 / 4) * stats.t.ppf(0.975, 4) / stats.norm.ppf(0.975))
