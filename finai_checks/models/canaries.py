"""C18, C23 and C28, the inputs that prove them: models on both sides of their floors, and models that cannot be reproduced."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from finai_assets.asset_graph import MATRIX, TEACHER, student_asset
from finai_assets.made_with import EXTRA, made_with
from finai_assets.scoring.resampling import Interval
from finai_assets.settings import Settings
from finai_assets.settings.checks import MetricFloorSettings
from finai_assets.students.card import CARD as STUDENT_CARD
from finai_assets.students.fidelity import AT_LEAST, Fidelity, compare_fidelity
from finai_assets.teacher.result import TrainingFingerprint
from finai_assets.teacher.store import CARD, WEIGHTS
from finai_assets.training.matrix import ARRAY
from finai_checks.framework.check import NO_EVIDENCE, Canary, LakeCanary
from finai_checks.framework.small_lake import STUDENT, SmallLake
from finai_checks.models.checks import METRIC_FLOOR, REPRODUCIBLE, STUDENT_FIDELITY, TEACHER_IS_REPRODUCIBLE
from finai_checks.models.fidelity import student_fidelity
from finai_checks.models.fidelity_canaries import fidelity_canaries
from finai_checks.models.metric_floor import student_floor, teacher_floor
from finai_checks.models.reproduction import Replay, reproducible, teacher_is_reproducible

Card = dict[str, Any]


def plain_canaries(settings: Settings) -> list[Canary]:
    """Return cards of models, evaluations, records and replays that the checks must let pass or reject."""
    rules = settings.checks.metric_floor.model_copy(
        update={"declared": {"weak": "the rules read its score as a hint only"}}
    )
    measured = fidelity_canaries(STUDENT_FIDELITY, settings)
    return [*_students(rules), *_teachers(rules), *_fidelities(settings), *measured, *_records(), *_replays()]


# ---- C18


def _students(rules: MetricFloorSettings) -> list[Canary]:
    def canary(
        label: str, expects: str | None, card: Card | None, task: str = "churn_signal", *, withheld: bool = False
    ) -> Canary:
        return Canary(METRIC_FLOOR, label, expects, lambda: student_floor(task, card, rules, withheld=withheld))

    unmeasured = _card()
    unmeasured["trivial"]["over"] = {}
    return [
        canary("a student above its floor", None, _card()),
        canary("a copy above the floor, of a teacher above it", None, _card(route="DISTILL")),
        canary("classes predicted better than by persistence", None, _card("multiclass", 0.5, over=-0.1, trivial="persistence")),
        canary("a regression that explains something", None, _card("regression", 0.08, over=0.08)),
        canary("a task that the rules serve", None, _card(route="SKIP")),
        canary("a student below the floor that is declared", None, _card(value=0.56), task="weak"),
        canary("an interval that reaches below the floor", "student: auc 0.5600 [0.5400, 0.5800], floor 0.55", _card(value=0.56)),
        canary("a regression that may explain nothing", "student: r2 0.0100 [-0.0100, 0.0300], floor 0",
               _card("regression", 0.01, over=0.01)),
        canary("49 positives", "49 positives, 50 are needed", _card(positives=49)),
        canary("better than the prior, worse than persistence", "over the trivial forecast (persistence)",
               _card("multiclass", 0.057, over=0.001, half=0.0005, trivial="persistence")),
        canary("no clear gain over the trivial forecast", "auc +0.0100 [-0.0100, +0.0300] over the trivial", _card(over=0.01)),
        canary("a good copy of a teacher below the floor", "teacher: auc 0.5600", _card(route="DISTILL", teacher=0.56)),
        canary("a direct student above the floor, whose copy is withheld", None,
               _with_direct(0.7, of_copy=0.52), withheld=True),
        canary("a direct student below the floor, whose good copy is withheld", "direct: auc 0.5400 [0.5200, 0.5600], floor 0.55",
               _with_direct(0.54), withheld=True),
        canary("a direct student without a score, whose copy is withheld", NO_EVIDENCE, _card(route="DISTILL"), withheld=True),
        canary("a student that was never compared with the trivial forecast", NO_EVIDENCE, unmeasured),
        canary("a student that was never evaluated", NO_EVIDENCE, {"route": "DIRECT", "kind": "binary", "metrics": {}}),
        canary("no student", NO_EVIDENCE, None),
    ]  # fmt: skip


def _teachers(rules: MetricFloorSettings) -> list[Canary]:
    def evaluation(**values: float) -> dict[str, Any]:
        tasks = {}
        for name, value in values.items():
            metrics = _metrics("binary", value, positives=200, half=0.02)
            tasks[name] = {"kind": "binary", "test": {
                "n": 1000, "metrics": {"teacher": metrics}, "trivial": "prior",
                "teacher_minus": {"trivial": _estimate(value - 0.5)}}}  # fmt: skip
        return {"tasks": tasks}

    def canary(label: str, expects: str | None, stored: Mapping[str, Any] | None) -> Canary:
        return Canary(METRIC_FLOOR, label, expects, lambda: teacher_floor(stored, ["a", "b"], rules))

    return [
        canary("a teacher with one task below the floor, which is named", None, evaluation(a=0.7, b=0.52)),
        canary("a task that is missing", "no test row of b is evaluated", evaluation(a=0.7)),
        canary("a teacher that is above no floor", "no task is above the floor", evaluation(a=0.52, b=0.53)),
        canary("no evaluation", NO_EVIDENCE, None),
    ]


def _card(kind: str = "binary", value: float = 0.7, *, over: float = 0.2, route: str = "DIRECT", positives: int = 200,
          half: float = 0.02, trivial: str = "prior", teacher: float = 0.75) -> Card:  # fmt: skip
    """Return what C18 reads of ``student.json``: a score of ``value``, which beats the trivial forecast by ``over``."""
    above = {"student": value} if route != "SKIP" else {}
    above |= {"teacher": teacher}
    test = {
        who: _metrics(kind, score, positives=positives, half=half) for who, score in {**above, "prior": 0.5}.items()
    }
    gains = {who: _estimate(over if who == "student" else score - 0.5, half) for who, score in above.items()}
    return {"route": route, "kind": kind, "reason": "", "metrics": {"test": test},
            "trivial": {"name": trivial, "over": gains}}  # fmt: skip


def _with_direct(value: float, of_copy: float = 0.7) -> Card:
    """Return the card of a copy and, behind it, a direct student whose score is ``value``."""
    card, behind = _card(value=of_copy, route="DISTILL", teacher=of_copy), _card(value=value, over=value - 0.5)
    card["metrics"]["test"]["direct"] = behind["metrics"]["test"]["student"]
    card["trivial"]["over"]["direct"] = behind["trivial"]["over"]["student"]
    return card


def _metrics(kind: str, value: float, *, positives: int, half: float) -> dict[str, Any]:
    if kind == "binary":
        return {"auc": _estimate(value, half), "prevalence": _estimate(positives / 1000)}
    if kind == "multiclass":
        return {"log_loss": _estimate(value, half), "accuracy": _estimate(1 - positives / 1000)}
    return {"r2": _estimate(value, half, n=positives)}


def _estimate(value: float, half: float = 0.02, n: int = 1000) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "n": n, "note": ""}


# ---- C23


def _fidelities(settings: Settings) -> list[Canary]:
    floors = settings.students.fidelity
    perfect = {name: _figure(float(name in AT_LEAST)) for name in ("kl", *floors.binary)}

    def copy(kl: float = 0.1, n: int = 100) -> Card:
        verdict = compare_fidelity("binary", Fidelity({**perfect, "kl": _figure(kl)}, n, n), floors)
        return {"route": "DISTILL", "kind": "binary", "reason": "", "fidelity": verdict.to_json()}

    def canary(label: str, expects: str | None, card: Card | None) -> Canary:
        return Canary(STUDENT_FIDELITY, label, expects, lambda: student_fidelity("churn_signal", card, floors))

    metrics = {"test": {"student": {"auc": {"n": 100}}}}
    direct = {"route": "DIRECT", "kind": "binary", "reason": ""}
    return [
        canary("a copy within its floors", None, copy(0.1)),
        canary("a student that imitates no teacher, evaluated", None, {**direct, "metrics": metrics}),
        canary("a copy over its floor", f"kl 0.9 (floor {floors.kl})", copy(0.9)),
        canary("a copy that was never compared", NO_EVIDENCE, {**copy(), "fidelity": None}),
        canary("a copy compared on no row", NO_EVIDENCE, copy(n=0)),
        canary("a student that imitates no teacher and was never evaluated", NO_EVIDENCE, direct),
        canary("no student", NO_EVIDENCE, None),
    ]


def _figure(value: float) -> Interval:
    return Interval(value, value, value)


# ---- C28


def _records() -> list[Canary]:
    clean: dict[str, Any] = {**made_with(7), "commit": "0" * 40, "clean": True, "source_fault": "", "lock": "1" * 64}
    data = {MATRIX: True}

    def canary(
        label: str,
        expects: str | None,
        record: Mapping[str, Any] | None = clean,
        *,
        sources: Mapping[str, bool] = data,
        **changed: Any,
    ) -> Canary:
        made = {TEACHER: {**record, **changed} if record else None}
        return Canary(REPRODUCIBLE, label, expects, lambda: reproducible(made, seed=7, sources=sources))

    return [
        canary("a teacher of a clean commit, with every fact recorded", None),
        canary("a tree with changes", "made from an unclean tree (not committed: finai_assets/scoring/metrics.py)", clean=False,
               source_fault="not committed: finai_assets/scoring/metrics.py"),
        canary("an installed package", "the commit is unknown (the packages are no git checkout)", commit=None, clean=None,
               source_fault="the packages are no git checkout"),
        canary("no lock file", "teacher/ple: no hash of a lock file", lock=None),
        canary("another seed than the configuration's", "made with seed 8, the configuration has 7", seed=8),
        canary("a library whose version is unknown", "no version of torch", versions={**clean["versions"], "torch": None}),
        canary("a CPU that is unknown", "the features of its CPU are not recorded", machine={}),
        canary("a matrix that has changed since", "teacher/training_matrix is not recorded, or has changed since",
               sources={MATRIX: False}),
        canary("a teacher without a record", "does not say what it was made with", None),
        Canary(REPRODUCIBLE, "no model", NO_EVIDENCE, lambda: reproducible({}, seed=7, sources=data)),
    ]  # fmt: skip


def _replays() -> list[Canary]:
    stored, another = TrainingFingerprint(6, "a" * 64), TrainingFingerprint(6, "b" * 64)
    same, other = Replay(stored, 500, {}), Replay(another, 500, {})

    def canary(
        label: str, expects: str | None, recorded: TrainingFingerprint | None, *replays: Replay, **more: Any
    ) -> Canary:
        judge = partial(teacher_is_reproducible, recorded, replays, **more)
        return Canary(TEACHER_IS_REPRODUCIBLE, label, expects, judge)

    return [
        canary("two processes that reproduce what was stored", None, stored, same, same),
        canary("a training whose first steps differ now", "leave other weights than when it was trained", stored, other, other),
        canary("another machine, another fingerprint", "made elsewhere: another cpu features", stored, other, other,
               elsewhere=["another cpu features"]),
        canary("processes that differ", "2 processes differ from each other", stored, same, other),
        canary("predictions that differ in one process", "stored predictions: churn_signal (3)", stored, same,
               Replay(stored, 500, {"churn_signal": 3})),
        canary("a teacher without a fingerprint", NO_EVIDENCE, None, same, same),
        canary("no replay", NO_EVIDENCE, stored),
    ]  # fmt: skip


# ---- on the small lake


def lake_canaries() -> list[LakeCanary]:
    """Return the small lake's student and teacher, and spoiled ones.

    None for C23: the one student of the small lake need not imitate its teacher. tests/finai_checks/models judges a stored copy.
    """
    student = student_asset(STUDENT)
    return [
        LakeCanary(METRIC_FLOOR, student, "a student as it was measured"),
        LakeCanary(METRIC_FLOOR, student, "the same student measured on customers whose labels were shuffled",
                   "floor 0.55", _labels_shuffled),
        LakeCanary(REPRODUCIBLE, TEACHER, "a teacher that was made with another seed", "made with seed 8", _another_seed),
        LakeCanary(REPRODUCIBLE, TEACHER, "a matrix written again since", "training_matrix is not recorded, or has changed",
                   _one_value_of_the_matrix),
        LakeCanary(TEACHER_IS_REPRODUCIBLE, TEACHER, "a teacher as it was trained"),
        LakeCanary(TEACHER_IS_REPRODUCIBLE, TEACHER, "one bit of a stored weight, and of the stored fingerprint",
                   "leave other weights than when it was trained; the stored weights do not reproduce", _one_bit),
    ]  # fmt: skip


def _labels_shuffled(small: SmallLake) -> None:
    """Measure the student on shuffled test labels, and keep the route that validation rows chose."""
    card = json.loads(small.files(student_asset(STUDENT))[STUDENT_CARD])
    small.shuffle_labels(STUDENT, "test")
    small.distil(STUDENT)
    again = json.loads(small.files(student_asset(STUDENT))[STUDENT_CARD])
    assert again["route"] == card["route"]  # noqa: S101 - test rows choose nothing


def _another_seed(small: SmallLake) -> None:
    """Change the seed in the record of what the teacher was made with; its files stay."""
    manifest, files = small.lake.manifest(TEACHER), small.files(TEACHER)
    extra = {**manifest.extra, EXTRA: {**manifest.extra[EXTRA], "seed": 8}}
    with small.lake.write(TEACHER, extra=extra, upstream=manifest.upstream) as out:
        for role, content in files.items():
            out.put(role, content)


def _one_value_of_the_matrix(small: SmallLake) -> None:
    content = bytearray(small.files(MATRIX)[ARRAY])
    content[-4] ^= 1
    small.put_files(MATRIX, {ARRAY: bytes(content)})


def _one_bit(small: SmallLake) -> None:
    files = small.files(TEACHER)
    weights, card = load(files[WEIGHTS]), json.loads(files[CARD])
    name = next(name for name in sorted(weights) if name.endswith("head.bias"))
    bits = weights[name].copy().view(np.uint32)
    bits[0] ^= 1 << 20  # of the mantissa: a change of an eighth
    weights[name] = bits.view(np.float32)
    fingerprint = card["training_fingerprint"]
    fingerprint["digest"] = f"{int(fingerprint['digest'], 16) ^ 1:064x}"
    small.put_files(TEACHER, {WEIGHTS: save(weights), CARD: json.dumps(card).encode()})
