"""From the skill of each configuration, task and seed to what each group adds, with intervals.

Two things vary: which customers the test rows hold, and which train rows and random draws a seed gives. An interval holds both:
each of its draws takes one resample of the test customers, the same on both sides of a difference, and one resample of the seeds.
"Adds" is only said where the interval excludes zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from finai_assets.scoring.resampling import percentile_interval
from finai_resources.errors import GateError
from studies.groups.skill import ALL, BASE, configurations, with_group, without_group
from studies.teacher.intervals import few_seeds, hierarchical

__all__ = ["Difference", "Skills", "difference", "few_seeds", "summarise"]

Skills = dict[tuple[str, str, int], np.ndarray]  # (configuration, task, seed) -> [1 + resamples]
_DIGITS = 4


@dataclass(frozen=True)
class Difference:
    """The skill of one configuration less that of another, by task.

    Parameters
    ----------
    tasks : tuple of str
    value : float64 [tasks]
        Mean over seeds, on the test customers as they are.
    draws : float64 [tasks, resamples]
        The same under resampled customers and seeds.
    """

    tasks: tuple[str, ...]
    value: np.ndarray
    draws: np.ndarray

    def mean(self, confidence: float) -> dict[str, float]:
        """Return the mean over tasks with its interval."""
        return _figures(float(self.value.mean()), *_ends(np.nanmean(self.draws, axis=0), confidence))

    def by_task(self, confidence: float) -> dict[str, list[float]]:
        """Return value, low and high of each task."""
        return {
            task: list(_figures(float(self.value[t]), *_ends(self.draws[t], confidence)).values())
            for t, task in enumerate(self.tasks)
        }

    def best(self, confidence: float) -> dict[str, Any]:
        """Return the task of the greatest gain; its interval is widened, as it is the greatest of so many (Bonferroni).

        The percentiles that this asks for lie beyond what a few hundred draws can show, so their spread is taken as normal.
        """
        t = int(self.value.argmax())
        reach = float(norm.ppf(1 - (1 - confidence) / (2 * len(self.tasks)))) * float(np.nanstd(self.draws[t]))
        value = float(self.value[t])
        return {"task": self.tasks[t], **_figures(value, value - reach, value + reach)}


def difference(skills: Skills, more: str, less: str, tasks: Sequence[str], seeds: Sequence[int]) -> Difference:
    """Return the skill of a configuration over that of another, paired by task, seed and resample."""
    paired = np.array([[skills[more, task, s] - skills[less, task, s] for s in seeds] for task in tasks])
    return Difference(tuple(tasks), paired[:, :, 0].mean(axis=1), hierarchical(paired[:, :, 1:]))


def summarise(
    lines: Iterable[Mapping[str, Any]], columns: Mapping[str, int], base: Sequence[str], *, confidence: float
) -> dict[str, Any]:
    """Return each group's gain over the base, and the loss when it is left out of all.

    Parameters
    ----------
    lines
        ``configuration``, ``task``, ``seed`` and ``skill`` (list of 1 + resamples, null where undefined) of each fit.
    columns
        Groups in the order of the reference, with how many columns each has.
    base
        The groups that the others are added to.

    Raises
    ------
    GateError
        No seed has every configuration of every task.
    """
    skills: Skills = {
        (line["configuration"], line["task"], line["seed"]): np.array(line["skill"], np.float64) for line in lines
    }
    names = [configuration.name for configuration in configurations(list(columns), base)]
    tasks = list(dict.fromkeys(task for _, task, _ in skills))
    every = sorted({seed for _, _, seed in skills})
    seeds = [s for s in every if all((name, task, s) in skills for name in names for task in tasks)]
    if not seeds:
        raise GateError(
            "no seed has every configuration of every task yet", where="ablation", fix="run it to the end of a seed"
        )
    # A task whose skill is not defined on the test rows says nothing about any group.
    defined = [t for t in tasks if all(np.isfinite(skills[name, t, s][0]) for name in names for s in seeds)]
    if not defined:
        raise GateError(
            "no task has a defined skill on the test rows", where="ablation", fix="take a data set with more customers"
        )

    def gain(more: str, less: str) -> dict[str, Any]:
        found = difference(skills, more, less, defined, seeds)
        return {
            **found.mean(confidence),
            "best": found.best(confidence),
            "tasks": found.by_task(confidence),
        }

    def skill_of(configuration: str) -> dict[str, float]:
        return {t: round(float(np.mean([skills[configuration, t, s][0] for s in seeds])), _DIGITS) for t in defined}

    kept = [group for group in columns if group in base]
    return {
        "seeds": len(seeds),
        "tasks": defined,
        "undefined_tasks": [task for task in tasks if task not in defined],
        "base": kept,
        "skill": {name: skill_of(name) for name in (BASE, ALL)},
        "all_over_base": gain(ALL, BASE),
        "groups": [
            {
                "group": group,
                "columns": count,
                "adds": None if group in kept else gain(with_group(group), BASE),
                "loses": gain(ALL, without_group(group)),
            }
            for group, count in columns.items()
        ],
    }


def _ends(draws: np.ndarray, confidence: float) -> tuple[float, float]:
    """Return the ends of the interval of draws float [resamples], of those that are defined."""
    return percentile_interval(draws, confidence, least=0.0)


def _figures(value: float, low: float, high: float) -> dict[str, float]:
    return {"gain": round(value, _DIGITS), "low": round(low, _DIGITS), "high": round(high, _DIGITS)}
