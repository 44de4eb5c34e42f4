"""``fidelity.json``: every student beside its teacher, all figures of fidelity beside their floors and the noise ceiling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from finai_assets.scoring.metrics import PRIMARY
from finai_assets.settings import Settings
from finai_assets.students.fidelity import AT_LEAST, FidelityVerdict, compare_fidelity
from finai_assets.students.report.calibration import calibration_of
from finai_assets.students.report.explanations import Explained, compare_reasons, reasons_of_copy
from finai_assets.students.result import StudentResult, over_budget, size_of
from finai_assets.students.route import POLICIES
from finai_assets.training.matrix import TrainingMatrix
from finai_resources.json_text import plain

FILE, PAGE = "fidelity.json", "fidelity.html"
# Who is scored on test, by the name in a student's metrics.
SCORED = {"teacher": "teacher", "copy": "distilled", "direct": "direct", "prior": "prior", "persistence": "persistence"}


@dataclass(frozen=True)
class Reasons:
    """What the teacher was explained by.

    Parameters
    ----------
    rows : dict of Explained
        By task.
    inputs, groups : dict
        Of each column of the matrix: the teacher's input that it is part of, and its feature group.
    """

    rows: Mapping[str, Explained]
    inputs: Mapping[str, str]
    groups: Mapping[str, str]


def summarise(
    results: Mapping[str, StudentResult],
    matrix: TrainingMatrix,
    teacher: Mapping[str, np.ndarray],
    reasons: Reasons,
    settings: Settings,
    rule_columns: Collection[str] = (),
) -> dict[str, Any]:
    """Return the content of ``fidelity.json``, JSON-able.

    Parameters
    ----------
    results
        The students by task.
    teacher : dict of float32 [n] or [n, classes]
        Predictions of every row of the matrix.
    rule_columns
        Columns that the rules read.
    """
    students = settings.students
    tasks = {
        name: {
            **_told(result, settings),
            "calibration": calibration_of(result, matrix, settings),
            "explanations": _reasons(result, matrix, teacher[name], reasons, settings),
        }
        for name, result in results.items()
    }
    found = size_of(results, rule_columns)
    free = 1.0 - students.spare_share
    limits = {
        "leaves": students.max_leaves,
        "megabytes": students.max_megabytes,
        "columns": students.max_columns_in_all,
    }
    summary = {
        "profile": settings.profile,
        "dataset": settings.dataset.name,
        "policy": students.policy,
        "tasks": tasks,
        "copies": sorted(name for name, task in tasks.items() if task["copies_faithfully"]),
        "minimum_copies": students.minimum_copies,
        "policies": {policy: dict(Counter(result.routes.get(policy, result.route) for result in results.values()))
                     for policy in POLICIES},
        "budget": {name: {"used": found[name], "allowed": limit * free} for name, limit in limits.items()},
        "over_budget": over_budget(students, found),
    }  # fmt: skip
    told: dict[str, Any] = plain(summary)
    return told


def _told(result: StudentResult, settings: Settings) -> dict[str, Any]:
    students, metric, test = settings.students, PRIMARY[result.kind], result.metrics["test"]
    verdict = result.fidelity and compare_fidelity(result.kind, result.fidelity.fidelity, students.fidelity)
    measured = students.noise_ceiling.tasks.get(result.task)
    direct = result.direct
    return {
        "kind": result.kind,
        "route": result.route,
        "reason": result.reason,
        "routes": dict(result.routes),
        "accepted": students.accepted.get(result.task, ""),
        "copies_faithfully": result.route == "DISTILL" and verdict is not None and verdict.passed,
        "metric": metric,
        "scores": {who: asdict(test[name][metric]) for who, name in SCORED.items() if name in test},
        "over_teacher": asdict(result.over_teacher) if result.over_teacher else None,
        "trivial": result.trivial.name,
        "over_trivial": {who: asdict(estimate) for who, estimate in result.trivial.over.items()},
        "fidelity": verdict.to_json() if verdict else None,
        "figures": _figures(verdict, measured.figures if measured else {}) if verdict else [],
        "size": {
            "served": {"columns": len(result.columns), "leaves": result.leaves, "bytes": result.bytes},
            "layer_2": direct and {"columns": len(direct.model.columns), "leaves": direct.model.size.leaves,
                                   "bytes": direct.model.size.bytes},
        },
    }  # fmt: skip


def _figures(verdict: FidelityVerdict, ceiling: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return a row for every figure: its interval, the floor and the verdict where it has one, and the noise ceiling."""
    floors = {floor.measure: floor for floor in verdict.floors}
    rows = []
    for name in dict.fromkeys([*floors, *verdict.fidelity.measures]):
        floor = floors.get(name)
        observed = floor.observed if floor else verdict.fidelity.measures[name]
        rows.append(
            {
                "measure": name,
                **observed.plain(),
                "bound": "at least" if name in AT_LEAST else "at most",
                "floor": floor.floor if floor else None,
                "passed": floor.passed if floor else None,
                "noise_ceiling": ceiling.get(name),
            }
        )
    return rows


def _reasons(
    result: StudentResult, matrix: TrainingMatrix, teacher: np.ndarray, reasons: Reasons, settings: Settings
) -> dict[str, Any] | None:
    """Return how far a copy gives its teacher's reasons; None where nothing is copied, or no row was explained."""
    explained = reasons.rows.get(result.task)
    if result.route != "DISTILL" or result.model is None or explained is None:
        return None
    at, columns = explained.at, result.model.columns
    copy = reasons_of_copy(result.model, matrix, at, teacher[at], settings.students.threads)
    inputs = [reasons.inputs[column] for column in columns]
    groups = {name: reasons.groups[column] for name, column in zip(inputs, columns, strict=True)}
    return compare_reasons(explained, copy, inputs, groups, matrix.customer[at], settings.metrics, settings.seed)
