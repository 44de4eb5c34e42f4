"""C18, C23 and C28: models beat the trivial forecast, agree with their teacher, and are reproducible."""

from __future__ import annotations

from dataclasses import replace

from finai_assets.asset_graph import BUNDLE, EVALUATION, MATRIX, TEACHER, student_asset
from finai_assets.made_with import EXTRA, differences, made_with
from finai_assets.platform import Platform
from finai_assets.students.card import read_card
from finai_assets.students.fidelity import compare_stored
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared, declare
from finai_checks.models.fidelity import student_fidelity
from finai_checks.models.metric_floor import student_floor, teacher_floor
from finai_resources.lake_session import LakeSession

EVALUATION_FILE = "evaluation.json"

METRIC_FLOOR = CheckKind(
    "C18",
    "metric_floor",
    "on test rows every deployed model, and every teacher that a student imitates, beats its minimum score and the trivial "
    "forecast with its whole interval, and the teacher is evaluated on every task",
    blocking=True,
    minimum=1,
    units="test rows",
    thresholds=("checks.metric_floor", "metrics.confidence", "students.fidelity"),
    binds="checks.metric_floor.binding",
)
STUDENT_FIDELITY = CheckKind(
    "C23",
    "student_fidelity",
    "every student that imitates its teacher agrees with it on test rows within every fidelity floor; one that does not is kept "
    "out of the bundle, whose promotion is refused",
    blocking=False,
    minimum=1,
    units="rows",
    thresholds=("students.fidelity",),
)
REPRODUCIBLE = CheckKind(
    "C28",
    "reproducible",
    "every model records the clean commit, lock file, seed, data, library versions and CPU that it was made with, and the "
    "recorded data are still the stored data",
    blocking=True,
    minimum=1,
    units="facts",
    thresholds=("checks.reproducible", "seed"),
    binds="checks.reproducible.require_clean",
)
TEACHER_IS_REPRODUCIBLE = CheckKind(
    "C28",
    "teacher_is_reproducible",
    "in two fresh processes the first steps of the teacher's training reproduce the recorded training fingerprint, and its "
    "stored weights reproduce the stored predictions, bit for bit",
    blocking=True,
    minimum=100,
    units="predicted values",
    thresholds=("checks.reproducible",),
    audit=True,
)
KINDS = (METRIC_FLOOR, STUDENT_FIDELITY, REPRODUCIBLE, TEACHER_IS_REPRODUCIBLE)


def declare_checks(platform: Platform) -> list[Declared]:
    """Put the checks on the teacher, its evaluation, the students and the bundle."""
    settings, students = platform.settings, [student_asset(task.name) for task in platform.available_tasks]
    return [
        declare(METRIC_FLOOR, EVALUATION, evaluate_teacher_floor, settings),
        *(declare(METRIC_FLOOR, student, evaluate_student_floor, settings) for student in students),
        *(declare(STUDENT_FIDELITY, student, evaluate_fidelity, settings) for student in students),
        declare(REPRODUCIBLE, TEACHER, evaluate_teacher_record, settings),
        declare(REPRODUCIBLE, BUNDLE, evaluate_bundle_record, settings),
        declare(TEACHER_IS_REPRODUCIBLE, TEACHER, evaluate_replay, settings),
    ]


def evaluate_teacher_floor(context: CheckContext, asset: str) -> CheckOutcome:
    """Compare the teacher's scores of every task with the minimum scores."""
    evaluation = context.session.read_json(asset, None, EVALUATION_FILE)
    tasks = [task.name for task in context.platform.available_tasks]
    return teacher_floor(evaluation, tasks, context.settings.checks.metric_floor)


def evaluate_student_floor(context: CheckContext, asset: str) -> CheckOutcome:
    """Compare the scores of a deployed student, and of the teacher that it imitates, with the minimum scores."""
    card, settings = read_card(context.session, asset).values(), context.settings
    verdict = compare_stored(card, settings.students.fidelity) if card["route"] == "DISTILL" else None
    withheld = verdict is not None and not verdict.passed
    return student_floor(_task_of(asset), card, settings.checks.metric_floor, withheld=withheld)


def evaluate_fidelity(context: CheckContext, asset: str) -> CheckOutcome:
    """Compare the stored fidelity figures of a student with the floors of the configuration."""
    card, task, students = read_card(context.session, asset).values(), _task_of(asset), context.settings.students
    ceiling = students.noise_ceiling
    measured = ceiling.tasks.get(task)
    outcome = student_fidelity(task, card, students.fidelity, measured.figures if measured else None)
    if not measured:
        remark = "not measured: customers are judged whom the teacher may not tell apart"
    elif ceiling.teacher != context.settings.digest("teacher"):
        remark = "measured with other settings of the teacher: measure it again"
    else:
        remark = f"measured on {ceiling.rows} rows with {len(ceiling.seeds)} seeds"
    return replace(outcome, observed={**outcome.observed, "noise_ceiling": remark})


def _task_of(asset: str) -> str:
    return asset.rpartition("/")[2]


def evaluate_teacher_record(context: CheckContext, asset: str) -> CheckOutcome:
    """Judge what the teacher records of how it was made."""
    return _judge_record(context, asset, [asset], [MATRIX])


def evaluate_bundle_record(context: CheckContext, asset: str) -> CheckOutcome:
    """Judge what the bundle, the teacher and all students record of how they were made."""
    students = [student_asset(task.name) for task in context.platform.available_tasks]
    return _judge_record(context, asset, [asset, TEACHER, *students], [MATRIX, *students])


def _judge_record(context: CheckContext, asset: str, models: list[str], required: list[str]) -> CheckOutcome:
    """Judge the records of some models, and the upstream of an asset: the required sources and all that it records."""
    from finai_checks.models.reproduction import reproducible

    session = context.session
    upstream = session.manifest(asset).upstream
    made = {model: session.manifest(model).extra.get(EXTRA) for model in models}
    sources = {source: _unchanged(session, source, upstream.get(source)) for source in sorted({*required, *upstream})}
    return reproducible(made, seed=context.settings.seed, sources=sources)


def _unchanged(session: LakeSession, address: str, recorded: str | None) -> bool:
    asset, _, month = address.partition("@")
    stored = session.lake.find(asset, month or None)
    return recorded is not None and stored is not None and stored.content_hash == recorded


def evaluate_replay(context: CheckContext, asset: str) -> CheckOutcome:
    """Run the first steps of the teacher's training, and some of its predictions, again in fresh processes."""
    from finai_checks.models.reproduction import replay_teacher, teacher_is_reproducible

    platform, settings = context.platform, context.settings
    made = context.session.manifest(asset).extra.get(EXTRA)
    stored, replays = replay_teacher(
        context.session.lake,
        settings,
        platform.registry,
        platform.available_tasks,
        batches=settings.checks.reproducible.prediction_batches,
    )
    elsewhere = differences(made, made_with(settings.seed)) if made else ["nothing says where"]
    return teacher_is_reproducible(stored, replays, elsewhere=elsewhere)
