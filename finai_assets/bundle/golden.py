"""Golden rows: inputs with the predictions that serving must reproduce, computed without any of serving's code.

The reference here is lightgbm's own package and numpy, after ``docs/student-format.md``; serving calls LightGBM's C library and
plain Python. That both agree to 1e-6 is checked at build, at load and in the batch job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from finai_assets.bundle.choice import ChoiceLayers
from finai_assets.students.card import DirectCard, StudentCard
from finai_resources.json_text import plain

_EDGE = 1e-7


def reference_prediction(card: StudentCard | DirectCard, model: bytes, X: np.ndarray) -> np.ndarray:
    """Return a student's finished predictions.

    Parameters
    ----------
    model
        ``model.txt``, or ``direct.txt``.
    X : float32 [n, columns of the student]

    Returns
    -------
    float64 [n, outputs]
    """
    import lightgbm as lgb

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
    models: Mapping[str, tuple[StudentCard | DirectCard, bytes]],
    rows: np.ndarray,
    columns: Sequence[str],
    choice: ChoiceLayers | None = None,
) -> dict[str, Any]:
    """Return the golden rows as JSON values.

    Parameters
    ----------
    models
        Name of a model's file in the bundle to its card and its text, for the models of both layers.
    rows : float32 [n, columns]

    Returns
    -------
    dict
        ``columns``, ``rows`` [n][columns] (null for NaN), and ``expected`` per model's file [n][outputs].
    """
    place = {name: index for index, name in enumerate(columns)}
    expected = {}
    for file, (card, model) in models.items():
        chosen = np.ascontiguousarray(rows[:, [place[name] for name in card.columns]], dtype=np.float32)
        expected[file] = reference_prediction(card, model, chosen).tolist()
    if choice is not None:
        expected |= choice.expected(rows, columns)
    return {"columns": list(columns), "rows": plain(rows), "expected": expected}
