"""C14 and C15, the inputs that prove them: columns, teachers and students that carry a protected attribute or do not."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

import numpy as np

from finai_assets.asset_graph import MATRIX, PROTECTED, TEACHER, student_asset
from finai_assets.features.inputs import AGE, GENDER
from finai_assets.settings import Settings
from finai_assets.settings.checks import Assessment, ProxyStrengthSettings
from finai_assets.settings.method import InputSettings
from finai_assets.students.card import CARD as STUDENT_CARD
from finai_assets.students.card import DIRECT_MODEL, MODEL, DirectCard, StudentCard
from finai_assets.training.matrix import ARRAY, load_matrix
from finai_checks.fairness.checks import ABSENT, STRENGTH
from finai_checks.fairness.prohibited_inputs import prohibited_inputs_absent
from finai_checks.fairness.protected import Attribute, by_column, carriers
from finai_checks.fairness.proxy_strength import proxy_strength
from finai_checks.framework.check import NO_EVIDENCE, Canary, CheckOutcome, LakeCanary
from finai_checks.framework.small_lake import STUDENT, SmallLake


def plain_canaries(settings: Settings) -> list[Canary]:
    """Return columns beside protected attributes that they carry, exactly or in part, or do not carry."""
    return [*_proxies(settings), *_prohibited(settings)]


def _prohibited(settings: Settings) -> list[Canary]:
    policy = settings.checks.prohibited_inputs
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
    sources = dict.fromkeys(honest, (AGE,))

    def judge(columns: Mapping[str, np.ndarray], made_from: Mapping[str, Sequence[str]]) -> CheckOutcome:
        X = np.column_stack([np.asarray(values, np.float32) for values in columns.values()])
        carried = by_column(carriers(X, tuple(columns), attributes, one_to_one=policy.one_to_one))
        return prohibited_inputs_absent(tuple(columns), made_from, carried, policy=policy)

    def canary(label: str, expects: str | None, inputs: Sequence[str] = (AGE,),
               **added: np.ndarray) -> Canary:  # fmt: skip
        made_from = {**sources, **dict.fromkeys(added, inputs)}
        return Canary(ABSENT, label, expects, lambda: judge({**honest, **added}, made_from))

    unknown = np.where(rng.random(600) < 0.02, np.nan, 7 - 3 * gender)
    return [
        canary("columns that say nothing of an attribute, and an age that is finer than its band", None),
        canary("an age group that is allowed by policy", None, age_group_code=3 - band),
        canary("a column that correlates with gender", None, cosmetics=gender + rng.normal(size=600)),
        canary("a column called gender_code", "gender_code has the name of gender", gender_code=rng.integers(0, 2, 600)),
        canary("a column made from the raw gender", "made from raw/snapshots.gender: gender",
               inputs=(GENDER,), title_code=rng.integers(0, 2, 600)),
        canary("a column made from a protected attribute", "made from raw/protected_attributes.region",
               inputs=(AGE, f"{PROTECTED}.region"), shopping=rng.normal(size=600)),
        canary("gender under another name and coding, some of it missing", "salutation is gender under another name",
               salutation=unknown),
        canary("a rare attribute under another name", "parking is disability", parking=disability * 2.5),
        canary("one group of an attribute", "metro is region = capital under another name", metro=region == 0),
        canary("an age band under a name that policy does not know", "cohort is age_band", cohort=band),
        Canary(ABSENT, "a column that no group declares", "shadow is declared by no feature group",
               lambda: judge({**honest, "shadow": honest["income"]}, sources)),
        Canary(ABSENT, "a teacher whose predictions follow an undeclared column", "predictions of churn_signal follow",
               lambda: prohibited_inputs_absent(["age"], sources, {}, policy=policy, reacts=["churn_signal"])),
        Canary(ABSENT, "no column", NO_EVIDENCE, lambda: prohibited_inputs_absent([], sources, {}, policy=policy)),
    ]  # fmt: skip


def _proxies(settings: Settings) -> list[Canary]:
    rng = np.random.default_rng(11)
    n, today = 400, date(2026, 6, 1)
    gender, region = rng.integers(0, 2, n), rng.choice(3, n, p=[0.6, 0.25, 0.15])
    rare = (np.arange(n) < 12).astype(np.int64)
    genders = Attribute("gender", ("F", "M"), gender)
    regions = Attribute("region", ("capital", "city", "country"), region)
    honest = {"income": rng.normal(size=n), "visits": rng.poisson(4, n), "spend": rng.normal(size=n)}
    slightly = {"cosmetics": gender + 2 * rng.normal(size=n)}
    perfectly = {"salutation": 3 - gender}
    jointly = {"left": (hidden := rng.integers(0, 2, n)), "right": hidden ^ gender}  # neither predicts anything alone

    def until(last: date) -> ProxyStrengthSettings:
        entry = Assessment(id="DPIA-7", reason="assessed by the data protection officer", expires=last)
        return base.model_copy(update={"assessments": {"gender": entry}})

    base = settings.checks.proxy_strength.model_copy(
        update={"group_customers": 40, "assessments": {}, "learning_rate": 0.3, "column_share": 1.0}
    )

    def canary(
        label: str,
        expects: str | None,
        columns: dict[str, np.ndarray],
        *attributes: Attribute,
        rules: ProxyStrengthSettings = base,
        openly: tuple[tuple[str, str], ...] = (),
    ) -> Canary:
        def evaluate() -> CheckOutcome:
            X = np.column_stack([np.asarray(values, np.float32) for values in columns.values()])
            return proxy_strength(
                X, tuple(columns), np.arange(n), attributes, openly=openly, rules=rules, confidence=0.95, seed=1,
                threads=1, today=today,
            )  # fmt: skip

        return Canary(STRENGTH, label, expects, evaluate)

    return [
        canary("columns that carry nothing of gender or region", None, honest, genders, regions),
        canary("a column that carries a little of gender", None, {**honest, **slightly}, genders),
        canary("a perfect proxy that was assessed", None, {**honest, **perfectly}, genders, rules=until(date(2026, 6, 1))),
        canary("a column that policy allows to carry gender", None, {**honest, **perfectly}, genders,
               openly=(("gender", "salutation"),)),
        canary("a perfect proxy without an assessment", "gender is predictable: AUC 1.000", {**honest, **perfectly}, genders),
        canary("a perfect proxy whose assessment has expired", "assessment DPIA-7 has expired on 2026-05-31",
               {**honest, **perfectly}, genders, rules=until(date(2026, 5, 31))),
        canary("an assessment of another attribute", "region is predictable", {**honest, "metro": region == 0},
               genders, regions, rules=until(date(2026, 12, 31))),
        canary("a column that reveals one of three groups", "of country > 0.8", {**honest, "village": region == 2}, regions),
        canary("two columns that predict gender only together", "gender is predictable", {**honest, **jointly}, genders),
        canary("a group of twelve customers", "rare: too few customers to judge (no 388, yes 12", honest,
               Attribute("rare", ("no", "yes"), rare)),
        canary("an attribute that is the same for all", "region: too few customers to judge (capital 400", honest,
               Attribute("region", ("capital",), np.zeros(n, np.int64))),
        canary("no protected attribute", NO_EVIDENCE, honest),
    ]  # fmt: skip


def lake_canaries() -> list[LakeCanary]:
    """Return the small lake's matrix, teacher and student, and ones into which a protected attribute has slipped."""
    student = student_asset(STUDENT)
    named, copied = "gender_code has the name of gender", "is_active is gender under another name"
    return [
        LakeCanary(STRENGTH, MATRIX, "a matrix of honest features, with an assessment for age"),
        LakeCanary(STRENGTH, MATRIX, "gender in the place of another column", "gender is predictable", _copies_gender),
        LakeCanary(ABSENT, TEACHER, "a teacher from whom gender is withheld"),
        LakeCanary(ABSENT, TEACHER, "a teacher that was trained with gender", named, _reads_gender),
        LakeCanary(ABSENT, TEACHER, "gender in the place of another column", copied, _copies_gender),
        LakeCanary(ABSENT, TEACHER, "a group that reads the protected attributes",
                   "is made from raw/protected_attributes.disability", _declares_protected),
        LakeCanary(ABSENT, student, "a student as it was distilled"),
        LakeCanary(ABSENT, student, "a student that lists gender", named, _lists_gender),
        LakeCanary(ABSENT, student, "a copy behind which a direct student reads gender", named, _gender_behind_a_copy),
    ]  # fmt: skip


def _copies_gender(small: SmallLake) -> None:
    """Write gender, otherwise coded, into the place of a column that the models read."""
    matrix = load_matrix(small.session)
    X = np.array(matrix.X)
    X[:, matrix.columns.index("is_active")] = 1 - np.abs(X[:, matrix.columns.index("gender_code")] - 1)
    out = io.BytesIO()
    np.save(out, X)
    small.put_files(MATRIX, {ARRAY: out.getvalue()})


def _reads_gender(small: SmallLake) -> None:
    small.retrain(small.settings.model_copy(update={"inputs": InputSettings(withheld={})}))


def _declares_protected(small: SmallLake) -> None:
    small.redeclare("txn_behavior", lambda column: replace(column, inputs=(*column.inputs, f"{PROTECTED}.disability")))


def _lists_gender(small: SmallLake) -> None:
    asset = student_asset(STUDENT)
    card = json.loads(small.files(asset)[STUDENT_CARD])
    card["columns"][0] = "gender_code"
    small.put_files(asset, {STUDENT_CARD: json.dumps(card).encode()})


def _gender_behind_a_copy(small: SmallLake) -> None:
    """Make the student a copy, and put one that reads gender behind it; the copy's own columns stay."""
    asset = student_asset(STUDENT)
    files = small.files(asset)
    card = StudentCard.from_bytes(files[STUDENT_CARD], where=asset)
    behind = DirectCard((*card.columns[1:], "gender_code"), card.output_transform, card.init_score, card.calibrator,
                        card.threshold, card.trees, card.leaves, card.model_bytes)  # fmt: skip
    copied = replace(card, route="DISTILL", direct=behind)
    small.put_files(asset, {STUDENT_CARD: copied.to_bytes(), DIRECT_MODEL: files[MODEL]})
