"""Golden rows: inputs with the predictions that serving must reproduce, computed without any of serving's code.

The reference here is lightgbm's own package and numpy, after ``docs/student-format.md``; serving calls LightGBM's C library and
plain Python. That both agree to 1e-6 is checked at build, at load and in the batch job.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightgbm as lgb
import numpy as np

from finai_assets.students.card import StudentCard
from finai_resources.json_text import plain

_EDGE = 1e-7


def reference_prediction(card: StudentCard, model: bytes, X: np.ndarray) -> np.ndarray:
    """Return a student's finished predictions.

    Parameters
    ----------
    model
        ``model.txt``.
    X : float32 [n, columns of the student]

    Returns
    -------
    float64 [n, outputs]
    """
    booster = lgb.Booster(model_str=model.decode())
    raw = np.asarray(booster.predict(X, raw_score=True, num_threads=1), dtype=np.float64).reshape(len(X), -1)
    raw = raw + np.asarray(card.init_score, dtype=np.float64)
    calibrator = card.calibrator
    if calibrator["type"] == "temperature":
        raw = raw / calibrator["temperature"]
    if card.output_transform == "softmax":
        powers = np.exp(raw - raw.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)
    if card.output_transform == "identity":
        return raw
    probability = 1.0 / (1.0 + np.exp(-raw))
    if calibrator["type"] == "isotonic":
        return np.interp(probability, calibrator["x"], calibrator["y"])
    if calibrator["type"] == "platt":
        bounded = np.clip(probability, _EDGE, 1.0 - _EDGE)
        return 1.0 / (1.0 + np.exp(-(calibrator["a"] * np.log(bounded / (1.0 - bounded)) + calibrator["b"])))
    return probability


def golden_content(
    cards: Mapping[str, StudentCard],
    models: Mapping[str, bytes],
    rows: np.ndarray,
    columns: tuple[str, ...],
) -> dict[str, Any]:
    """Return the golden rows as JSON values: ``rows`` [n][columns] (null for NaN) and ``expected`` per task [n][outputs]."""
    place = {name: index for index, name in enumerate(columns)}
    expected = {}
    for task, model in models.items():
        chosen = np.ascontiguousarray(rows[:, [place[name] for name in cards[task].columns]], dtype=np.float32)
        expected[task] = reference_prediction(cards[task], model, chosen).tolist()
    return {
        "columns": list(columns),
        "rows": plain(rows),
        "expected": expected,
    }
