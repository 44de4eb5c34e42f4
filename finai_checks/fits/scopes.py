"""C12, scopes: which rows each fitted part may have seen, compared with the rows that it records.

Encoders, scalers, vocabularies, structure, weights and trees see train; early stopping and calibration see validation; nothing
sees test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from finai_assets.choice.train import acquiring
from finai_assets.evaluation.lists.outcomes import Outcomes
from finai_assets.features.sampling import sample_customers
from finai_assets.labels.tasks import Task
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_assets.training.fitted_rows import FittedRows
from finai_assets.training.matrix import SPLITS, TrainingMatrix
from finai_checks.framework.check import CheckOutcome


@dataclass(frozen=True, slots=True)
class Scope:
    """Rows that a part may have been fitted on.

    Parameters
    ----------
    split : str
    months : tuple of str
        Of the split.
    digest : str or None
        Of exactly these rows, as they are stored now; None where months alone are compared.
    """

    split: str
    months: tuple[str, ...]
    digest: str | None


def fitted_on_train_only(stored: Mapping[str, FittedRows], scopes: Mapping[str, Scope]) -> CheckOutcome:
    """Return whether each fitted part has seen the rows of its scope and no others.

    Parameters
    ----------
    stored
        The rows that each part records, by its name.
    scopes
        The rows that it may have seen. A part without a record fails.
    """
    if not sum(rows.rows for rows in stored.values()):
        return CheckOutcome.no_evidence()
    wrong, table = [], []
    for name, scope in scopes.items():
        rows = stored.get(name)
        problems = ["nothing says which rows it was fitted on"] if rows is None else _problems(rows, scope)
        wrong += [f"{name}: {problem}" for problem in problems]
        table.append({
            "fitted": name, "scope": scope.split, "rows": rows.rows if rows else 0, "passed": not problems,
            "months": ", ".join(rows.months) if rows else "",
        })  # fmt: skip
    wrong += [f"{name}: nobody says what it may see" for name in stored if name not in scopes]
    distinct = {rows.digest: rows.rows for name, rows in stored.items() if name in scopes}
    digests = {name: rows.digest for name, rows in stored.items()}
    return CheckOutcome(not wrong, "; ".join(wrong), sum(distinct.values()), {"fitted_digests": digests}, table)


def _problems(fitted: FittedRows, scope: Scope) -> list[str]:
    outside = sorted(set(fitted.months) - set(scope.months))
    problems = [f"fitted on months outside {scope.split}: {', '.join(outside)}"] if outside else []
    if fitted.split != scope.split:
        problems.append(f"fitted on rows of {fitted.split or 'no split'}, where {scope.split} is its scope")
    if not fitted.rows:
        problems.append("fitted on no row")
    if scope.digest is not None and fitted.digest != scope.digest:
        problems.append(f"the fitted rows are not its rows of {scope.split} as stored now (their digests differ)")
    return problems


def rows_of_card(card: Mapping[str, Any]) -> dict[str, FittedRows]:
    """Return the rows that a stored card records in ``fitted_on``; none where it records none."""
    return {name: FittedRows.from_json(rows) for name, rows in (card.get("fitted_on") or {}).items()}


def scope_of(matrix: TrainingMatrix, rows: slice | np.ndarray) -> Scope:
    """Return rows of a split of the matrix as a scope."""
    fitted = FittedRows.of(matrix, rows)
    return Scope(fitted.split, fitted.months, fitted.digest)


def matrix_scopes(
    matrix: TrainingMatrix, months: Mapping[str, Sequence[str]]
) -> tuple[dict[str, FittedRows], dict[str, Scope]]:
    """Return the rows of each split of a matrix, and the months that the stored splits give it."""
    stored = {f"{split} rows": FittedRows.of(matrix, matrix.rows(split)) for split in SPLITS}
    return stored, {f"{split} rows": Scope(split, tuple(months[split]), None) for split in SPLITS}


def teacher_scopes(matrix: TrainingMatrix, settings: Settings) -> dict[str, Scope]:
    """Return the rows that the parts of a teacher may have seen."""
    train, validation = (scope_of(matrix, matrix.rows(split)) for split in ("train", "validation"))
    learned = sample_customers(matrix.customer, matrix.rows("train"), settings.teacher.max_train_rows, settings.seed)
    return {
        "normaliser": train,
        "structure": train,
        "task_constants": train,
        "weights": scope_of(matrix, learned),
        "stopping": validation,
        "calibration": validation,
    }


def column_scopes(matrix: TrainingMatrix, settings: Settings) -> dict[str, Scope]:
    """Return the rows on which the columns of each task's models may have been chosen."""
    sample = sample_customers(matrix.customer, matrix.rows("train"), settings.students.probe.rows, settings.seed)
    scopes: dict[str, Scope] = {}
    for task in matrix.tasks:
        labelled = np.intersect1d(sample, _labelled(matrix, task.name, "train"), assume_unique=True)
        scopes |= {f"{task.name} copy": scope_of(matrix, sample), f"{task.name} direct": scope_of(matrix, labelled)}
    return scopes


def student_scopes(matrix: TrainingMatrix, task: str, route: str, transfer: Scope) -> dict[str, Scope]:
    """Return the rows that the parts of a student may have seen: a copy needs no label, but for its operating threshold.

    Parameters
    ----------
    transfer
        The rows of the transfer set.
    """
    train, validation = (scope_of(matrix, _labelled(matrix, task, split)) for split in ("train", "validation"))
    every = {split: scope_of(matrix, matrix.rows(split)) for split in ("train", "validation")}
    scopes = {"prior": train}
    if route == "DISTILL":
        scopes |= {
            "copy trees": every["train"],
            "copy transfer": transfer,
            "copy stopping": every["validation"],
            "copy calibration": validation,
        }
    if route != "SKIP":
        scopes |= {"direct trees": train, "direct stopping": validation, "direct calibration": validation}
    return scopes


def choice_scopes(matrix: TrainingMatrix, outcomes: Outcomes) -> dict[str, Scope]:
    """Return the rows that the parts of the choice model may have seen: those that acquire something."""
    rows = {"weights": "train", "penalty": "validation"}
    return {part: scope_of(matrix, acquiring(matrix, outcomes, split)) for part, split in rows.items()}


def _labelled(matrix: TrainingMatrix, task: str, split: str) -> np.ndarray:
    rows = matrix.rows(split)
    return rows.start + np.flatnonzero(np.isfinite(matrix.labels[task][rows]))


def fitted_tasks(platform: Platform) -> tuple[Task, ...]:
    """Return the tasks whose classes are counted on train labels."""
    return tuple(task for task in platform.available_tasks if task.vocabulary is not None)
