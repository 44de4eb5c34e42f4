"""C14: neither the teacher nor a student reads what it must not know of a customer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_assets.settings.method import InputSettings
from finai_assets.students.card import CARD as STUDENT_CARD
from finai_assets.students.card import MODEL, read_card
from finai_assets.teacher.store import teacher_from_files
from finai_assets.training.matrix import TrainingMatrix, load_matrix
from finai_checks.fairness.canaries import copies_gender
from finai_checks.fairness.prohibited_inputs import (
    prohibited,
    prohibited_inputs_absent,
    reacting_tasks,
    read_by_teacher,
)
from finai_checks.fairness.protected import Attribute, Carrier, by_column, carriers, protected_rows
from finai_checks.framework.canary import Canary, LakeCanary
from finai_checks.framework.declaration import Declared, Evaluate, EvaluateTogether, declare, declare_together
from finai_checks.framework.kind import Kind
from finai_checks.framework.outcome import NO_EVIDENCE, CheckOutcome
from finai_checks.framework.small_lake import STUDENT, TEACHER_ASSET, SmallLake
from finai_checks.framework.theme import Theme
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

ABSENT = Kind(
    "C14",
    "prohibited_inputs_absent",
    "the model reads no column that is called like, made from, or one-to-one with what it must not know of a customer",
    blocking=True,
    minimum=1,
    units="columns",
    thresholds=("checks.prohibited_inputs", "inputs.withheld"),
)


def _declare(platform: Platform) -> list[Declared]:
    students = [f"students/{task.name}" for task in platform.available_tasks]
    return [
        declare(ABSENT, TEACHER_ASSET, _teacher(platform), platform.settings),
        *declare_together(ABSENT, students, _students(platform), platform.settings),
    ]


def _sources(platform: Platform) -> dict[str, Sequence[str]]:
    """Return the declared raw inputs of each column, and of each side tensor those of all columns of its group."""
    found: dict[str, Sequence[str]] = {column.name: column.inputs for column in platform.registry.columns}
    for group in platform.registry.available:
        inputs = tuple(sorted({source for column in group.declared for source in column.inputs}))
        found |= {f"{group.name}.{tensor.name}": inputs for tensor in group.tensors}
    return found


def _carried(session: LakeSession, matrix: TrainingMatrix, settings: Settings) -> Mapping[str, Sequence[Carrier]]:
    chosen = settings.checks.prohibited_inputs
    known = protected_rows(session, matrix, customers=chosen.customers, seed=settings.seed)
    X = np.ascontiguousarray(matrix.X[known.rows])
    return by_column(carriers(X, matrix.columns, known.attributes, one_to_one=chosen.one_to_one))


def _teacher(platform: Platform) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        matrix, settings, sources = load_matrix(session), platform.settings, _sources(platform)
        files = {entry.role: session.read_bytes(TEACHER_ASSET, None, entry.role)
                 for entry in session.manifest(TEACHER_ASSET).files}  # fmt: skip
        teacher, chosen = teacher_from_files(files), settings.checks.prohibited_inputs
        read, carried = (
            read_by_teacher(teacher.normaliser.layout, teacher.settings),
            _carried(session, matrix, settings),
        )
        barred = [name for name in prohibited(matrix.columns, sources, carried, chosen) if name not in set(read)]
        reacts = reacting_tasks(teacher, matrix, barred, rows=chosen.probe_rows) if barred else ()
        return prohibited_inputs_absent(
            read, sources, carried, chosen=chosen, reacts=reacts, altered_without_effect=[] if reacts else barred
        )

    return evaluate


def _students(platform: Platform) -> EvaluateTogether:
    def evaluate(session: LakeSession, _month: Month | None, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
        sources, settings = _sources(platform), platform.settings
        carried, found = _carried(session, load_matrix(session), settings), {}
        for asset in assets:
            card = read_card(session, asset)
            if card.route == "SKIP":
                found[asset] = CheckOutcome(True, "route SKIP: no model reads anything", 1, {"route": "SKIP"})
                continue
            text = session.read_bytes(asset, None, MODEL).decode()
            read = tuple(dict.fromkeys([*card.columns, *_names_in(text)]))
            found[asset] = prohibited_inputs_absent(
                read, sources, carried, chosen=settings.checks.prohibited_inputs, route=card.route
            )
        return found

    return evaluate


def _names_in(model: str) -> list[str]:
    """Return the columns that a LightGBM model says it reads."""
    line = next((line for line in model.splitlines() if line.startswith("feature_names=")), "=")
    return line.partition("=")[2].split()


# ---- proof


def _canaries(settings: Settings) -> list[Canary]:
    chosen = settings.checks.prohibited_inputs
    rng = np.random.default_rng(5)
    gender, age = rng.integers(0, 2, 600), rng.integers(18, 90, 600)
    region = rng.choice(3, 600, p=[0.5, 0.3, 0.2])
    band = np.searchsorted([30, 45, 65], age, side="right")
    disability = (np.arange(600) < 30).astype(np.int64)
    attributes = (
        Attribute("gender", ("F", "M"), gender),
        Attribute("age_band", ("a", "b", "c", "d"), band),
        Attribute("region", ("capital", "city", "country"), region),
        Attribute("disability", ("no", "yes"), disability),
    )
    honest = {"age": age, "income": rng.normal(size=600), "visits": rng.poisson(3, 600), "rare": rng.random(600) < 0.03}
    sources = dict.fromkeys(honest, ("raw/snapshots.age",))

    def judge(columns: Mapping[str, np.ndarray], made_from: Mapping[str, Sequence[str]]) -> CheckOutcome:
        X = np.column_stack([np.asarray(values, np.float32) for values in columns.values()])
        found = by_column(carriers(X, tuple(columns), attributes, one_to_one=chosen.one_to_one))
        return prohibited_inputs_absent(tuple(columns), made_from, found, chosen=chosen)

    def canary(label: str, expects: str | None, inputs: Sequence[str] = ("raw/snapshots.age",),
               **added: np.ndarray) -> Canary:  # fmt: skip
        made_from = {**sources, **dict.fromkeys(added, inputs)}
        return Canary(ABSENT, label, expects, lambda: judge({**honest, **added}, made_from))

    unknown = np.where(rng.random(600) < 0.02, np.nan, 7 - 3 * gender)
    return [
        canary("columns that say nothing of an attribute, and an age that is finer than its band", None),
        canary("an age group that is allowed by policy", None, age_group_code=3 - band),
        canary("a column that goes with gender", None, cosmetics=gender + rng.normal(size=600)),
        canary("a column called gender_code", "gender_code is called like gender", gender_code=rng.integers(0, 2, 600)),
        canary("a column made from the raw gender", "made from raw/snapshots.gender: gender",
               inputs=("raw/snapshots.gender",), title_code=rng.integers(0, 2, 600)),
        canary("a column made from a protected attribute", "made from raw/protected_attributes.region",
               inputs=("raw/snapshots.age", "raw/protected_attributes.region"), shopping=rng.normal(size=600)),
        canary("gender under another name and coding, some of it missing", "salutation is gender under another name",
               salutation=unknown),
        canary("a rare attribute under another name", "parking is disability", parking=disability * 2.5),
        canary("one group of an attribute", "metro is region = capital under another name", metro=region == 0),
        canary("an age band under a name that policy does not know", "cohort is age_band", cohort=band),
        Canary(ABSENT, "a column that nobody declares", "shadow is declared by no feature group",
               lambda: judge({**honest, "shadow": honest["income"]}, sources)),
        Canary(ABSENT, "a teacher that answers to what it is not said to read", "predictions of churn_signal follow",
               lambda: prohibited_inputs_absent(["age"], sources, {}, chosen=chosen, reacts=["churn_signal"])),
        Canary(ABSENT, "no column", NO_EVIDENCE, lambda: prohibited_inputs_absent([], sources, {}, chosen=chosen)),
    ]  # fmt: skip


def _lake_canaries() -> list[LakeCanary]:
    student = f"students/{STUDENT}"
    called, copied = "gender_code is called like gender", "is_active is gender under another name"
    return [
        LakeCanary(ABSENT, TEACHER_ASSET, "a teacher from whom gender is withheld"),
        LakeCanary(ABSENT, TEACHER_ASSET, "a teacher that was trained with gender", called, _reads_gender),
        LakeCanary(ABSENT, TEACHER_ASSET, "gender in the place of another column", copied, copies_gender),
        LakeCanary(ABSENT, TEACHER_ASSET, "a group that reads the protected attributes",
                   "is made from raw/protected_attributes.disability", _declares_protected),
        LakeCanary(ABSENT, student, "a student as it was distilled"),
        LakeCanary(ABSENT, student, "a student that lists gender", called, _lists_gender),
    ]  # fmt: skip


def _reads_gender(small: SmallLake) -> None:
    small.retrain(small.settings.model_copy(update={"inputs": InputSettings(withheld={})}))


def _declares_protected(small: SmallLake) -> None:
    small.redeclare(
        "txn_behavior", lambda column: replace(column, inputs=(*column.inputs, "raw/protected_attributes.disability"))
    )


def _lists_gender(small: SmallLake) -> None:
    asset = f"students/{STUDENT}"
    card = json.loads(small.files(asset)[STUDENT_CARD])
    card["columns"][0] = "gender_code"
    small.put_files(asset, {STUDENT_CARD: json.dumps(card).encode()})


THEME = Theme((ABSENT,), _declare, _canaries, _lake_canaries)
