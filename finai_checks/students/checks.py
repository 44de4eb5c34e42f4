"""C22, C25, C43 and the count of copies (C23): students are calibrated, give their teacher's reasons, and are copies."""

from __future__ import annotations

from finai_assets.asset_graph import FIDELITY, student_asset
from finai_assets.platform import Platform
from finai_assets.students.card import read_card
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared, declare
from finai_checks.students.calibration import calibrated, calibrated_in_the_large
from finai_checks.students.copies import enough_copies
from finai_checks.students.outperforms import not_above_teacher
from finai_checks.students.reasons import same_reasons

CALIBRATION = CheckKind(
    "C22",
    "calibration",
    "on test rows the expected calibration error of every student that serves probabilities, and of the direct student behind a "
    "copy, is not above its limit",
    blocking=False,
    minimum=1,
    units="labelled test rows",
    thresholds=("checks.calibration",),
)
IN_THE_LARGE = CheckKind(
    "C22",
    "calibration_in_the_large",
    "on test rows about as many come true as the probabilities add up to that a student serves, or the direct student behind a "
    "copy: not several times more or fewer, by the whole interval",
    blocking=True,
    minimum=1,
    units="labelled test rows",
    thresholds=("checks.calibration", "metrics.confidence"),
)
ENOUGH_COPIES = CheckKind(
    "C23",
    "enough_copies",
    "at least the configured number of tasks is served by a copy that keeps every floor of fidelity, and every other task has an "
    "accepted reason",
    blocking=False,
    minimum=1,
    units="tasks",
    thresholds=("students.minimum_copies", "students.accepted", "students.fidelity"),
)
EXPLANATION_PRESERVED = CheckKind(
    "C25",
    "explanation_preserved",
    "on explained test rows the first reasons of every copy overlap with those of its teacher and have the same signs, by input "
    "and by feature group",
    blocking=False,
    minimum=1,
    units="explained rows",
    thresholds=("checks.explanation_preserved",),
)
OUTPERFORMS = CheckKind(
    "C43",
    "student_outperforms_teacher",
    "no copy scores above its teacher on test rows by the whole interval of the paired difference, which would mean that it has "
    "learnt something else",
    blocking=False,
    minimum=1,
    units="test rows",
    thresholds=("metrics.confidence",),
)
KINDS = (CALIBRATION, IN_THE_LARGE, ENOUGH_COPIES, EXPLANATION_PRESERVED, OUTPERFORMS)


def declare_checks(platform: Platform) -> list[Declared]:
    """Put the checks on what is told of all students, and C43 on each student."""
    settings = platform.settings
    return [
        declare(CALIBRATION, FIDELITY, evaluate_calibration, settings),
        declare(IN_THE_LARGE, FIDELITY, evaluate_positives, settings),
        declare(ENOUGH_COPIES, FIDELITY, evaluate_copies, settings),
        declare(EXPLANATION_PRESERVED, FIDELITY, evaluate_reasons, settings),
        *(
            declare(OUTPERFORMS, student_asset(task.name), evaluate_outperformance, settings)
            for task in platform.available_tasks
        ),
    ]


def evaluate_calibration(context: CheckContext, asset: str) -> CheckOutcome:
    """Compare the stored calibration errors of all students with their limit."""
    from finai_assets.students.report.summary import FILE

    return calibrated(context.session.read_json(asset, None, FILE), context.settings.checks.calibration)


def evaluate_positives(context: CheckContext, asset: str) -> CheckOutcome:
    """Compare the stored numbers that come true with those expected."""
    from finai_assets.students.report.summary import FILE

    settings = context.settings
    summary = context.session.read_json(asset, None, FILE)
    return calibrated_in_the_large(summary, settings.checks.calibration, settings.metrics.confidence)


def evaluate_copies(context: CheckContext, asset: str) -> CheckOutcome:
    """Count the copies by their stored figures and the floors of the configuration."""
    from finai_assets.students.report.summary import FILE

    tasks = [task.name for task in context.platform.available_tasks]
    return enough_copies(context.session.read_json(asset, None, FILE), tasks, context.settings.students)


def evaluate_reasons(context: CheckContext, asset: str) -> CheckOutcome:
    """Compare the stored agreement of every copy's reasons with the configured minimum."""
    from finai_assets.students.report.summary import FILE

    return same_reasons(context.session.read_json(asset, None, FILE), context.settings.checks.explanation_preserved)


def evaluate_outperformance(context: CheckContext, asset: str) -> CheckOutcome:
    """Judge the stored difference between a copy and its teacher."""
    return not_above_teacher(read_card(context.session, asset).values())
