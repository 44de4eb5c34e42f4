from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit, logit, softmax

from finai_assets.scoring.calibration import EDGE, apply_calibrator, fit_calibration, fit_calibrator
from finai_assets.scoring.metrics import expected_calibration_error
from finai_assets.teacher.fitting.losses import TeacherTask
from finai_resources.errors import GateError
from serving_lambda import links


def test_logits_bent_as_focal_loss_bends_them_come_back_as_probabilities():
    random = np.random.default_rng(0)
    p = random.beta(0.5, 8, 20_000)
    label = (random.random(20_000) < p).astype(np.float32)
    bent = (0.4 * logit(np.clip(p, 1e-6, 1 - 1e-6)) + 1.7)[:, None]
    assert abs(expit(bent[:, 0]).mean() - label.mean()) > 0.3
    fitted = fit_calibration("churn", "binary", bent, label)
    assert fitted.slope == pytest.approx(2.5, rel=0.1)
    found = fitted.apply(bent)
    assert found.dtype == np.float32
    assert found.mean() == pytest.approx(label.mean(), abs=2e-3)
    bins = np.digitize(found, np.quantile(found, np.linspace(0, 1, 11)[1:-1]))
    for k in range(10):
        assert found[bins == k].mean() == pytest.approx(label[bins == k].mean(), abs=0.02)


def test_an_overconfident_multiclass_teacher_is_cooled():
    random = np.random.default_rng(1)
    true = random.normal(0, 1.5, (8000, 4))
    p = softmax(true, axis=1)
    label = (p.cumsum(1) < random.random((8000, 1))).sum(1).clip(0, 3).astype(np.float32)
    fitted = fit_calibration("nba", "multiclass", 3 * true, label)
    assert fitted.slope == pytest.approx(1 / 3, rel=0.1)
    np.testing.assert_allclose(fitted.apply(3 * true).sum(1), 1, rtol=1e-5)


def test_no_validation_positive_keeps_the_ranking_and_says_that_positives_are_rare():
    z = np.linspace(-2, 2, 200)[:, None]
    found = fit_calibration("churn", "binary", z, np.zeros(200)).apply(z)
    assert np.all(np.diff(found) > 0)
    assert found.mean() < 0.02


def test_a_reversed_ranking_on_few_positives_is_not_turned_round():
    z = np.linspace(-2, 2, 200)[:, None]
    label = np.zeros(200)
    label[:3] = 1
    found = fit_calibration("churn", "binary", z, label).apply(z)
    assert np.all(np.diff(found) >= 0)


def test_masked_rows_take_no_part():
    z = np.random.default_rng(0).normal(0, 1, (300, 1))
    label = (z[:, 0] > 0.3).astype(np.float32)
    label[::3] = np.nan
    known = np.isfinite(label)
    whole = fit_calibration("churn", "binary", z, label)
    assert whole == fit_calibration("churn", "binary", z[known], label[known])
    assert whole.rows == 200


def test_a_regression_that_says_too_little_of_a_long_tail_says_the_mean_again():
    random = np.random.default_rng(1)
    mean = random.exponential(1.0, 20_000)
    label = mean * random.exponential(1.0, 20_000)
    label[::4] = np.nan
    shy = 0.3 + 0.5 * mean[:, None]
    fitted = fit_calibration("trend", "regression", shy, label)
    assert fitted.slope == pytest.approx(2.0, rel=0.1)
    assert fitted.apply(shy)[np.isfinite(label)].mean() == pytest.approx(np.nanmean(label), rel=1e-5)
    right = fit_calibration("trend", "regression", mean[:, None], label)
    assert right.slope == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("label", [np.arange(50.0)[::-1], np.full(50, 2.5), np.full(50, np.nan)])
def test_a_regression_is_never_turned_round_or_made_a_constant(label):
    z = np.arange(50.0)[:, None]
    found = fit_calibration("trend", "regression", z, label).apply(z)
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_a_task_without_validation_labels_is_refused(kind):
    with pytest.raises(GateError, match="no validation labels"):
        fit_calibration("churn", kind, np.zeros((5, 3)), np.full(5, np.nan))


def test_task_defaults_are_neutral():
    task = TeacherTask("t", "binary", "g", 1, 1.0, None)
    assert (task.location, task.scale) == (0.0, 1.0)


def _biased(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return raw scores that are twice too sharp and too high, and their labels."""
    rng = np.random.default_rng(seed)
    true = rng.normal(-2, 1, n)
    return 2 * true + 1.5, (rng.random(n) < expit(true)).astype(float)


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_a_calibrator_reduces_the_calibration_error_on_rows_it_never_saw(method: str) -> None:
    raw, y = _biased(4000, 0)
    calibrator = fit_calibrator("binary", method, raw, y)
    new, truth = _biased(4000, 1)
    before = expected_calibration_error(truth, expit(new))
    after = expected_calibration_error(truth, apply_calibrator(new, "sigmoid", calibrator))
    assert before > 0.05
    assert after < 0.02


def test_a_temperature_reduces_the_log_loss_of_overconfident_classes_on_new_rows() -> None:
    rng = np.random.default_rng(0)
    score = rng.normal(size=(6000, 4))
    y = (softmax(score, axis=1).cumsum(axis=1) > rng.random((6000, 1))).argmax(axis=1)
    calibrator = fit_calibrator("multiclass", "isotonic", 3 * score[:3000], y[:3000].astype(float))
    assert calibrator["temperature"] == pytest.approx(3, rel=0.1)
    rows = np.arange(3000)
    losses = [
        -np.log(apply_calibrator(3 * score[3000:], "softmax", c)[rows, y[3000:]]).mean()
        for c in (calibrator, {"type": "none"})
    ]
    assert losses[0] < losses[1] - 0.1


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_calibration_keeps_the_order_of_predictions(method: str) -> None:
    raw, y = _biased(3000, 2)
    calibrated = apply_calibrator(np.sort(raw), "sigmoid", fit_calibrator("binary", method, raw, y))
    assert (np.diff(calibrated) >= 0).all()
    assert len(np.unique(calibrated)) > 0.95 * len(np.unique(raw))  # no stairs


def test_a_step_without_positives_is_not_calibrated_to_zero() -> None:
    raw = np.linspace(-4, 4, 400)
    y = (raw > 2).astype(float)
    calibrated = apply_calibrator(raw, "sigmoid", fit_calibrator("binary", "isotonic", raw, y))
    assert calibrated.min() > 1e-5
    assert calibrated.max() < 1


def test_there_is_nothing_to_calibrate_without_two_classes_or_for_a_value() -> None:
    raw = np.zeros(5)
    assert fit_calibrator("binary", "isotonic", raw, np.zeros(5)) == {"type": "none"}
    assert fit_calibrator("regression", "isotonic", raw, np.arange(5.0)) == {"type": "none"}
    assert fit_calibrator("binary", "none", raw, np.array([0, 1, 0, 1, 0.0])) == {"type": "none"}


@pytest.mark.parametrize("method", ["isotonic", "platt", "none"])
def test_the_deployed_scorer_computes_the_same_probability_from_the_stored_json(method: str) -> None:
    raw, y = _biased(1000, 3)
    calibrator = json.loads(json.dumps(fit_calibrator("binary", method, raw, y)))
    mine = apply_calibrator(raw, "sigmoid", calibrator)
    theirs = [links.calibrate(calibrator, links.sigmoid(float(value))) for value in raw]
    assert mine == pytest.approx(theirs, abs=1e-12)


def test_a_platt_slope_stays_positive_even_where_the_model_is_wrong_way_round() -> None:
    raw, y = _biased(500, 4)
    assert fit_calibrator("binary", "platt", -raw, y)["a"] > 0
    assert logit(EDGE) < -16
