from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit, softmax

from finai_assets.scoring.calibration_error import calibration_error
from finai_assets.scoring.metrics import Estimate, expected_calibration_error
from finai_assets.settings.method import MetricSettings

N = 3000
RNG = np.random.default_rng(5)
TRUE = expit(RNG.normal(-1, 1.5, N))
LABEL = np.where(RNG.random(N) < 0.1, np.nan, (RNG.random(N) < TRUE).astype(float))
CUSTOMER = np.arange(N) // 3
DRAWS = MetricSettings(bootstrap_samples=100, confidence=0.95)


def error(p: np.ndarray, label: np.ndarray = LABEL) -> Estimate:
    return calibration_error(label, p, CUSTOMER, settings=DRAWS, seed=1)


@pytest.mark.parametrize("p", [TRUE, np.full(N, 0.2), np.round(TRUE, 1), np.minimum(2 * TRUE, 1)])
def test_its_value_is_the_expected_calibration_error(p: np.ndarray) -> None:
    found = error(p)
    assert found.value == pytest.approx(expected_calibration_error(LABEL, p), abs=1e-12)
    assert found.n == int(np.isfinite(LABEL).sum())
    assert 0 <= found.low <= found.value <= found.high


def test_what_comes_true_has_a_small_error_and_what_is_sharpened_a_large_one_by_its_whole_interval() -> None:
    honest, sharp = error(TRUE), error(expit(3 * logit(TRUE)))
    assert honest.value < 0.03
    assert sharp.low > honest.high


def test_of_classes_the_likeliest_one_is_judged() -> None:
    classes = softmax(RNG.normal(0, 1, (N, 3)), axis=1)
    label = (classes.cumsum(axis=1) > RNG.random((N, 1))).argmax(axis=1).astype(float)
    hit = (classes.argmax(axis=1) == label).astype(float)
    assert error(classes, label).value == pytest.approx(expected_calibration_error(hit, classes.max(axis=1)))
    assert error(classes, label).value < 0.03
    assert error(classes**4 / (classes**4).sum(axis=1, keepdims=True), label).value > 0.1


def test_without_a_label_there_is_no_error_but_a_note() -> None:
    found = error(TRUE, np.full(N, np.nan))
    assert (found.n, found.defined, found.note) == (0, False, "no labelled rows")
