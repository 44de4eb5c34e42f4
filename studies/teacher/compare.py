"""Compares every variant with the reference, with intervals, tests and verdicts.

Every difference is variant less reference, turned so that more is better. A verdict asks for both: a p-value over seeds below the
level after Holm's correction, and an interval over seeds and customers that excludes zero. The mean skill over tasks is the main
outcome and is corrected for the number of variants; the tasks are corrected for variants times tasks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from finai_assets.scoring.metrics import LOWER_IS_BETTER, PRIMARY
from finai_assets.scoring.resampling import percentile_interval
from finai_resources.errors import GateError
from finai_resources.json_text import number
from studies.teacher.intervals import detectable, hierarchical, holm, paired_t
from studies.teacher.variants import CONTROL, REFERENCE, Variant

if TYPE_CHECKING:
    from finai_assets.settings import Settings
    from studies.teacher.runs import Result

BETTER, WORSE, NOTHING, UNJUDGED = "better", "worse", "no difference shown", "not judged: one seed"
MEAN, KINDS, TASKS = "mean", "kinds", "tasks"
SKILL, METRIC = "skill", "metric"


@dataclass(frozen=True)
class _Outcome:
    """One compared figure: differences float64 [seeds, 1 + resamples] of one variant, and the reference's own value."""

    level: str
    name: str
    values: np.ndarray
    reference: float


def compare(results: Sequence[Result], variants: Sequence[Variant], settings: Settings) -> dict[str, Any]:
    """Compare every variant with the reference.

    Parameters
    ----------
    results
        From :func:`studies.teacher.runs.run`, in any order.
    variants
        Those to tell of; one without a run beside the reference's is passed over.
    settings
        Say the confidence and the power.

    Returns
    -------
    dict
        JSON-able. ``reference`` holds its mean figures; ``variants`` a list with ``mean`` (the skill over tasks), ``kinds`` (the
        primary metric's mean over the tasks of a kind) and ``tasks``. Each of these holds ``difference``, ``low`` and ``high``
        (over seeds), ``p`` and ``p_adjusted``, ``low_customers`` and ``high_customers`` (over seeds and customers),
        ``detectable`` and ``verdict``; what is not defined is None.

    Raises
    ------
    GateError
        The reference has no run, or no task has a skill on the test rows in every run.
    """
    by_run = {(result["variant"], result["seed"]): result for result in results}
    seeds = sorted(seed for name, seed in by_run if name == REFERENCE)
    if not seeds:
        raise GateError("the reference has no run yet", where="ablation", fix="run it to the end of a seed")
    pairs = {
        v.name: [(by_run[v.name, s], by_run[REFERENCE, s]) for s in seeds if (v.name, s) in by_run] for v in variants
    }
    told = [v for v in variants if v.name != REFERENCE and pairs[v.name]]
    reference = [by_run[REFERENCE, s] for s in seeds]
    used = [*reference, *(first for v in told for first, _ in pairs[v.name])]
    every = {name: task["kind"] for name, task in reference[0]["tasks"].items()}
    kinds = {name: kind for name, kind in every.items() if all(_is_defined(result, name) for result in used)}
    if not kinds:
        raise GateError("no task has a skill on the test rows", where="ablation", fix="take more customers")
    judged = _judge({v.name: _outcomes(pairs[v.name], kinds) for v in told}, settings)
    skills = [_skill(result, kinds) for result in reference]
    return {
        "confidence": settings.metrics.confidence,
        "power": settings.ablation.power,
        "seeds": len(seeds),
        "tasks": {name: {"kind": kind, "metric": PRIMARY[kind]} for name, kind in kinds.items()},
        "undefined_tasks": [name for name in every if name not in kinds],
        "reference": {
            **_size(reference),
            "skill": float(np.mean(skills)),
            "deviation": float(np.std(skills, ddof=1)) if len(skills) > 1 else None,
            "tasks": {name: _level(reference, name) for name in kinds},
        },
        "variants": [
            {
                "name": v.name,
                "theme": v.theme,
                "asks": v.asks,
                "changes": dict(v.changes),
                "seeds": len(pairs[v.name]),
                **_size([first for first, _ in pairs[v.name]]),
                MEAN: judged[v.name][MEAN, SKILL],
                **{
                    level: {name: value for (at, name), value in judged[v.name].items() if at == level}
                    for level in (KINDS, TASKS)
                },
            }
            for v in told
        ],
    }


def _outcomes(pairs: Sequence[tuple[Result, Result]], kinds: Mapping[str, str]) -> list[_Outcome]:
    """Return the compared figures of a variant: mean skill, mean metric of each kind of task, and each task's metric."""
    skill, metric = (
        {name: np.array([_less(first, second, name, what, kinds[name]) for first, second in pairs]) for name in kinds}
        for what in (SKILL, METRIC)
    )
    seconds = [second for _, second in pairs]
    level = {name: _level(seconds, name) for name in kinds}
    mean = float(np.mean([_skill(result, kinds) for result in seconds]))
    outcomes = [_Outcome(MEAN, SKILL, _mean(list(skill.values())), mean)]
    for kind in dict.fromkeys(kinds.values()):
        own = [name for name in kinds if kinds[name] == kind]
        average = float(np.mean([level[name] for name in own]))
        outcomes.append(_Outcome(KINDS, PRIMARY[kind], _mean([metric[name] for name in own]), average))
    return [*outcomes, *(_Outcome(TASKS, name, metric[name], level[name]) for name in kinds)]


def _less(first: Result, second: Result, task: str, what: str, kind: str) -> np.ndarray:
    """Return a variant's draws less the reference's, float64 [1 + resamples], turned so that more is better."""
    a, b = (np.array(result["tasks"][task]["draws"][what], np.float64) for result in (first, second))
    turned = what == METRIC and PRIMARY[kind] in LOWER_IS_BETTER
    return b - a if turned else a - b


def _mean(differences: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean over the tasks that a resample defines, float64 [seeds, 1 + resamples]."""
    values = np.array(differences)
    known = np.isfinite(values)
    total, count = np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _judge(outcomes: Mapping[str, Sequence[_Outcome]], settings: Settings) -> dict[str, dict[tuple[str, str], Any]]:
    """Return the figures and verdict of every outcome of every variant, by (level, name)."""
    confidence, power = settings.metrics.confidence, settings.ablation.power
    tests = {
        (variant, one.level, one.name): paired_t(one.values[:, 0], confidence)
        for variant, members in outcomes.items()
        for one in members
    }
    families: dict[tuple[bool, str], dict[tuple[str, str, str], float]] = {}
    for key, test in tests.items():
        if math.isfinite(test.p):  # the control is known to be no hypothesis, so it burdens none
            families.setdefault((key[0] == CONTROL, key[1]), {})[key] = test.p
    adjusted = {key: p for family in families.values() for key, p in holm(family).items()}
    judged: dict[str, dict[tuple[str, str], Any]] = {}
    for variant, members in outcomes.items():
        for one in members:
            key = (variant, one.level, one.name)
            test, size = tests[key], len(families.get((variant == CONTROL, one.level), ()))
            low, high = percentile_interval(hierarchical(one.values[:, 1:]), confidence, least=0.0)
            alpha = (1 - confidence) / max(size, 1)
            judged.setdefault(variant, {})[one.level, one.name] = {
                "reference": one.reference,
                "difference": test.mean,
                "low": number(test.low),
                "high": number(test.high),
                "p": number(test.p),
                "p_adjusted": adjusted.get(key),
                "low_customers": number(low),
                "high_customers": number(high),
                "detectable": number(detectable(test.deviation, len(one.values), alpha=alpha, power=power)),
                "verdict": _verdict(adjusted.get(key), low, high, level=1 - confidence),
                "by_seed": [float(value) for value in one.values[:, 0]],
            }
    return judged


def _verdict(p: float | None, low: float, high: float, *, level: float) -> str:
    if p is None:
        return UNJUDGED
    if p < level and low > 0:
        return BETTER
    return WORSE if p < level and high < 0 else NOTHING


def _is_defined(result: Result, task: str) -> bool:
    draws = result["tasks"][task]["draws"]
    return draws[SKILL][0] is not None and draws[METRIC][0] is not None


def _skill(result: Result, tasks: Mapping[str, str]) -> float:
    return float(np.mean([result["tasks"][name]["test"][SKILL] for name in tasks]))


def _level(results: Sequence[Result], task: str) -> float:
    """Return the mean over seeds of a task's primary metric on test."""
    metric = PRIMARY[results[0]["tasks"][task]["kind"]]
    return float(np.mean([result["tasks"][task]["test"]["metrics"][metric] for result in results]))


def _size(results: Sequence[Result]) -> dict[str, Any]:
    """Return the cost of a variant, as means over seeds."""
    return {
        "parameters": results[0]["parameters"],
        "epochs": float(np.mean([result["epochs"] for result in results])),
        "seconds": float(np.mean([result["seconds"] for result in results])),
    }
