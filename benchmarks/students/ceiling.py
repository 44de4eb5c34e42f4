"""The noise ceiling: how faithful one teacher is to another that differs from it in nothing but the seed of its training.

No copy need be closer to its teacher than that, and a difference between two customers that another seed would turn round is
none that a copy could be asked to keep.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.table import Table

from benchmarks.students.home import Home
from finai_assets.settings import Settings, config_folders, load_settings
from finai_assets.settings.method import NoiseCeiling
from finai_assets.students.fidelity_measures import Compared, figures_of, output_of
from finai_assets.teacher.train import predict, train_teacher
from finai_assets.training.matrix import MatrixTask, TrainingMatrix
from finai_resources.errors import ConfigError
from finai_resources.progress import report_progress

Predictions = Mapping[str, np.ndarray]

_DIGITS = 4
_HEADER = (
    "# What one teacher as the copy of another reaches on test rows: they differ in the seed of training alone.\n"
    "# `python -m benchmarks.students ceiling --write` measures it; do not edit by hand.\n"
)
_SHOWN = ("explained_variance", "rank_correlation", "pair_order", "decile_overlap", "kl_share", "agreement")


def measure_ceiling(matrix: TrainingMatrix, teachers: Mapping[int, Predictions], settings: Settings) -> NoiseCeiling:
    """Measure each task on test rows, with every ordered pair of teachers as teacher and copy.

    Parameters
    ----------
    teachers : dict of seed to dict of task to float [n] or [n, classes]
        Predictions of every row of the matrix; the first teacher is the one that is copied, and its predictions of validation
        rows say where a decision is made.

    Raises
    ------
    ConfigError
        There is only one teacher, or one predicts other rows or tasks.
    """
    _require_comparable(matrix, teachers)
    tasks = {}
    for number, task in enumerate(matrix.tasks):
        report_progress(f"ceiling of {task.name}", number, len(matrix.tasks))
        tasks[task.name] = _of_task(task, matrix, [seen[task.name] for seen in teachers.values()], settings)
    rows = matrix.rows("test")
    return NoiseCeiling.model_validate(
        {
            "teacher": settings.digest("teacher"),
            "seeds": tuple(teachers),
            "rows": rows.stop - rows.start,
            "tasks": tasks,
        }
    )


def _of_task(
    task: MatrixTask, matrix: TrainingMatrix, predictions: Sequence[np.ndarray], settings: Settings
) -> dict[str, Any]:
    test = matrix.rows("test")
    seen = [np.asarray(values[test], dtype=np.float64) for values in predictions]
    outputs = np.stack([output_of(task.kind, values) for values in seen])
    noise = float(np.sqrt(outputs.var(axis=0, ddof=1).mean()))
    threshold = _threshold(task, matrix, predictions[0])
    label = np.asarray(matrix.labels[task.name][test], dtype=np.float64)
    decile = settings.students.deciding_decile.get(task.name, "highest")
    metrics = settings.metrics.model_copy(update={"bootstrap_samples": 1})  # the values alone are stored
    found = [
        figures_of(
            Compared(task.kind, teacher, copy, label, matrix.customer[test], threshold, decile, noise),
            metrics,
            settings.seed,
        )
        for teacher, copy in permutations(seen, 2)
    ]
    means = {name: float(np.mean([figures[name].value for figures in found])) for name in found[0]}
    return {
        "noise": round(noise, _DIGITS),
        "figures": {name: round(value, _DIGITS) for name, value in means.items() if np.isfinite(value)},
    }


def _threshold(task: MatrixTask, matrix: TrainingMatrix, first: np.ndarray) -> float | None:
    """Return the probability above which as many labelled validation rows lie as are positive."""
    if task.kind != "binary":
        return None
    rows = matrix.rows("validation")
    label = np.asarray(matrix.labels[task.name][rows], dtype=np.float64)
    known = np.isfinite(label)
    told = np.asarray(first[rows], dtype=np.float64)[known]
    return float(np.quantile(told, 1 - label[known].mean())) if known.any() else None


def _require_comparable(matrix: TrainingMatrix, teachers: Mapping[int, Predictions]) -> None:
    if len(teachers) < 2:
        raise ConfigError(
            "one teacher says nothing about another", where="ceiling", fix="give --seeds or --predictions"
        )
    for seed, seen in teachers.items():
        for task in matrix.tasks:
            expected = (len(matrix), task.classes) if task.kind == "multiclass" else (len(matrix),)
            shape = seen[task.name].shape if task.name in seen else None
            if shape != expected:
                raise ConfigError(
                    f"the teacher of seed {seed} predicts {task.name} as {shape}, the matrix asks for {expected}",
                    where="ceiling",
                    fix="predict every row of this home's training matrix",
                )


def teachers_of(
    home: Home, more: Iterable[int], stored: Iterable[Path], threads: int | None, save: Path | None
) -> dict[int, Predictions]:
    """Return the predictions of the home's teacher, of stored ones and of new ones, by seed.

    Parameters
    ----------
    more
        Seeds of the teachers to train.
    stored
        Files that :func:`save_predictions` wrote.
    threads
        Of training; where None, those of the settings.
    save
        Where the new teachers' predictions are kept.

    Raises
    ------
    ConfigError
        Stored predictions cannot be read, or are of a seed that is already there.
    """
    found: dict[int, Predictions] = {home.teacher.seed: home.predictions}
    for path in stored:
        if (seed := seed_of(path)) in found:
            raise ConfigError(f"there is another teacher of seed {seed}", where=str(path), fix="leave one of them out")
        found[seed] = load_stored(path)
    for seed in more:
        predictions = train_another(home, seed, threads)
        if save is not None:
            save_predictions(save, seed, predictions)
        found[seed] = predictions
    return found


def train_another(home: Home, seed: int, threads: int | None) -> dict[str, np.ndarray]:
    """Train a teacher with another seed on the stored matrix, and return its predictions of every row."""
    chosen = home.settings
    own = {"seed": seed} if threads is None else {"seed": seed, "teacher": {"threads": threads}}
    settings = load_settings(chosen.dataset.name, chosen.profile, overrides=own)
    trained = train_teacher(home.matrix, home.platform.registry, home.platform.available_tasks, settings)
    return predict(trained, home.matrix.X, settings.teacher.batch_rows, home.matrix.side)[0]


def save_predictions(path: Path, seed: int, predictions: Predictions) -> Path:
    """Write predictions to ``<name>_<seed>.npz`` and return the file."""
    target = path.with_name(f"{path.stem}_{seed}.npz")
    target.parent.mkdir(parents=True, exist_ok=True)
    np.savez(target, **dict(predictions))  # type: ignore[arg-type]
    return target


def load_stored(path: Path) -> dict[str, np.ndarray]:
    """Read a file of predictions, arrays by task.

    Raises
    ------
    ConfigError
        It is none.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        raise ConfigError(f"it cannot be read ({error})", where=str(path), fix="save the predictions again") from error


def seed_of(path: Path) -> int:
    """Return the seed at the end of a file's name.

    Raises
    ------
    ConfigError
        There is none.
    """
    found = re.search(r"_(\d+)$", path.stem)
    if found is None:
        raise ConfigError("its name does not end with _<seed>", where=str(path), fix="name it as --save does")
    return int(found[1])


def write_ceiling(ceiling: NoiseCeiling, settings: Settings, folder: Path | None = None) -> Path:
    """Write the layer of the settings of this data set and profile, and return the file; by default beside the configuration."""
    folder = folder or config_folders().all[-1] / "noise_ceilings"
    path = folder / f"{settings.dataset.name}-{settings.profile}.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(ceiling.model_dump(mode="json"), sort_keys=False, default_flow_style=None, width=120)
    path.write_text(_HEADER + text, encoding="utf-8")
    return path


def render(ceiling: NoiseCeiling) -> Table:
    """Return the table of a ceiling."""
    table = Table(
        title=f"One teacher as the copy of another: {len(ceiling.seeds)} seeds, {ceiling.rows:,} test rows",
        title_justify="left",
    )
    table.add_column("task")
    for name in ("noise", *_SHOWN):
        table.add_column(name, justify="right")
    for task, measured in ceiling.tasks.items():
        cells = [f"{measured.figures[name]:.3f}" if name in measured.figures else "" for name in _SHOWN]
        table.add_row(task, f"{measured.noise:.3f}", *cells)
    return table
