"""Chooses a task's route: DISTILL copies the teacher, DIRECT learns the labels, SKIP leaves the task to the rules.

The route is chosen on validation rows alone. A copy must be worth making (the teacher knows something), faithful, and no worse
than the trivial forecast; that the direct student may score higher is no objection, since a student is to replicate
(docs/decisions/0013-students-are-copies.md, which also says where "twice the random baseline" is asked for).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from finai_assets.scoring.metrics import PRIMARY, Estimate, verdict
from finai_assets.settings.method import StudentSettings, TeacherThreshold

RouteName = Literal["DISTILL", "DIRECT", "SKIP"]
Policy = Literal["better", "replicate"]
POLICIES: tuple[Policy, ...] = ("replicate", "better")
Metrics = Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class RouteEvidence:
    """The figures that decide the route, all measured on validation.

    Parameters
    ----------
    teacher, prior : dict of str to Estimate
        Metrics of the teacher and of the constant prediction of the train labels.
    trivial : str
        The better of the constant prediction (``prior``) and, where a task has one, ``persistence``: what needs no model.
    teacher_over_trivial, direct_over_trivial : Estimate
        Paired difference of the primary metric.
    distilled_over_trivial : Estimate or None
        The same of the distilled student; a copy may lose what the teacher has over that forecast.
    direct_over_distilled : Estimate or None
        The same between the two students; None where no student was distilled.
    doubts : tuple of str
        Fidelity floors that the distilled student misses on validation, or that as many other rows might miss, in words.
    """

    kind: str
    classes: int
    teacher: Metrics
    prior: Metrics
    trivial: str
    teacher_over_trivial: Estimate
    direct_over_trivial: Estimate
    distilled_over_trivial: Estimate | None = None
    direct_over_distilled: Estimate | None = None
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """The chosen route, and the reason with its figures."""

    name: RouteName
    reason: str


def worth_copying(
    kind: str, classes: int, teacher: Metrics, prior: Metrics, threshold: TeacherThreshold
) -> tuple[bool, str]:
    """Return whether the teacher's skill reaches the threshold of its kind of task; an undefined metric does not.

    Twice the baseline is asked for where it takes a small part of what the metric allows: of positives that are rare, and of
    classes none of which is the majority. Elsewhere the skill over the trivial forecast decides, which :func:`choose_route`
    asks of every teacher with assurance.
    """
    if kind == "binary":
        asked, prevalence = threshold.binary, teacher["prevalence"].value
        precision, auc = teacher["average_precision"].value, teacher["auc"].value
        text = f"AUC {auc:.3f} (asked: {asked.auc:.2f})"
        if prevalence > asked.up_to_prevalence:
            return auc >= asked.auc, f"{text}, average precision {precision:.3f} of a prevalence of {prevalence:.3f}"
        needed = asked.average_precision_over_prevalence * prevalence
        text += f", average precision {precision:.3f} (asked: {needed:.3f})"
        return precision >= needed and auc >= asked.auc, text
    if kind == "multiclass":
        of_classes = threshold.multiclass
        f1, loss, base = teacher["macro_f1"].value, teacher["log_loss"].value, prior["log_loss"].value
        text = f"log-loss {loss:.3f} (prior's: {base:.3f})"
        if prior["accuracy"].value > of_classes.up_to_majority:
            return loss < base, f"{text}, macro-F1 {f1:.3f} where {prior['accuracy'].value:.3f} are one class"
        needed = of_classes.macro_f1_times_classes / classes
        return f1 >= needed and loss < base, f"{text}, macro-F1 {f1:.3f} (asked: {needed:.3f})"
    r2 = teacher["r2"].value
    return r2 >= threshold.regression.r2, f"R2 {r2:.3f} (asked: {threshold.regression.r2:.2f})"


def choose_route(evidence: RouteEvidence, settings: StudentSettings, policy: Policy | None = None) -> Route:
    """Choose the route of a task.

    To beat the trivial forecast is to be so far above it that other rows would show it too (:func:`beats`). In order: SKIP where
    neither the teacher nor the direct student beats that forecast; DIRECT where the teacher stays below its threshold, it or its
    copy does not beat that forecast, or the copy is not faithful; DIRECT where, under the policy ``better``, the direct student
    is significantly better than the copy; else DISTILL. Where the route would be DIRECT and the direct student itself does not
    beat the trivial forecast, it is SKIP.

    Parameters
    ----------
    policy
        Another one than that of the settings, to report what it would have chosen.
    """
    metric = PRIMARY[evidence.kind]
    over_trivial = {
        "teacher": evidence.teacher_over_trivial,
        "direct student": evidence.direct_over_trivial,
    }
    told = ", ".join(f"{name} {_interval(difference)}" for name, difference in over_trivial.items())
    forecast = f"the trivial forecast ({evidence.trivial})"
    if not any(beats(difference, metric, settings.assurance) for difference in over_trivial.values()):
        asked = f"so that other rows would show it with probability {settings.assurance}"
        return Route("SKIP", f"neither beats {forecast} {asked}; {metric} over it: {told}")
    reason = _against_copying(evidence, settings, policy or settings.policy)
    if reason is None:
        return Route("DISTILL", f"the teacher is worth copying: {_figures(evidence, settings)[1]}")
    if not beats(evidence.direct_over_trivial, metric, settings.assurance):
        return Route("SKIP", f"{reason}; and the direct student does not beat {forecast}; {metric} over it: {told}")
    return Route("DIRECT", reason)


def beats(difference: Estimate, metric: str, assurance: float) -> bool:
    """Return whether a difference would replicate on as many other rows with at least this probability.

    Validation has chosen rounds and calibration, so that a bare "its interval excludes zero" there is often not confirmed by test
    rows, which C18 asks; one that is just significant is confirmed half of the time at best.

    Parameters
    ----------
    difference : Estimate
        With its 95 % interval, which is widened by ``z(assurance)`` standard errors.
    """
    from scipy.stats import norm

    wider = 1.0 + float(norm.ppf(assurance) / norm.ppf(0.975))
    low = difference.value - wider * (difference.value - difference.low)
    high = difference.value + wider * (difference.high - difference.value)
    return verdict(replace(difference, low=low, high=high), metric) == "better"


def _against_copying(evidence: RouteEvidence, settings: StudentSettings, policy: Policy) -> str | None:
    """Return why the task is not distilled, or None where it is."""
    worth, figures = _figures(evidence, settings)
    metric, rival = PRIMARY[evidence.kind], evidence.direct_over_distilled
    if not worth:
        return f"the teacher is not worth copying: {figures}"
    for who, over in (("teacher", evidence.teacher_over_trivial), ("copy", evidence.distilled_over_trivial)):
        if over is not None and not beats(over, metric, settings.assurance):
            return f"the {who} does not beat the trivial forecast ({evidence.trivial}): {metric} {_interval(over)}"
    if evidence.doubts:
        return f"the copy is not faithful on validation: {'; '.join(evidence.doubts)}"
    if policy == "better" and rival is not None and verdict(rival, metric) == "better":
        return f"the direct student is better than the copy: {metric} {_interval(rival)}"
    return None


def _figures(evidence: RouteEvidence, settings: StudentSettings) -> tuple[bool, str]:
    return worth_copying(evidence.kind, evidence.classes, evidence.teacher, evidence.prior, settings.teacher_threshold)


def _interval(difference: Estimate) -> str:
    if not difference.defined:
        return f"undefined ({difference.note})"
    return f"{difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"
