"""The fidelity gate: which models of which layer travel in a bundle, and what its manifest says of each task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finai_assets.asset_graph import BUNDLE
from finai_assets.labels.task import Task, available
from finai_assets.scoring.calibration import NO_CALIBRATOR
from finai_assets.settings.method import FidelitySettings
from finai_assets.students.card import CARD, DIRECT_MODEL, MODEL, DirectCard, StudentCard, card_of
from finai_assets.students.fidelity import compare_stored
from finai_resources.errors import GateError
from finai_resources.json_text import plain
from serving_lambda.bundle import MODEL_FOLDER
from serving_lambda.scorer import LAYER_OF_ROUTE

StudentFiles = Mapping[str, bytes]
# The fields of a student's card that serving reads, and those that tell its origin.
_CARD_FIELDS = (
    "task", "kind", "classes", "class_labels", "route", "reason", "columns", "output_transform", "init_score", "calibrator",
    "threshold", "metrics", "fidelity", "trees", "leaves",
)  # fmt: skip
_DIRECT_FIELDS = (
    "columns", "output_transform", "init_score", "calibrator", "threshold", "trees", "leaves",
)  # fmt: skip
# What a task's entry says of the model of its first layer where that does not travel.
_NO_MODEL: dict[str, Any] = {
    "columns": [],
    "init_score": [],
    "calibrator": dict(NO_CALIBRATOR),
    "threshold": None,
    "trees": 0,
    "leaves": 0,
}


@dataclass(frozen=True)
class TaskLayers:
    """One task in a bundle: its student's files, and what keeps its copy out of it.

    Parameters
    ----------
    card
        The student's card.
    files
        Its files.
    withheld
        Why the copy does not travel, so that layer 2 serves its task; empty where it does, or where there is no copy.
    """

    card: StudentCard
    files: StudentFiles
    withheld: str = ""

    @property
    def copies(self) -> bool:
        """Whether a copy of the teacher travels."""
        return self.card.route == "DISTILL" and not self.withheld

    def models(self) -> dict[str, tuple[StudentCard | DirectCard, bytes]]:
        """Return the models that travel: name of the file to card and text, the best layer first."""
        found: dict[str, tuple[StudentCard | DirectCard, bytes]] = {}
        if MODEL in self.files and not self.withheld:
            found[f"{MODEL_FOLDER}{self.card.task}.txt"] = (self.card, self.files[MODEL])
        if self.card.direct is not None:
            found[f"{MODEL_FOLDER}{self.card.task}.direct.txt"] = (self.card.direct, self.files[DIRECT_MODEL])
        return found

    def entry(self) -> dict[str, Any]:
        """Return the task's entry in the manifest."""
        values, models = self.card.values(), self.models()
        file_of = {type(card): name for name, (card, _) in models.items()}
        entry = {name: plain(values[name]) for name in _CARD_FIELDS}
        if self.withheld:
            entry |= {**_NO_MODEL, "reason": f"{self.card.reason}; layer 2 serves the task: {self.withheld}"}
        direct = values["direct"] and {name: plain(values["direct"][name]) for name in _DIRECT_FIELDS}
        return {
            **entry,
            "served_by": LAYER_OF_ROUTE["DIRECT" if self.withheld else self.card.route],
            "model": file_of.get(StudentCard),
            "direct": direct and {**direct, "model": file_of[DirectCard]},
        }


def gated_layers(
    students: Mapping[str, StudentFiles],
    tasks: Sequence[Task],
    floors: FidelitySettings,
    overridden: Mapping[str, str],
) -> dict[str, TaskLayers]:
    """Return each available task with its models, in task order, after the gates.

    Parameters
    ----------
    overridden
        Task to the text of the override that lets a copy miss a floor. Such a copy does not travel, with or without one: layer 2
        serves its task. Without one C23 has failed, and the bundle is not promoted.

    Raises
    ------
    GateError
        A task has no student, there is a student too many, or a copy was never compared with its teacher.
    BundleError
        A card cannot be read.
    """
    names = [task.name for task in available(tuple(tasks))]
    if missing := [name for name in names if name not in students or CARD not in students[name]]:
        raise GateError(
            f"{len(missing)} tasks have no student: {', '.join(missing)}",
            where=BUNDLE,
            fix="distil them, or declare them in dataset.unavailable_tasks with the reason",
        )
    if extra := sorted(set(students) - set(names)):
        raise GateError(
            f"students of tasks that are not available: {', '.join(extra)}",
            where=BUNDLE,
            fix="leave them out",
        )
    cards = {name: card_of(students[name], task=name) for name in names}
    require_compared(cards.values(), floors)
    return {
        name: TaskLayers(card, students[name], withheld_by(card, floors, overridden.get(name)))
        for name, card in cards.items()
    }


def require_compared(cards: Iterable[StudentCard], floors: FidelitySettings) -> None:
    """Refuse copies that were never compared with their teacher, whatever was signed.

    Raises
    ------
    GateError
        There is one.
    """
    refused = [card.task for card in cards if card.route == "DISTILL" and compare_stored(card.values(), floors) is None]
    if refused:
        raise GateError(
            f"{len(refused)} copies were never compared with their teacher: {', '.join(refused)}",
            where=BUNDLE,
            fix="distil these students again",
        )


def withheld_by(card: StudentCard, floors: FidelitySettings, overridden: str | None) -> str:
    """Return why a copy does not travel; empty where it does, or where there is none."""
    verdict = compare_stored(card.values(), floors) if card.route == "DISTILL" else None
    if verdict is None or verdict.passed:
        return ""
    return overridden or f"the copy is over a floor on test rows: {', '.join(verdict.failures)}"
