"""A trained student: its model, its route, its metrics, and its files (docs/student-format.md)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from finai_assets.scoring.boosting import count_leaves, raw_scores
from finai_assets.scoring.calibration import NO_CALIBRATOR, apply_calibrator
from finai_assets.scoring.links import Link
from finai_assets.scoring.metrics import PRIMARY, Estimate
from finai_assets.settings.method import StudentSettings
from finai_assets.students.card import CARD, DIRECT_MODEL, MODEL, DirectCard, StudentCard, card_of
from finai_assets.students.fidelity import FidelityVerdict
from finai_assets.students.route import RouteName
from finai_assets.training.fitted_rows import FittedRows
from finai_resources.errors import GateError
from finai_resources.json_text import plain

# split -> model (student, direct, teacher, prior) -> metric
Report = Mapping[str, Mapping[str, Mapping[str, Estimate]]]


@dataclass(frozen=True)
class StudentModel:
    """A LightGBM model with the link and the calibrator that turn its raw scores into predictions.

    Parameters
    ----------
    text : str
        The model as LightGBM writes it.
    columns : tuple of str
        Its inputs, in order.
    init_score : tuple of float
        Added to the raw scores, one for each output.
    """

    text: str
    columns: tuple[str, ...]
    transform: Link
    init_score: tuple[float, ...]
    calibrator: Mapping[str, Any]

    def raw(self, X: np.ndarray, *, threads: int) -> np.ndarray:
        """Return raw scores with the initial score, [n] or [n, K]; ``X`` is float32 [n, columns]."""
        raw = raw_scores(self.text, X, threads)
        return raw + (np.asarray(self.init_score) if raw.ndim == 2 else self.init_score[0])

    def predict(self, X: np.ndarray, *, threads: int = 1) -> np.ndarray:
        """Return calibrated probabilities [n] or [n, K], or values [n], float64."""
        return self.finish(self.raw(X, threads=threads))

    def finish(self, raw: np.ndarray) -> np.ndarray:
        """Turn raw scores, initial score included, into predictions."""
        return apply_calibrator(raw, self.transform, self.calibrator)

    @property
    def size(self) -> ModelSize:
        """Return the size of the text as stored."""
        return ModelSize(*count_leaves(self.text), len(self.text.encode()))


class ModelSize(NamedTuple):
    """Trees, leaves of all trees, and bytes as stored."""

    trees: int
    leaves: int
    bytes: int


@dataclass(frozen=True)
class DirectStudent:
    """The student that learnt the labels, beside a copy: it serves the task where the copy cannot (layer 2)."""

    model: StudentModel
    threshold: float | None


@dataclass(frozen=True)
class OverTrivial:
    """The gain over the trivial forecast on test, as paired differences of the primary metric.

    ``name`` is ``prior`` or ``persistence``, the better one on validation; ``over`` holds ``teacher`` and, unless the task is
    skipped, ``student``.
    """

    name: str
    over: Mapping[str, Estimate]


@dataclass(frozen=True)
class StudentResult:
    """One task's student. ``model`` is None, and the fields about it empty, where the route is SKIP.

    ``over_teacher`` is the paired difference of the primary metric on test, the served student's less the teacher's; None where
    the task is skipped. ``direct`` stands behind a copy, and is None unless the route is DISTILL. ``routes`` holds what each
    policy would choose.
    """

    task: str
    kind: str
    classes: int
    class_labels: tuple[str, ...]
    route: RouteName
    reason: str
    model: StudentModel | None
    threshold: float | None
    metrics: Report
    trivial: OverTrivial
    over_teacher: Estimate | None
    fidelity: FidelityVerdict | None
    gain: Mapping[str, float]
    fitted_on: Mapping[str, FittedRows]
    direct: DirectStudent | None
    routes: Mapping[str, RouteName]

    @property
    def model_text(self) -> str:
        """Return the model's text, empty where there is none."""
        return self.model.text if self.model else ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the model's inputs."""
        return self.model.columns if self.model else ()

    @property
    def calibrator(self) -> Mapping[str, Any]:
        """Return the calibrator."""
        return self.model.calibrator if self.model else NO_CALIBRATOR

    @property
    def trees(self) -> int:
        """Return the number of the deployed model's trees."""
        return self.model.size.trees if self.model else 0

    @property
    def leaves(self) -> int:
        """Return the number of leaves of all its trees."""
        return self.model.size.leaves if self.model else 0

    @property
    def bytes(self) -> int:
        """Return the size of its text as stored."""
        return self.model.size.bytes if self.model else 0

    @property
    def models(self) -> tuple[StudentModel, ...]:
        """Return all models of the task, the deployed one first."""
        return tuple(model for model in (self.model, self.direct.model if self.direct else None) if model)

    def facts(self) -> dict[str, Any]:
        """Return the metadata of a materialisation: route, size, and the primary metric of each model on test."""
        primary = PRIMARY[self.kind]
        told: dict[str, Any] = {
            "route": self.route,
            "reason": self.reason,
            "columns": len(self.columns),
            "trees": self.trees,
            "leaves": self.leaves,
            "model_bytes": self.bytes,
            "calibrator": self.calibrator["type"],
        }
        if self.direct is not None:
            told |= {"direct_leaves": self.direct.model.size.leaves, "direct_columns": len(self.direct.model.columns)}
        for who, measured in self.metrics["test"].items():
            if (estimate := measured[primary]).defined:
                told[f"test_{primary}_{who}"] = estimate.value
        if self.fidelity is not None:
            told |= {
                "fidelity_passed": self.fidelity.passed,
                **{
                    f"fidelity_{name}": figure.value
                    for name, figure in self.fidelity.fidelity.measures.items()
                    if np.isfinite(figure.value)
                },
            }
        return told


def to_files(result: StudentResult) -> dict[str, bytes]:
    """Return ``student.json``, unless the task is skipped ``model.txt``, and beside a copy ``direct.txt``."""
    model, direct = result.model, result.direct
    card = StudentCard(
        task=result.task,
        kind=result.kind,
        classes=result.classes,
        class_labels=result.class_labels,
        route=result.route,
        reason=result.reason,
        columns=result.columns,
        output_transform=model.transform if model else "identity",
        init_score=model.init_score if model else (),
        calibrator=dict(result.calibrator),
        threshold=result.threshold,
        metrics=_entries(result.metrics),
        trivial={"name": result.trivial.name, "over": _entries(result.trivial.over)},
        over_teacher=plain(asdict(result.over_teacher)) if result.over_teacher else None,
        fidelity=result.fidelity.to_json() if result.fidelity else None,
        trees=result.trees,
        leaves=result.leaves,
        model_bytes=result.bytes,
        explains=dict(result.gain),
        fitted_on={name: asdict(rows) for name, rows in result.fitted_on.items()},
        direct=_direct_card(direct) if direct else None,
        routes=dict(result.routes),
    )
    texts = {MODEL: model, DIRECT_MODEL: direct.model if direct else None}
    return {CARD: card.to_bytes(), **{name: found.text.encode() for name, found in texts.items() if found}}


def _direct_card(direct: DirectStudent) -> DirectCard:
    model = direct.model
    trees, leaves, size = model.size
    return DirectCard(
        model.columns, model.transform, model.init_score, dict(model.calibrator), direct.threshold, trees, leaves, size
    )


def from_files(files: Mapping[str, bytes]) -> StudentResult:
    """Read what :func:`to_files` wrote.

    Raises
    ------
    BundleError
        The format is another one, or the model is missing.
    """
    card = card_of(files)
    model = _model(card, files[MODEL]) if MODEL in files else None
    direct = DirectStudent(_model(card.direct, files[DIRECT_MODEL]), card.direct.threshold) if card.direct else None
    return StudentResult(
        task=card.task,
        kind=card.kind,
        classes=card.classes,
        class_labels=card.class_labels,
        route=card.route,
        reason=card.reason,
        model=model,
        threshold=card.threshold,
        metrics=_estimates(card.metrics),
        trivial=OverTrivial(card.trivial["name"], {w: _estimate(e) for w, e in card.trivial["over"].items()}),
        over_teacher=_estimate(card.over_teacher) if card.over_teacher else None,
        fidelity=FidelityVerdict.from_json(card.fidelity) if card.fidelity else None,
        gain=card.explains,
        fitted_on={name: FittedRows.from_json(rows) for name, rows in card.fitted_on.items()},
        direct=direct,
        routes=card.routes,
    )


def _model(card: StudentCard | DirectCard, text: bytes) -> StudentModel:
    return StudentModel(text.decode(), card.columns, card.output_transform, card.init_score, card.calibrator)


def size_of(results: Mapping[str, StudentResult], rule_columns: Collection[str] = ()) -> dict[str, float]:
    """Return the leaves and megabytes of all models of all students, and the columns that a request brings for them.

    Parameters
    ----------
    rule_columns
        Columns that the rules read; a request brings them too.
    """
    models = [model for result in results.values() for model in result.models]
    return {
        "leaves": sum(model.size.leaves for model in models),
        "megabytes": sum(model.size.bytes for model in models) / 1e6,
        "columns": len({name for model in models for name in model.columns} | set(rule_columns)),
    }


def require_budget(
    results: Mapping[str, StudentResult], settings: StudentSettings, rule_columns: Collection[str] = ()
) -> dict[str, float]:
    """Require that all models of all students together fit the budget; return their leaves, megabytes and columns.

    Parameters
    ----------
    rule_columns
        Columns that the rules read; a request brings them too.

    Raises
    ------
    GateError
        They exceed what :func:`over_budget` allows; the error names the three largest tasks.
    """
    found = size_of(results, rule_columns)
    if over := over_budget(settings, found):
        sizes = {task: [model.size for model in result.models] for task, result in results.items()}
        bytes_of = {task: sum(size.bytes for size in each) for task, each in sizes.items()}
        leaves_of = {task: sum(size.leaves for size in each) for task, each in sizes.items()}
        largest = sorted(bytes_of, key=lambda task: (-bytes_of[task], task))[:3]
        named = ", ".join(f"{task} {leaves_of[task]:,} leaves" for task in largest)
        raise GateError(
            f"the models of the bundle are too large: {'; '.join(over)} (largest: {named})",
            where="students",
            fix="lower students.rounds, students.leaves or students.max_columns",
        )
    return found


def over_budget(settings: StudentSettings, sizes: Mapping[str, float], *, whole: bool = False) -> list[str]:
    """Return what is exceeded, in words.

    Parameters
    ----------
    sizes
        ``leaves``, ``megabytes`` and ``columns``.
    whole
        Whether a bundle is told with its choice model; students alone leave it ``students.spare_share``.
    """
    free = 1.0 if whole else 1.0 - settings.spare_share
    limits = {
        "leaves": (sizes["leaves"], settings.max_leaves * free, ",.0f"),
        "MB": (sizes["megabytes"], settings.max_megabytes * free, ",.3g"),
        "columns": (sizes["columns"], settings.max_columns_in_all * free, ",.0f"),
    }
    return [
        f"{format(found, form)} {unit}, at most {format(limit, form)} allowed"
        for unit, (found, limit, form) in limits.items()
        if found > limit
    ]


def _entries(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested estimates as plain values; an undefined one is null."""
    return {
        name: _entries(entry) if isinstance(entry, Mapping) else plain(asdict(entry)) for name, entry in found.items()
    }


def _estimate(stored: Mapping[str, Any]) -> Estimate:
    numbers = {key: float("nan") if stored[key] is None else stored[key] for key in ("value", "low", "high")}
    return Estimate(**numbers, n=stored["n"], note=stored["note"])


def _estimates(stored: Mapping[str, Any]) -> Report:
    return {
        split: {who: {name: _estimate(entry) for name, entry in found.items()} for who, found in models.items()}
        for split, models in stored.items()
    }
