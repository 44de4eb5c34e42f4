"""One run: a variant trained with one seed and scored; and the runs of a study, kept so that a stopped one goes on.

A run's result is one JSON file, replaced whole and named by what it was made from. Within a run the teacher's own checkpoint goes
on; it is removed once the result is on disk. So a process that is killed anywhere loses at most the steps since a checkpoint.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from finai_assets.evaluation.baselines import prior
from finai_assets.scoring.metrics import NAMES, evaluate, scores_under
from finai_assets.teacher.fitting.process_group import ProcessGroup, device_of
from finai_assets.teacher.train import predict, train_teacher
from finai_resources.errors import LakeError
from finai_resources.json_text import number, plain, to_json
from finai_resources.progress import part_of
from finai_resources.whole_file import replace_file
from studies.teacher.skill import skill
from studies.teacher.study import Study
from studies.teacher.variants import Variant

if TYPE_CHECKING:
    from finai_assets.training.matrix import MatrixTask

_DIGITS = 6  # of a resampled metric
Result = dict[str, Any]


def run(study: Study, variant: Variant, seed: int, *, checkpoints: Path | None) -> Result:
    """Train a variant and score it on validation and test rows.

    Parameters
    ----------
    seed : int
        0, 1, ...
    checkpoints : Path or None
        A folder of this run alone. A finished training stays there; the caller removes it.

    Returns
    -------
    dict
        JSON-able. ``tasks.<task>`` holds every metric on validation and test, skill on both, and ``draws``: primary metric and
        skill on test under each resample of the customers, the first without resampling. ``seconds`` is the wall-clock
        time of the epochs, ``overhead`` that of all else; a repetition does not give these two again.
    """
    begun, epochs = time.perf_counter(), [0.0]  # those of this process: a resumed training has seen others before
    settings = variant.apply(study.settings, seed)
    matrix, span = study.matrix, study.span
    trained = train_teacher(
        matrix,
        study.registry,
        matrix.tasks,
        settings,
        after_epoch=lambda record: epochs.append(record.seconds),
        checkpoint_dir=checkpoints,
        processes=ProcessGroup(device_of(settings.teacher.loop.device)),
    )
    side = None if matrix.side is None else matrix.side[span]
    predictions, _ = predict(trained, matrix.X[span], settings.teacher.batch_rows, side)
    return {
        "variant": variant.name,
        "seed": seed,
        "fingerprint": study.fingerprint(variant, seed),
        "parameters": trained.parameter_table["total"],
        "epochs": len(trained.history),
        "best_epoch": trained.best_epoch,
        "validation_score": trained.history[trained.best_epoch - 1].score,
        "tasks": {task.name: _score(study, task, predictions[task.name]) for task in matrix.tasks},
        "seconds": sum(record.seconds for record in trained.history),
        "overhead": time.perf_counter() - begun - sum(epochs),
    }


def _score(study: Study, task: MatrixTask, prediction: np.ndarray) -> dict[str, Any]:
    """Score a task's predictions of the validation and test rows."""
    matrix, settings = study.matrix, study.settings
    once = settings.metrics.model_copy(update={"bootstrap_samples": 1})  # the intervals come from the draws
    train = matrix.labels[task.name][matrix.rows("train")]
    found: dict[str, Any] = {"kind": task.kind}
    for split in ("validation", "test"):
        rows = matrix.rows(split)
        label, customer = matrix.labels[task.name][rows], matrix.customer[rows]
        values = prediction[rows.start - study.span.start : rows.stop - study.span.start]
        scored = evaluate(task.kind, label, values, customer, classes=task.classes, settings=once, seed=settings.seed)
        trivial = prior(task, train, rows.stop - rows.start)
        copies = study.copies if split == "test" else np.ones((1, len(np.unique(customer))))
        skills = skill(task, label, values, trivial, customer, copies)
        found[split] = {
            "n": int(np.isfinite(label).sum()),
            "metrics": {name: number(scored[name].value) for name in NAMES[task.kind]},
            "skill": number(skills[0]),
        }
        if split == "test":
            scores = scores_under(task.kind, label, values, customer, copies, classes=task.classes)
            found["draws"] = {"metric": _rounded(scores), "skill": _rounded(skills)}
    return found


def _rounded(values: np.ndarray) -> list[float | None]:
    return [number(value, _DIGITS) for value in values]


@dataclass(frozen=True, slots=True)
class Unit:
    """A run that a study consists of."""

    variant: Variant
    seed: int
    fingerprint: str

    def __str__(self) -> str:
        return f"{self.variant.name} seed {self.seed}"


def units(study: Study, variants: Sequence[Variant], seeds: int) -> list[Unit]:
    """Return the runs, seed by seed, so that a study that is stopped early has whole seeds."""
    return [Unit(variant, seed, study.fingerprint(variant, seed)) for seed in range(seeds) for variant in variants]


class Runs:
    """The finished runs in a folder.

    Parameters
    ----------
    folder : Path
        Holds a JSON file for each run and, below ``unfinished``, the checkpoint of the run under way. Runs of other rows,
        settings or source may lie there; they have other names and are not seen.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, unit: Unit) -> Path:
        """Return the path of a run's result."""
        return self.folder / f"{unit.variant.name}-{unit.seed}-{unit.fingerprint}.json"

    def checkpoints(self, unit: Unit) -> Path:
        """Return the folder of a run's checkpoint."""
        return self.folder / "unfinished" / unit.fingerprint

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Lock the folder against other processes inside the block; a killed process releases its lock.

        Raises
        ------
        LakeError
            Another process is at it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".claim").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LakeError(
                    "another process runs ablations here", where=str(self.folder), fix="wait for its end, or stop it"
                ) from None
            yield

    def find(self, unit: Unit) -> Result | None:
        """Return a run's result, or None where it is not finished.

        Raises
        ------
        LakeError
            The file is damaged, or says that it is another run's.
        """
        path = self.path(unit)
        if not path.exists():
            return None
        try:
            stored: Result = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise LakeError(f"the result is damaged ({error})", where=str(path), fix="remove the file") from error
        if stored.get("fingerprint") != unit.fingerprint:
            raise LakeError("the file holds another run's result", where=str(path), fix="remove the file")
        return stored

    def put(self, unit: Unit, result: Result) -> None:
        """Store a result, whole and durable, and remove the run's checkpoint."""
        replace_file(self.path(unit), to_json(plain(result), sort_keys=True))
        shutil.rmtree(self.checkpoints(unit), ignore_errors=True)

    def others(self, known: Iterable[Unit]) -> int:
        """Return the number of results in the folder that belong to none of these runs."""
        names = {self.path(unit).name for unit in known}
        return sum(path.name not in names for path in self.folder.glob("*-*-*.json"))


def run_all(
    study: Study,
    planned: Sequence[Unit],
    stored: Runs,
    *,
    each: Callable[[Unit, Result], None] | None = None,
) -> list[Result]:
    """Run the unfinished runs, and return every result in the order of the plan.

    Parameters
    ----------
    each
        Called after each run that was not stored before.
    """
    results = []
    for unit in planned:
        found = stored.find(unit)
        if found is None:
            with part_of(str(unit)):
                found = run(study, unit.variant, unit.seed, checkpoints=stored.checkpoints(unit))
            stored.put(unit, found)
            if each is not None:
                each(unit, found)
        results.append(found)
    return results
