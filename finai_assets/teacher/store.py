"""Writes a trained teacher to files and reads it: weights as safetensors, fitted parts as npz, the rest as JSON; no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from safetensors.torch import load, save

from finai_assets.scoring.calibration import Calibration
from finai_assets.settings.method import TeacherSettings
from finai_assets.teacher.fitting.losses import TeacherTask
from finai_assets.teacher.network.ple import PLE, parameter_table
from finai_assets.teacher.normalise import Normaliser
from finai_assets.teacher.result import EpochRecord, TeacherResult, TrainingFingerprint, deterministic
from finai_assets.teacher.structure import Structure
from finai_assets.training.fitted_rows import FittedRows
from finai_resources.errors import GateError
from finai_resources.json_text import to_json

if TYPE_CHECKING:
    from finai_assets.features.registry import Registry
    from finai_assets.settings import Settings
    from finai_assets.teacher.data import Named

WEIGHTS, NORMALISER, STRUCTURE, CARD = "weights.safetensors", "normaliser.npz", "structure.npz", "teacher.json"


def teacher_to_files(result: TeacherResult) -> dict[str, bytes]:
    """Return the files of a teacher by name; equal teachers have equal bytes."""
    history = [{key: value for key, value in asdict(record).items() if key != "seconds"} for record in result.history]
    card = {
        "settings": result.settings.model_dump(mode="json"),
        "seed": result.seed,
        "tasks": [asdict(task) for task in result.model.tasks],
        "slot_names": result.slot_names,
        "calibration": {name: asdict(fitted) for name, fitted in result.calibration.items()},
        "fitted_on": {name: asdict(rows) for name, rows in result.fitted_on.items()},
        "best_epoch": result.best_epoch,
        "history": history,
        "training_fingerprint": asdict(result.training_fingerprint) if result.training_fingerprint else None,
        "parameters": result.parameter_table,
    }
    tensors = {name: value.detach().contiguous() for name, value in result.model.state_dict().items()}
    return {
        WEIGHTS: save(tensors),
        NORMALISER: result.normaliser.to_bytes(),
        STRUCTURE: result.structure.to_bytes(),
        CARD: to_json(card, indent=1, sort_keys=True),
    }


def teacher_from_files(
    files: Mapping[str, bytes],
    registry: Registry | None = None,
    tasks: Sequence[Named] | None = None,
    settings: Settings | None = None,
) -> TeacherResult:
    """Read what :func:`teacher_to_files` wrote. The files suffice to predict.

    Parameters
    ----------
    registry, tasks, settings
        Where given, what the teacher must have been trained for.

    Raises
    ------
    GateError
        A file is missing, or the teacher was trained for other columns, tasks or settings.
    """
    if missing := {WEIGHTS, NORMALISER, STRUCTURE, CARD} - set(files):
        raise GateError(f"the teacher lacks {sorted(missing)}", where="teacher", fix="train it again")
    card: dict[str, Any] = json.loads(files[CARD])
    normaliser, structure = Normaliser.from_bytes(files[NORMALISER]), Structure.from_bytes(files[STRUCTURE])
    specs = [TeacherTask(**_tuples(task)) for task in card["tasks"]]
    if registry is not None and registry.names != normaliser.layout.columns:
        differ = sorted(set(registry.names) ^ set(normaliser.layout.columns))[:5]
        raise GateError(
            f"it was trained on other columns; they differ in {differ or 'order'}",
            where="teacher",
            fix="train it again",
        )
    if tasks is not None and {task.name for task in tasks} != {task.name for task in specs}:
        differ = sorted({task.name for task in tasks} ^ {task.name for task in specs})
        raise GateError(
            f"it was trained on other tasks; they differ in {differ}", where="teacher", fix="train it again"
        )
    chosen = TeacherSettings.model_validate(card["settings"])
    if settings is not None and settings.teacher != chosen:
        raise GateError("it was trained with other settings", where="teacher", fix="train it again")
    with deterministic(chosen.threads, card["seed"]):  # building draws random weights; leave the caller's state alone
        model = PLE(normaliser, specs, chosen, structure=structure)
    model.load_state_dict(load(files[WEIGHTS]))
    model.eval()
    return TeacherResult(
        model=model,
        normaliser=normaliser,
        structure=structure,
        settings=chosen,
        history=tuple(EpochRecord(**record) for record in card["history"]),
        best_epoch=card["best_epoch"],
        parameter_table=parameter_table(model),
        calibration={name: Calibration(**fitted) for name, fitted in card["calibration"].items()},
        fitted_on={name: FittedRows.from_json(rows) for name, rows in card["fitted_on"].items()},
        seed=card["seed"],
        training_fingerprint=TrainingFingerprint(**stored) if (stored := card.get("training_fingerprint")) else None,
    )


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
