"""C22, C25, C43 and the count of copies, the inputs that prove them, measured as students are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from scipy.special import expit, logit, softmax

from finai_assets.asset_graph import student_asset
from finai_assets.scoring.calibration_error import calibration_error, positives
from finai_assets.scoring.metrics import paired_difference
from finai_assets.settings import Settings
from finai_assets.students.report.explanations import Explained, compare_reasons
from finai_checks.framework.check import NO_EVIDENCE, Canary, LakeCanary
from finai_checks.framework.small_lake import STUDENT
from finai_checks.models.fidelity_canaries import FAITHFUL, measured_copy
from finai_checks.students.calibration import calibrated, calibrated_in_the_large
from finai_checks.students.checks import CALIBRATION, ENOUGH_COPIES, EXPLANATION_PRESERVED, IN_THE_LARGE, OUTPERFORMS
from finai_checks.students.copies import enough_copies
from finai_checks.students.outperforms import not_above_teacher
from finai_checks.students.reasons import same_reasons
from finai_resources.json_text import plain

_ROWS = 4000
_CUSTOMER = np.arange(_ROWS) // 2
_TASKS = tuple(f"task_{number}" for number in range(1, 14))


def plain_canaries(settings: Settings) -> list[Canary]:
    """Return students that the checks must let pass or reject."""
    return [
        *_calibrations(settings),
        *_counts(settings),
        *_copies(settings),
        *_reasons(settings),
        *_differences(settings),
    ]


def lake_canaries() -> list[LakeCanary]:
    """Return the small lake's student; what is told of all students needs them all."""
    return [LakeCanary(OUTPERFORMS, student_asset(STUDENT), "a student as it was measured")]


# ---- C22


def _calibrations(settings: Settings) -> list[Canary]:
    rng = np.random.default_rng(1)
    true = expit(rng.normal(-1.4, 1.2, _ROWS))
    happened = (rng.random(_ROWS) < true).astype(float)
    classes = softmax(rng.normal(0, 1, (_ROWS, 4)), axis=1)
    chosen = (classes.cumsum(axis=1) > rng.random((_ROWS, 1))).argmax(axis=1).astype(float)
    sharper = classes**3 / (classes**3).sum(axis=1, keepdims=True)

    def error(label: np.ndarray, p: np.ndarray) -> dict[str, Any]:
        return dict(
            plain(asdict(calibration_error(label, p, _CUSTOMER, settings=settings.metrics, seed=settings.seed)))
        )

    def layer(p: np.ndarray, label: np.ndarray = happened) -> dict[str, Any]:
        return {"calibrator": "none", "before": error(label, p), "after": error(label, p)}

    def canary(label: str, expects: str | None, layers: Mapping[str, Any] | None) -> Canary:
        summary = None if layers is None else {"tasks": {"churn_signal": {"calibration": layers}}}
        return Canary(CALIBRATION, label, expects, lambda: calibrated(summary, settings.checks.calibration))

    good, doubled = layer(true), np.minimum(2 * true, 1)
    return [
        canary("probabilities that come true", None, {"served": good, "layer_2": good}),
        canary("class probabilities that come true", None, {"served": layer(classes, chosen)}),
        canary("a calibrator that mends what was doubled", None, {"served": {**good, "before": error(happened, doubled)}}),
        canary("doubled probabilities", "churn_signal (served): 0.2", {"served": layer(doubled)}),
        canary("sharpened probabilities", "churn_signal (served): 0.1", {"served": layer(expit(3 * logit(true)))}),
        canary("sharpened class probabilities", "churn_signal (served): ", {"served": layer(sharper, chosen)}),
        canary("a layer 2 that doubles", "churn_signal (layer_2): 0.2", {"served": good, "layer_2": layer(doubled)}),
        canary("a layer 2 without a label", "churn_signal (layer_2): no test row has a label",
               {"served": good, "layer_2": layer(true, np.full(_ROWS, np.nan))}),
        canary("no labels", NO_EVIDENCE, {"served": layer(true, np.full(_ROWS, np.nan))}),
        canary("no probabilities", NO_EVIDENCE, {}),
        canary("nothing told of the students", NO_EVIDENCE, None),
    ]  # fmt: skip


def _counts(settings: Settings) -> list[Canary]:
    rng = np.random.default_rng(2)
    true = expit(rng.normal(-3.5, 0.7, _ROWS))
    happened = (rng.random(_ROWS) < true).astype(float)
    classes = softmax(rng.normal(0, 1, (_ROWS, 4)), axis=1)
    chosen = (classes.cumsum(axis=1) > rng.random((_ROWS, 1))).argmax(axis=1).astype(float)

    def layer(p: np.ndarray, label: np.ndarray = happened) -> dict[str, Any]:
        expected, observed = positives(label, p)
        return {"expected": expected, "observed": observed, "after": {"n": int(np.isfinite(label).sum())}}

    def canary(label: str, expects: str | None, layers: Mapping[str, Any] | None) -> Canary:
        summary = None if layers is None else {"tasks": {"churn_signal": {"calibration": layers}}}
        rules, confidence = settings.checks.calibration, settings.metrics.confidence
        return Canary(IN_THE_LARGE, label, expects, lambda: calibrated_in_the_large(summary, rules, confidence))

    good, none_known = layer(true), np.full(_ROWS, np.nan)
    return [
        canary("rare events that come true as often as expected", None, {"served": good, "layer_2": good}),
        canary("class probabilities that come true", None, {"served": layer(classes, chosen)}),
        canary("probabilities that are a third too high", None, {"served": layer(true * 4 / 3)}),
        canary("a rare event of which two are expected and none comes true", None,
               {"served": layer(true * 2 / true.sum(), np.zeros(_ROWS))}),
        canary("a tenth of the probabilities of a rare event", "churn_signal (served): ", {"served": layer(true / 10)}),
        canary("five times the probabilities", "churn_signal (served): ", {"served": layer(np.minimum(5 * true, 1))}),
        canary("a layer 2 that says a tenth", "churn_signal (layer_2): ", {"served": good, "layer_2": layer(true / 10)}),
        canary("no labels", NO_EVIDENCE, {"served": layer(true, none_known)}),
        canary("no probabilities", NO_EVIDENCE, {}),
        canary("nothing told of the students", NO_EVIDENCE, None),
    ]  # fmt: skip


# ---- the count of copies


def _copies(settings: Settings) -> list[Canary]:
    floors = settings.students.fidelity
    kept = {kind: measured_copy(kind, FAITHFUL, floors) for kind in ("binary", "multiclass", "regression")}
    missed = measured_copy("binary", "the prior", floors)
    direct: dict[str, Any] = {"kind": "binary", "route": "DIRECT", "fidelity": None}
    kinds = list(kept)

    def of(copies: int, other: Mapping[str, Any] | None = direct) -> dict[str, Any]:
        """Return 13 tasks, the first of which are served by a faithful copy."""
        entries = {name: kept[kinds[number % 3]] if number < copies else other for number, name in enumerate(_TASKS)}
        return {"tasks": {name: entry for name, entry in entries.items() if entry is not None}}

    def canary(label: str, expects: str | None, summary: Mapping[str, Any] | None, *accepted: str) -> Canary:
        students = settings.students.model_copy(
            update={"minimum_copies": 11, "accepted": dict.fromkeys(accepted, "a reason that a person has accepted")}
        )
        return Canary(ENOUGH_COPIES, label, expects, lambda: enough_copies(summary, _TASKS, students))

    return [
        canary("13 copies of 13", None, of(13)),
        canary("11 copies of 13, the others with an accepted reason", None, of(11), *_TASKS[11:]),
        canary("10 copies", "10 of 13 tasks are served by a faithful copy, 11 are needed", of(10), *_TASKS[10:]),
        canary("11 copies, one of the others without a reason", "task_13: route DIRECT, and no reason is accepted", of(11),
               "task_12"),
        canary("a copy over a floor does not count", "10 of 13 tasks", of(10, missed), *_TASKS[10:]),
        canary("a copy over a floor is not named as one", "task_13: a copy that misses a floor (", of(12, missed)),
        canary("a copy that was never compared", "task_13: a copy that was never compared", of(12, {**missed, "fidelity": None})),
        canary("a task without a student", "task_13: no student", of(12, None)),
        canary("no student", NO_EVIDENCE, {"tasks": {}}),
        canary("nothing told of the students", NO_EVIDENCE, None),
    ]  # fmt: skip


# ---- C25


def _reasons(settings: Settings) -> list[Canary]:
    rng = np.random.default_rng(2)
    rows, inputs, top = 300, [f"input_{number}" for number in range(24)], 10
    groups = {name: f"group_{number % 8}" for number, name in enumerate(inputs)}
    own = rng.standard_t(3, (rows, len(inputs)))
    order = np.argsort(-np.abs(own), axis=1)[:, :top]
    names = np.array(inputs, dtype=object)
    told = Explained(
        np.arange(rows), names[order], np.array([groups[name] for name in inputs], dtype=object)[order],
        np.take_along_axis(own, order, 1),
    )  # fmt: skip

    def compared(copy: np.ndarray, read: list[str] = inputs, explained: Explained = told) -> dict[str, Any]:
        customer = np.arange(len(copy)) // 2
        return compare_reasons(explained, copy, read, groups, customer, settings.metrics, settings.seed)

    def canary(label: str, expects: str | None, found: Mapping[str, Any] | None, route: str = "DISTILL") -> Canary:
        summary = {"tasks": {"churn_signal": {"route": route, "explanations": found}}}
        rules = settings.checks.explanation_preserved
        return Canary(EXPLANATION_PRESERVED, label, expects, lambda: same_reasons(summary, rules))

    halves = [name for name in inputs for _ in range(2)]
    opposite = rng.normal(0, 0.1, own.shape)
    alone = {**groups, "unknown": "group_0"}
    foreign = compare_reasons(told, own[:, :1], ["unknown"], alone, np.arange(rows), settings.metrics, settings.seed)
    return [
        canary("the teacher's own reasons", None, compared(own)),
        canary("reasons that differ a little", None, compared(own + opposite)),
        canary("an input's reason spread over two columns", None, compared(np.repeat(own / 2, 2, axis=1), halves)),
        canary("a copy that reads three quarters of the inputs", None, compared(own[:, :18], inputs[:18])),
        canary("reasons of other rows", "overlap of inputs", compared(rng.permutation(own))),
        canary("reasons of other rows, by feature group", "overlap of groups", compared(rng.permutation(own))),
        canary("reasons with flipped signs", "sign agreement of inputs 0.000", compared(-own)),
        canary("reasons with flipped signs, by feature group", "sign agreement of groups", compared(-own)),
        canary("a copy that says nothing", "overlap of inputs 0.000", compared(np.zeros_like(own))),
        canary("a copy that reads nothing of what the teacher names", "overlap of inputs is not defined", foreign),
        canary("no explained row", NO_EVIDENCE, None),
        canary("no copy", NO_EVIDENCE, None, "DIRECT"),
    ]  # fmt: skip


# ---- C43


def _differences(settings: Settings) -> list[Canary]:
    rng = np.random.default_rng(3)
    score, noise = rng.normal(-1, 1.5, _ROWS), rng.normal(0, 1, _ROWS)
    scores = rng.normal(0, 1.5, (_ROWS, 4))
    happened = (rng.random(_ROWS) < expit(score)).astype(float)
    classes = softmax(scores, axis=1)
    chosen = (classes.cumsum(axis=1) > rng.random((_ROWS, 1))).argmax(axis=1).astype(float)
    blurred = softmax(scores + rng.normal(0, 1.5, scores.shape), axis=1)
    less, near = expit(score + noise), expit(score + noise + 0.05 * rng.normal(0, 1, _ROWS))
    difference = partial(paired_difference, settings=settings.metrics, seed=settings.seed)
    binary = partial(difference, "binary", happened, customer=_CUSTOMER)
    multiclass = partial(difference, "multiclass", chosen, customer=_CUSTOMER, classes=4)

    def card(kind: str, over: Any, route: str = "DISTILL") -> dict[str, Any]:
        return {"route": route, "kind": kind, "metrics": {}, "over_teacher": plain(asdict(over)) if over else None}

    def canary(label: str, expects: str | None, stored: Mapping[str, Any] | None) -> Canary:
        return Canary(OUTPERFORMS, label, expects, lambda: not_above_teacher(stored))

    undefined = difference("binary", np.full(_ROWS, np.nan), less, near, _CUSTOMER)
    better = "the copy is better than its teacher: "
    return [
        canary("a faithful copy", None, card("binary", binary(near, less))),
        canary("a copy that is worse", None, card("binary", binary(less, expit(score)))),
        canary("a copy of classes that is worse", None, card("multiclass", multiclass(blurred, classes))),
        canary("a direct student that is better than the teacher", None, card("binary", binary(expit(score), less), "DIRECT")),
        canary("a copy that has learnt the labels better than its teacher", f"{better}auc +0.",
               card("binary", binary(expit(score), less))),
        canary("a copy of classes with a lower log-loss than its teacher's", f"{better}log_loss -",
               card("multiclass", multiclass(classes, blurred))),
        canary("a difference that is not defined", NO_EVIDENCE, card("binary", undefined)),
        canary("a copy that was never compared", NO_EVIDENCE, card("binary", None)),
        canary("a skipped task on no test row", NO_EVIDENCE, card("binary", None, "SKIP")),
        canary("no student", NO_EVIDENCE, None),
    ]  # fmt: skip
