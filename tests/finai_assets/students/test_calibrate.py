from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit, logit, softmax

from finai_assets.scoring.metrics import expected_calibration_error
from finai_assets.students.calibrate import EDGE, finish, fit_calibrator
from serving_lambda import scorer


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
    after = expected_calibration_error(truth, finish(new, "sigmoid", calibrator))
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
        -np.log(finish(3 * score[3000:], "softmax", c)[rows, y[3000:]]).mean() for c in (calibrator, {"type": "none"})
    ]
    assert losses[0] < losses[1] - 0.1


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_calibration_keeps_the_order_of_predictions(method: str) -> None:
    raw, y = _biased(3000, 2)
    calibrated = finish(np.sort(raw), "sigmoid", fit_calibrator("binary", method, raw, y))
    assert (np.diff(calibrated) >= 0).all()
    assert len(np.unique(calibrated)) > 0.95 * len(np.unique(raw))  # no stairs


def test_a_step_without_positives_is_not_calibrated_to_zero() -> None:
    raw = np.linspace(-4, 4, 400)
    y = (raw > 2).astype(float)
    calibrated = finish(raw, "sigmoid", fit_calibrator("binary", "isotonic", raw, y))
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
    mine = finish(raw, "sigmoid", calibrator)
    theirs = [scorer.calibrate(calibrator, scorer.sigmoid(float(value))) for value in raw]
    assert mine == pytest.approx(theirs, abs=1e-12)


def test_a_platt_slope_stays_positive_even_where_the_model_is_wrong_way_round() -> None:
    raw, y = _biased(500, 4)
    assert fit_calibrator("binary", "platt", -raw, y)["a"] > 0
    assert logit(EDGE) < -16
