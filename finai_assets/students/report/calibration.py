"""The calibration of a student's models on test rows, before and after their calibrators."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from finai_assets.scoring.calibration import NO_CALIBRATOR
from finai_assets.scoring.calibration_error import calibration_error, positives
from finai_assets.settings import Settings
from finai_assets.students.result import StudentModel, StudentResult
from finai_assets.students.train import places
from finai_assets.training.matrix import TrainingMatrix
from finai_resources.json_text import plain


def calibration_of(result: StudentResult, matrix: TrainingMatrix, settings: Settings) -> dict[str, Any]:
    """Return the expected calibration error of what serves a task and of its layer 2, on labelled test rows.

    Returns
    -------
    dict
        By layer (``served`` and, behind a copy, ``layer_2``): ``calibrator``, the error ``before`` and ``after`` it, each an
        estimate, and how many rows are ``expected`` to come true and were ``observed`` to. Empty where no probability is
        served: of a regression, and of a task that the rules serve.
    """
    if result.kind == "regression":
        return {}
    rows = matrix.rows("test")
    label = np.asarray(matrix.labels[result.task][rows], dtype=np.float64)
    layers = {"served": result.model, "layer_2": result.direct.model if result.direct else None}
    return {
        layer: errors_of(
            model, matrix.X[rows][:, places(matrix, model.columns)], label, matrix.customer[rows], settings
        )
        for layer, model in layers.items()
        if model is not None
    }


def errors_of(
    model: StudentModel, X: np.ndarray, label: np.ndarray, customer: np.ndarray, settings: Settings
) -> dict[str, Any]:
    """Return the name of a model's calibrator, the calibration error before and after it, and positives expected and observed.

    Parameters
    ----------
    X : float [n, columns]
        The model's inputs.
    label : float64 [n]
        NaN where masked.
    customer : int64 [n]
    """
    raw = model.raw(np.ascontiguousarray(X, dtype=np.float32), threads=settings.students.threads)
    bare = replace(model, calibrator=NO_CALIBRATOR)
    predicted = {"before": bare.finish(raw), "after": model.finish(raw)}
    errors = {
        when: plain(asdict(calibration_error(label, p, customer, settings=settings.metrics, seed=settings.seed)))
        for when, p in predicted.items()
    }
    expected, observed = positives(label, predicted["after"])
    return {"calibrator": model.calibrator["type"], **errors, "expected": expected, "observed": observed}
