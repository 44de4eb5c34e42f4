"""``student.json``: the fields of a student beside its trees, as one typed object that only this module writes and reads.

The serving code reads the bundle and has a reader of its own. docs/student-format.md describes the fields.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, get_args

from finai_assets.asset_graph import student_asset
from finai_assets.scoring.calibration import NO_CALIBRATOR
from finai_assets.scoring.links import Link
from finai_assets.students.route import RouteName
from finai_resources.errors import BundleError
from finai_resources.json_text import to_json
from finai_resources.lake_session import LakeSession

FORMAT = 4
CARD, MODEL, DIRECT_MODEL = "student.json", "model.txt", "direct.txt"
_FIX = "distil the student again with this version of the code"


@dataclass(frozen=True, slots=True)
class DirectCard:
    """The direct student that stands behind a copy; the fields mean what those of the same names mean in :class:`StudentCard`."""

    columns: tuple[str, ...]
    output_transform: Link
    init_score: tuple[float, ...]
    calibrator: Mapping[str, Any]
    threshold: float | None
    trees: int
    leaves: int
    model_bytes: int

    def values(self) -> dict[str, Any]:
        """Return the fields by name, as JSON holds them."""
        return _as_json(asdict(self))


@dataclass(frozen=True, slots=True)
class StudentCard:
    """The content of ``student.json``, in the order in which it is stored.

    Parameters
    ----------
    columns
        Inputs of the model, in order; empty where the route is SKIP.
    metrics
        Split, model (student, direct, teacher, prior) and metric to an estimate's ``value``, ``low``, ``high``, ``n``, ``note``.
    trivial
        ``name`` of the trivial forecast, and ``over``: by model, how much better than it is on test.
    over_teacher
        How much better than the teacher the served student is on test: the estimate of the paired difference of the primary
        metric; None where the task is skipped.
    fidelity
        ``passed``, ``n``, ``labelled`` and ``verdicts``; None where the student copies no teacher.
    explains
        Gain of each input.
    fitted_on
        For each fitted part, which rows it has seen.
    direct
        The direct student in ``direct.txt``, which serves the task as layer 2 where the copy cannot; None unless the route is
        DISTILL.
    routes
        What each policy would choose.
    """

    task: str
    kind: str
    classes: int
    class_labels: tuple[str, ...]
    route: RouteName
    reason: str
    columns: tuple[str, ...]
    output_transform: Link
    init_score: tuple[float, ...]
    calibrator: Mapping[str, Any]
    threshold: float | None
    metrics: Mapping[str, Any]
    trivial: Mapping[str, Any]
    over_teacher: Mapping[str, Any] | None
    fidelity: Mapping[str, Any] | None
    trees: int
    leaves: int
    model_bytes: int
    explains: Mapping[str, float]
    fitted_on: Mapping[str, Any]
    direct: DirectCard | None
    routes: Mapping[str, RouteName]

    @property
    def columns_read(self) -> tuple[str, ...]:
        """Return the columns that any model of the task reads, those of the deployed one first."""
        return tuple(dict.fromkeys((*self.columns, *(self.direct.columns if self.direct else ()))))

    def values(self) -> dict[str, Any]:
        """Return the fields by name, as JSON holds them."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return _as_json({**found, "direct": self.direct.values() if self.direct else None})

    def to_bytes(self) -> bytes:
        """Return the file; equal cards have equal bytes."""
        return to_json({"format": FORMAT, **self.values()}, indent=1)

    @classmethod
    def from_bytes(cls, content: bytes, *, where: str) -> StudentCard:
        """Read what :meth:`to_bytes` wrote.

        Parameters
        ----------
        where
            The student, for errors.

        Raises
        ------
        BundleError
            The format or the route is another one, or a field is missing.
        """
        stored = json.loads(content)
        if stored.get("format") != FORMAT:
            raise BundleError(
                f"a student of format {stored.get('format')}, this code reads {FORMAT}", where=where, fix=_FIX
            )
        found = _fields(cls, stored, where)
        if stored["route"] not in get_args(RouteName):
            raise BundleError(f"unknown route {stored['route']!r}", where=where, fix=_FIX)
        direct = stored["direct"]
        return cls(**{**found, "direct": direct and DirectCard(**_fields(DirectCard, direct, f"{where}: direct"))})


def _as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _fields(of: type[StudentCard | DirectCard], stored: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the stored values of all fields of a card, lists as tuples."""
    names = [field.name for field in fields(of)]
    if missing := [name for name in names if name not in stored]:
        raise BundleError(f"the card lacks {', '.join(missing)}", where=where, fix=_FIX)
    return {name: tuple(stored[name]) if isinstance(stored[name], list) else stored[name] for name in names}


def card_of(files: Mapping[str, bytes], *, task: str | None = None) -> StudentCard:
    """Return the card among a student's files.

    Parameters
    ----------
    task
        Where given, whose card it must be.

    Raises
    ------
    BundleError
        The card cannot be read, is another task's, or its route does not go with the files: a model is there exactly where the
        route is not SKIP, and a direct student beside it exactly where the route is DISTILL.
    """
    where = student_asset(task) if task else "students"
    card = StudentCard.from_bytes(files[CARD], where=where)
    if card.task != (task or card.task):
        raise BundleError(f"the card belongs to task {card.task!r}", where=where, fix=_FIX)
    if (card.route == "SKIP") == (MODEL in files):
        raise BundleError(
            f"route {card.route} {'with' if MODEL in files else 'without'} a model", where=where, fix=_FIX
        )
    distilled = card.route == "DISTILL"
    if distilled != (card.direct is not None) or distilled != (DIRECT_MODEL in files):
        raise BundleError(
            f"route {card.route} {'without' if distilled else 'with'} a direct student beside it", where=where, fix=_FIX
        )
    return card


def untrained(task: str, **changed: Any) -> StudentCard:
    """Return the card of an untrained student with some fields changed, for the canaries of checks."""
    card = StudentCard(
        task=task,
        kind="binary",
        classes=1,
        class_labels=(),
        route="SKIP",
        reason="",
        columns=(),
        output_transform="identity",
        init_score=(),
        calibrator=NO_CALIBRATOR,
        threshold=None,
        metrics={},
        trivial={},
        over_teacher=None,
        fidelity=None,
        trees=0,
        leaves=0,
        model_bytes=0,
        explains={},
        fitted_on={},
        direct=None,
        routes={},
    )
    return replace(card, **changed)


def read_card(session: LakeSession, asset: str) -> StudentCard:
    """Return the card of a stored student, e.g. ``students/churn_signal``.

    Raises
    ------
    BundleError
        The card cannot be read.
    LakeError
        It is not stored.
    """
    return StudentCard.from_bytes(session.read_bytes(asset, None, CARD), where=asset)
