"""From the training matrix to the choice model: fitted on train acquisitions, its penalty chosen on validation ones.

There are two models. The first reads the columns of the students, which a request brings anyway, and what is held; the second
reads what is held alone, and stands behind the first where a column cannot be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from finai_assets.choice.fit import Choices, fit_logit, loss_of
from finai_assets.choice.model import ChoiceModel, Squash
from finai_assets.evaluation.lists.outcomes import Outcomes
from finai_assets.settings import Settings
from finai_assets.training.fitted_rows import FittedRows
from finai_assets.training.matrix import TrainingMatrix
from finai_resources.errors import GateError
from finai_resources.progress import report_progress

COLUMNS, HOLDINGS = "columns", "holdings"  # the models, best first
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class ChoiceResult:
    """The models by name, best first, and what is told of them, JSON-able."""

    models: Mapping[str, ChoiceModel]
    card: Mapping[str, Any]


def train_choice(
    matrix: TrainingMatrix, outcomes: Outcomes, settings: Settings, *, columns: Sequence[str], held: Sequence[str]
) -> ChoiceResult:
    """Fit both models.

    Parameters
    ----------
    outcomes
        Row-aligned with the matrix.
    columns
        Columns that the students read.
    held
        Columns that say what is held.

    Raises
    ------
    GateError
        No train or no validation row acquires a product.
    """
    rows = {split: acquiring(matrix, outcomes, split) for split in SPLITS}
    for split in ("train", "validation"):
        if not len(rows[split]):
            raise GateError(f"no {split} row acquires a product", where="choice model", fix=f"widen splits.{split}")
    place = {name: index for index, name in enumerate(matrix.columns)}
    readable = [name for name in matrix.columns if not settings.inputs.withholds(name)]
    wanted = {COLUMNS: {*columns, *held}, HOLDINGS: set(held)}
    models, told = dict[str, ChoiceModel](), dict[str, Any]()
    for number, (name, chosen) in enumerate(wanted.items()):
        report_progress("choice model", number, len(wanted))
        names = tuple(column for column in readable if column in chosen)
        kept = np.array([place[column] for column in names], dtype=np.int64)
        models[name], told[name] = _fit(matrix, outcomes, rows, names, kept, settings)
    fitted = {split: asdict(FittedRows.of(matrix, rows[split])) for split in ("train", "validation")}
    return ChoiceResult(
        models, {"models": told, "fitted_on": {"weights": fitted["train"], "penalty": fitted["validation"]}}
    )


def fit_again(
    model: ChoiceModel, penalty: float, matrix: TrainingMatrix, outcomes: Outcomes, settings: Settings
) -> ChoiceModel:
    """Fit a stored model's inputs and weights again, at its penalty: train rows alone are read."""
    at, place = acquiring(matrix, outcomes, "train"), {name: index for index, name in enumerate(matrix.columns)}
    X = matrix.X[at][:, [place[name] for name in model.columns]]
    squash = Squash.fit(X)
    choices = Choices(squash.apply(X), outcomes.held[at], outcomes.acquired[at])
    weights, intercept = fit_logit(choices, penalty, settings.choice, settings.seed)
    return ChoiceModel(model.products, model.columns, squash, intercept, weights)


def acquiring(matrix: TrainingMatrix, outcomes: Outcomes, split: str) -> np.ndarray:
    """Return the rows of a split, as positions in the matrix, whose customer acquires something."""
    rows = matrix.rows(split)
    return rows.start + np.flatnonzero(outcomes.acquired[rows].any(axis=1))


def _fit(
    matrix: TrainingMatrix,
    outcomes: Outcomes,
    rows: Mapping[str, np.ndarray],
    names: tuple[str, ...],
    kept: np.ndarray,
    settings: Settings,
) -> tuple[ChoiceModel, dict[str, Any]]:
    chosen = settings.choice
    squash = Squash.fit(matrix.X[rows["train"]][:, kept])
    choices = {
        split: Choices(squash.apply(matrix.X[at][:, kept]), outcomes.held[at], outcomes.acquired[at])
        for split, at in rows.items()
    }
    products = tuple(product.code for product in settings.products)
    best: tuple[float, float, ChoiceModel] | None = None
    tried = {}
    for penalty in sorted(chosen.penalties, reverse=True):  # of equals the larger
        weights, intercept = fit_logit(choices["train"], penalty, chosen, settings.seed)
        model = ChoiceModel(products, names, squash, intercept, weights)
        loss = loss_of(choices["validation"].Z @ weights.T + intercept, choices["validation"])
        tried[f"{penalty:g}"] = loss
        if best is None or loss < best[0]:
            best = loss, penalty, model
    assert best is not None  # noqa: S101 - the settings hold a penalty
    taken = np.log(choices["train"].acquired.sum(axis=0) + 1.0)
    told = {
        "penalty": best[1],
        "validation_loss_by_penalty": tried,
        "rank": _rank(best[2].weights),
        "acquisitions": {split: int(each.acquired.sum()) for split, each in choices.items()},
        "rows": {split: len(each) for split, each in choices.items()},
        "loss": {
            split: {
                "model": loss_of(each.Z @ best[2].weights.T + best[2].intercept, each),
                "train_counts": loss_of(np.repeat(taken[None, :], len(each), axis=0), each),
            }
            for split, each in choices.items()
            if len(each)
        },
    }
    return best[2], told


def _rank(weights: np.ndarray) -> int:
    """Return how many directions matter: singular values of at least a thousandth of the largest."""
    values = np.linalg.svd(weights, compute_uv=False)
    return int((values > 1e-3 * values[:1]).sum())
