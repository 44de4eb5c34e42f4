from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn import metrics as reference

from finai_assets.scoring.metrics import (
    NAMES,
    PRIMARY,
    Estimate,
    _Rows,
    evaluate,
    expected_calibration_error,
    paired_difference,
    resampled,
    scores_under,
    verdict,
)
from finai_assets.scoring.resampling import all_copies
from finai_assets.settings.method import MetricSettings
from finai_resources.errors import GateError

FEW = MetricSettings(bootstrap_samples=40, confidence=0.95)
MANY = MetricSettings(bootstrap_samples=200, confidence=0.95)


def _score(kind: str, label: object, prediction: object, *, classes: int = 1) -> dict[str, Estimate]:
    label = np.asarray(label, dtype=np.float64)
    prediction = np.asarray(prediction, dtype=np.float64)
    return evaluate(kind, label, prediction, np.arange(len(label)), classes=classes, settings=FEW, seed=3)


# Few distinct scores, so that ties abound.
TIED = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=4, max_size=60)


@given(TIED)
@hypothesis_settings(max_examples=80, deadline=None)
def test_binary_metrics_equal_the_reference_with_ties(rows: list[tuple[bool, int]]) -> None:
    y = np.array([row[0] for row in rows], dtype=float)
    p = np.array([row[1] for row in rows]) / 6 + 0.01
    found = _score("binary", y, p)
    if y.min() == y.max():
        assert not found["auc"].defined
        assert f"{int(y.sum())} positives" in found["auc"].note
        return
    assert found["auc"].value == pytest.approx(reference.roc_auc_score(y, p), abs=1e-12)
    assert found["average_precision"].value == pytest.approx(reference.average_precision_score(y, p), abs=1e-12)
    assert found["log_loss"].value == pytest.approx(reference.log_loss(y, p), abs=1e-9)
    assert found["brier"].value == pytest.approx(reference.brier_score_loss(y, p), abs=1e-12)
    assert found["prevalence"].value == pytest.approx(y.mean())


def test_multiclass_metrics_equal_the_reference() -> None:
    rng = np.random.default_rng(5)
    p = rng.dirichlet(np.ones(6), 500)
    y = np.array([rng.choice(6, p=row) for row in p])
    y[y == 4] = 3  # a class that is predicted and never happens
    found = _score("multiclass", y, p, classes=6)
    assert found["log_loss"].value == pytest.approx(reference.log_loss(y, p, labels=range(6)), abs=1e-9)
    assert found["accuracy"].value == pytest.approx(reference.accuracy_score(y, p.argmax(axis=1)))
    assert found["macro_f1"].value == pytest.approx(
        reference.f1_score(y, p.argmax(axis=1), average="macro", zero_division=0)
    )
    each = [reference.roc_auc_score(y == k, p[:, k]) for k in (0, 1, 2, 3, 5)]
    assert found["auc_ovr"].value == pytest.approx(np.mean(each), abs=1e-12)


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=5, max_size=50))
@hypothesis_settings(max_examples=60, deadline=None)
def test_regression_metrics_equal_the_reference_with_ties(rows: list[tuple[int, int]]) -> None:
    y, p = np.array(rows, dtype=float).T
    found = _score("regression", y, p)
    assert found["mae"].value == pytest.approx(np.abs(y - p).mean())
    assert found["rmse"].value == pytest.approx(np.sqrt(((y - p) ** 2).mean()))
    if np.ptp(y) == 0:
        assert "label is constant" in found["r2"].note
        return
    assert found["r2"].value == pytest.approx(reference.r2_score(y, p), abs=1e-9)
    if np.ptp(p) == 0:
        assert "prediction is constant" in found["spearman"].note
    else:
        assert found["spearman"].value == pytest.approx(spearmanr(y, p).statistic, abs=1e-9)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_a_weighted_metric_equals_the_metric_of_rows_written_out_as_often(kind: str) -> None:
    rng = np.random.default_rng(11)
    n, classes = 120, 3
    y = rng.integers(0, 2 if kind == "binary" else 3, n).astype(float)
    p = rng.dirichlet(np.ones(3), n) if kind == "multiclass" else rng.integers(0, 20, n) / 20
    customer = rng.integers(0, 40, n)
    rows = _Rows.of(kind, y, p, customer, classes)
    for sample in all_copies(rows.units, 3, 0)[1:]:
        repeat = np.repeat(np.arange(n), sample[rows.unit].astype(int))
        written = _Rows.of(kind, y[repeat], p[repeat], np.arange(len(repeat)), classes)
        for name in NAMES[kind]:
            weighted = rows.scorer(name)(sample[None])[0]
            assert weighted == pytest.approx(written.scorer(name)(np.ones((1, len(repeat))))[0], abs=1e-9), name


def test_masked_rows_take_part_in_nothing() -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 200).astype(float)
    p = rng.random(200)
    masked = np.concatenate([y, np.full(50, np.nan)])
    beside = np.concatenate([p, np.full(50, np.nan)])  # what is predicted there is not even looked at
    assert _score("binary", masked, beside) == _score("binary", y, p)


def test_no_labelled_rows_and_one_class_have_no_value_and_say_why() -> None:
    nothing = _score("binary", [np.nan, np.nan], [0.1, 0.2])
    assert nothing["auc"].n == 0
    assert nothing["auc"].note == "no labelled rows"
    one = _score("multiclass", [1, 1, 1], np.full((3, 2), 0.5), classes=2)
    assert all(not estimate.defined and "1 class among 3 rows" in estimate.note for estimate in one.values())


def test_a_single_positive_customer_gets_a_value_without_an_interval_only_if_most_resamples_lose_it() -> None:
    y = np.zeros(50)
    y[7] = 1
    found = _score("binary", y, np.linspace(0, 1, 50))["auc"]
    assert found.defined
    assert found.note == "" or np.isnan(found.low)


def test_intervals_cover_the_truth_about_as_often_as_they_promise() -> None:
    rng = np.random.default_rng(23)
    covered = 0
    for seed in range(120):
        effect = np.repeat(rng.normal(0, 1, 150), 2)  # two rows of one customer resemble each other
        y = effect + rng.normal(0, 1, 300)
        mae = evaluate("regression", y, np.zeros(300), np.repeat(np.arange(150), 2), settings=MANY, seed=seed)["mae"]
        covered += mae.low <= np.sqrt(2) * np.sqrt(2 / np.pi) <= mae.high
    assert 0.88 <= covered / 120 <= 1.0


def test_resampling_customers_gives_wider_intervals_than_rows_where_their_rows_are_alike() -> None:
    rng = np.random.default_rng(2)
    y = np.repeat(rng.normal(size=100), 6)
    p = np.zeros(600)
    clustered = evaluate("regression", y, p, np.repeat(np.arange(100), 6), settings=MANY, seed=1)["mae"]
    naive = evaluate("regression", y, p, np.arange(600), settings=MANY, seed=1)["mae"]
    assert clustered.high - clustered.low > 1.8 * (naive.high - naive.low)


def test_the_same_seed_gives_the_same_estimates_and_another_seed_another_interval() -> None:
    rng = np.random.default_rng(3)
    y, p = rng.integers(0, 2, 300).astype(float), rng.random(300)
    assert _score("binary", y, p) == _score("binary", y, p)
    other = evaluate("binary", y, p, np.arange(300), settings=FEW, seed=4)
    assert other["auc"].value == _score("binary", y, p)["auc"].value
    assert other["auc"].low != _score("binary", y, p)["auc"].low


def test_a_paired_difference_sees_what_separate_intervals_hide() -> None:
    rng = np.random.default_rng(9)
    truth = rng.normal(size=800)
    y = truth + rng.normal(size=800)
    a, b = truth, truth * 0.7
    options = {"settings": MANY, "seed": 0}
    better = paired_difference("regression", y, a, b, np.arange(800), **options)
    same = paired_difference("regression", y, a, a, np.arange(800), **options)
    apart = [evaluate("regression", y, side, np.arange(800), **options)["r2"] for side in (a, b)]
    assert apart[0].low < apart[1].high  # taken one by one, the two overlap
    assert verdict(better, "r2") == "better"
    assert verdict(paired_difference("regression", y, b, a, np.arange(800), **options), "r2") == "worse"
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert verdict(same, "r2") == "unclear"


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_resampled_values_are_those_that_an_interval_is_made_of(kind: str) -> None:
    random = np.random.default_rng(4)
    customer = np.sort(random.integers(0, 300, 900)) * 7
    label = random.integers(0, 2 if kind == "binary" else 3, 900).astype(float)
    label[random.random(900) < 0.1] = np.nan
    prediction = random.dirichlet(np.ones(3), 900) if kind == "multiclass" else random.random(900)
    chosen = MetricSettings(bootstrap_samples=100, confidence=0.9)
    known = np.unique(customer[np.isfinite(label)])
    drawn = resampled(kind, label, prediction, customer, among=known, classes=3, settings=chosen, seed=3)
    found = evaluate(kind, label, prediction, customer, classes=3, settings=chosen, seed=3)[PRIMARY[kind]]
    assert drawn.shape == (101,)
    assert (drawn[0], *np.quantile(drawn[1:], [0.05, 0.95])) == pytest.approx((found.value, found.low, found.high))


def test_customers_without_a_label_are_drawn_too_and_move_no_value() -> None:
    customer, label, prediction = np.arange(100), np.tile([0.0, 1.0], 50), np.linspace(0, 1, 100)
    chosen = MetricSettings(bootstrap_samples=50, confidence=0.9)
    among = np.arange(-20, 140)
    drawn = resampled("binary", label, prediction, customer, among=among, settings=chosen, seed=3)
    masked = np.where(customer < 60, label, np.nan)
    fewer = resampled("binary", masked, prediction, customer, among=among, settings=chosen, seed=3)
    alone = resampled("binary", label[:60], prediction[:60], customer[:60], among=among, settings=chosen, seed=3)
    np.testing.assert_array_equal(fewer, alone)
    assert drawn[0] == evaluate("binary", label, prediction, customer, settings=chosen, seed=3)["auc"].value
    assert np.isnan(resampled("binary", np.ones(100), prediction, customer, among=among, settings=chosen, seed=3)).all()


def test_of_a_loss_the_smaller_one_is_better() -> None:
    assert verdict(Estimate(-0.2, -0.3, -0.1, 9), PRIMARY["multiclass"]) == "better"
    assert verdict(Estimate(0.2, 0.1, 0.3, 9), "log_loss") == "worse"
    assert verdict(Estimate(float("nan"), float("nan"), float("nan"), 0), "auc") == "unclear"


@pytest.mark.parametrize(
    ("kind", "label", "prediction", "words"),
    [
        ("binary", [0, 1], [0.5, np.nan], "1 predictions are not finite"),
        ("binary", [0, 1], [0.5, 1.7], "pass probabilities"),
        ("binary", [0, 2], [0.5, 0.5], "outside 0..1"),
        ("binary", [0, 1, 1], [0.5, 0.5], "do not belong together"),
        ("multiclass", [0, 1], [[0.5, 0.1], [0.5, 0.5]], "miss 1 by up to 0.4"),
    ],
)
def test_impossible_input_is_refused(kind: str, label: list[float], prediction: list[float], words: str) -> None:
    with pytest.raises(GateError, match=words):
        _score(kind, label, prediction, classes=2)


def test_calibration_error_is_zero_for_true_frequencies_and_the_bias_otherwise() -> None:
    y = np.tile([0.0, 0, 0, 1], 100)
    assert expected_calibration_error(y, np.full(400, 0.25)) == pytest.approx(0)
    assert expected_calibration_error(y, np.full(400, 0.45)) == pytest.approx(0.2)
    rng = np.random.default_rng(0)
    p = rng.random(20000)
    assert expected_calibration_error((rng.random(20000) < p).astype(float), p) < 0.02
    assert np.isnan(expected_calibration_error(np.array([np.nan]), np.array([0.5])))


def test_eight_thousand_rows_of_fifty_classes_take_less_than_a_few_seconds() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(50), 8000)
    y = rng.integers(0, 50, 8000).astype(float)
    customer = np.repeat(np.arange(4000), 2)
    evaluate("multiclass", y, p, customer, classes=50, settings=FEW, seed=0)  # compiles
    begin = time.process_time()
    evaluate("multiclass", y, p, customer, classes=50, settings=MANY, seed=0)
    assert time.process_time() - begin < 5  # 0.3 s on an idle core; the rest is for a busy machine


def test_scores_under_given_resamples_are_those_that_resampling_draws() -> None:
    random = np.random.default_rng(8)
    customer, label, prediction = np.arange(90) // 2, random.integers(0, 2, 90).astype(float), random.random(90)
    label[customer < 5] = np.nan  # customers without any label are drawn too
    chosen = MetricSettings(bootstrap_samples=30, confidence=0.9)
    drawn = resampled("binary", label, prediction, customer, among=np.arange(45), settings=chosen, seed=3)
    np.testing.assert_array_equal(scores_under("binary", label, prediction, customer, all_copies(45, 30, 3)), drawn)
    nothing = np.full(90, np.nan)
    assert np.isnan(scores_under("binary", nothing, prediction, customer, all_copies(45, 2, 3))).all()
