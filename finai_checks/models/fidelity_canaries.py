"""C23, its inputs on measured figures: of each kind of task a faithful copy, and impostors that every judging floor rejects.

An impostor says nothing about a customer (the prior, another customer's prediction) or something else (the copy of another task).
Of a rare event the prior keeps the floors of divergence and of agreement; the floors that judge are named one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from finai_assets.settings import Settings
from finai_assets.settings.method import FidelitySettings, MetricSettings
from finai_assets.students.fidelity import compare_fidelity, measure_fidelity
from finai_assets.students.fidelity_measures import Compared
from finai_checks.framework.check import Canary, CheckKind
from finai_checks.models.fidelity import student_fidelity

ROWS, CLASSES = 2000, 4
FAITHFUL = "a faithful copy with noise"
IMPOSTORS = ("the prior", "a shuffled copy", "a copy of another task")
JUDGES = {
    "binary": ("kl_share", "explained_variance", "pair_order", "decile_overlap"),
    "multiclass": ("kl_share", "explained_variance"),
    "regression": ("explained_variance", "pair_order", "decile_overlap"),
}
_DRAWS = MetricSettings(bootstrap_samples=20, confidence=0.95)


def fidelity_canaries(check: CheckKind, settings: Settings) -> Iterator[Canary]:
    """Yield a faithful copy of each kind of task, and each impostor once for every floor that must reject it."""
    floors = settings.students.fidelity

    def canary(kind: str, who: str, expects: str | None, label: str) -> Canary:
        return Canary(
            check, label, expects, lambda: student_fidelity("canary", measured_copy(kind, who, floors), floors)
        )

    for kind, judges in JUDGES.items():
        yield canary(kind, FAITHFUL, None, f"{FAITHFUL}, {kind}")
        for who in IMPOSTORS:
            for measure in judges:
                yield canary(kind, who, f"{measure} ", f"{who}, {kind}: {measure}")


def measured_copy(kind: str, who: str, floors: FidelitySettings) -> dict[str, Any]:
    """Return what C23 reads of ``student.json``: the measured fidelity of :data:`FAITHFUL` or of one of :data:`IMPOSTORS`."""
    verdict = compare_fidelity(kind, measure_fidelity(_compared(kind, who), _DRAWS, 0), floors)
    return {"route": "DISTILL", "kind": kind, "reason": "", "fidelity": verdict.to_json()}


@cache
def _compared(kind: str, who: str) -> Compared:
    """Return a teacher's and a student's predictions of the same rows, two of each customer."""
    rng = np.random.default_rng(7)
    shape = (ROWS, CLASSES) if kind == "multiclass" else (ROWS,)
    own, other, noise = (rng.normal(0, 1.5, shape) for _ in range(3))
    teacher, chance = _predicted(kind, own), rng.random((ROWS, 1))
    student = {
        FAITHFUL: _predicted(kind, own + 0.05 * noise),
        "the prior": np.broadcast_to(teacher.mean(axis=0), shape),
        "a shuffled copy": rng.permutation(teacher),
        "a copy of another task": _predicted(kind, other),
    }[who]
    if kind == "regression":
        label = teacher + noise
    elif kind == "binary":
        label = (chance[:, 0] < teacher).astype(float)
    else:
        label = (teacher.cumsum(axis=1) > chance).argmax(axis=1).astype(float)
    threshold = float(np.quantile(teacher, 0.95)) if kind == "binary" else None
    return Compared(kind, teacher, student, label, np.arange(ROWS) // 2, threshold)


def _predicted(kind: str, score: np.ndarray) -> np.ndarray:
    """Return predictions of a kind of task; the binary event is rare."""
    if kind == "binary":
        return np.asarray(expit(score - 4))
    return np.asarray(softmax(score, axis=1)) if kind == "multiclass" else score
