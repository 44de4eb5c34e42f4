"""C11, the verdict on columns: no column, pair of columns or shallow tree of a group predicts a label better than honest ones.

A task whose present state is an input and predicts most of the label (a segment rarely changes) declares its *expected
predictor* with an upper bound: the named columns may pass the general threshold as long as their mean skill over the classes
stays within that bound, and they do not reconstruct the label. No other column may, nor a tree or a pair without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import numpy as np

from finai_assets.settings.checks import ExpectedPredictor, SingleColumnSettings
from finai_assets.training.labelling import MatrixTask
from finai_checks.framework.check import CheckOutcome
from finai_checks.leaks.single_column_groups import cells, strongest_pairs, tree_skills
from finai_checks.leaks.single_column_skill import Skills, Targets, column_skills, skill_interval

_TOP = 3  # columns of each task in the table
_NAMED = 8  # leaks in the reason


@dataclass(frozen=True, slots=True)
class Predictor:
    """A column, pair or tree, and how well it predicts one task."""

    task: MatrixTask
    what: str
    name: str
    group: str
    skill: float
    compared: float
    limit: float
    best_class: int
    exact: bool

    @property
    def leaks(self) -> bool:
        """Whether it predicts more than an honest input could."""
        return self.exact or self.compared > self.limit

    @property
    def measure(self) -> str:
        """Return the name of the skill."""
        if self.task.kind == "regression":
            return "R2"
        return "AUC" if self.task.kind == "binary" else f"AUC of {self.task.class_labels[self.best_class]}"

    def sentence(self) -> str:
        """Return the leak in words."""
        if self.exact:
            return f"{self.name} reconstructs {self.task.name}"
        measure = self.measure if self.compared == self.skill else "mean AUC over classes"
        return f"{self.name} predicts {self.task.name}: {measure} {self.compared:.4f} > {self.limit:g}"


def no_single_column_leak(  # noqa: PLR0913 # a matrix has these parts
    X: np.ndarray,
    columns: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    tasks: Sequence[MatrixTask],
    labels: Mapping[str, np.ndarray],
    customer: np.ndarray,
    *,
    rules: SingleColumnSettings,
    confidence: float,
    seed: int,
    threads: int,
) -> CheckOutcome:
    """Return whether no column, pair or tree of a group reveals a label, on train rows alone.

    Parameters
    ----------
    X : float32 [n, d]
    columns
        Names of the columns.
    groups
        Names of the columns of each feature group.
    labels : task -> float [n]
        NaN where masked.
    customer : int64 [n]
    confidence
        Of the intervals in the table.
    """
    from scipy.stats import norm

    if not len(X) or not tasks or not columns:
        return CheckOutcome.no_evidence(rows=len(X), tasks=len(tasks), columns=len(columns))
    targets = Targets.of(
        tasks, labels, customer, class_customers=rules.class_customers, task_customers=rules.task_customers, seed=seed
    )
    position = {name: index for index, name in enumerate(columns)}
    predictors: list[Predictor] = []
    for group, names in groups.items():
        present = [name for name in names if name in position]
        if present:
            values = np.ascontiguousarray(X[:, [position[name] for name in present]].T)
            predictors += _group_predictors(group, present, values, targets, rules, threads)
    outside = sorted(set(columns) - {name for names in groups.values() for name in names})
    return _outcome(predictors, targets, outside, rules, float(norm.ppf((1 + confidence) / 2)))


def _group_predictors(
    group: str, names: list[str], values: np.ndarray, targets: Targets, rules: SingleColumnSettings, threads: int
) -> Iterator[Predictor]:
    skills = column_skills(values, targets, bins=rules.bins, threads=threads)
    expected = [rules.expected.get(task.name) for task in targets.tasks]
    declared = np.array([[_covers(entry, name) for entry in expected] for name in names])
    tree, best = tree_skills(skills.bins, targets, ~declared, count=rules.bins + 1)
    for t, task in enumerate(targets.tasks):
        for c in _worth_listing(skills, declared, t, rules.threshold):
            entry = expected[t] if declared[c, t] else None
            limit, compared = (entry.bound, skills.mean[c, t]) if entry else (rules.threshold, skills.skill[c, t])
            exact = bool(skills.exact[c, t])
            yield _predictor(
                task, "column", names[c], group, skills.skill[c, t], skills.best_class[c, t], limit, compared, exact
            )
        if np.isfinite(tree[t]):
            name = f"a tree of {group}"
            yield _predictor(task, "tree", name, group, tree[t], best[t], rules.threshold, tree[t], False)
    yield from _pair_predictors(group, names, values, targets, ~declared, rules, threads)


def _pair_predictors(  # what a group's predictors are made of
    group: str,
    names: list[str],
    values: np.ndarray,
    targets: Targets,
    allowed: np.ndarray,
    rules: SingleColumnSettings,
    threads: int,
) -> Iterator[Predictor]:
    pairs = strongest_pairs(values, targets, allowed, rows=rules.pair_rows)
    if not pairs:
        return
    crossed = np.array([cells(values[i], values[j]) for i, j in pairs.values()])
    skills = column_skills(crossed, targets, bins=rules.bins, threads=threads)
    for row, (name, (i, j)) in enumerate(pairs.items()):
        t = next(index for index, task in enumerate(targets.tasks) if task.name == name)
        skill, exact = skills.skill[row, t], bool(skills.exact[row, t])
        pair = f"{names[i]} with {names[j]}"
        yield _predictor(
            targets.tasks[t], "pair", pair, group, skill, skills.best_class[row, t], rules.threshold, skill, exact
        )


def _predictor(  # noqa: PLR0913, PLR0917 # the fields of a predictor, from arrays
    task: MatrixTask,
    what: str,
    name: str,
    group: str,
    skill: float,
    best_class: int,
    limit: float,
    compared: float,
    exact: bool,
) -> Predictor:
    return Predictor(task, what, name, group, float(skill), float(compared), float(limit), int(best_class), exact)


def _covers(entry: ExpectedPredictor | None, name: str) -> bool:
    return entry is not None and any(fnmatch(name, pattern) for pattern in entry.columns)


def _worth_listing(skills: Skills, declared: np.ndarray, t: int, threshold: float) -> np.ndarray:
    """Return the best columns of a task, those above the threshold, and the declared ones."""
    skill = skills.skill[:, t]
    ranked = np.argsort(-np.nan_to_num(skill, nan=-np.inf), kind="stable")
    shown = (skill > threshold) | skills.exact[:, t] | declared[:, t]
    shown[ranked[:_TOP]] = True
    return ranked[(shown & np.isfinite(skill))[ranked]]


def _outcome(
    predictors: list[Predictor], targets: Targets, outside: list[str], rules: SingleColumnSettings, z: float
) -> CheckOutcome:
    leaks = [predictor for predictor in predictors if predictor.leaks]
    scarce = [task.name for task in targets.tasks if not targets.sufficient(task.name)]
    worst = _worst_of_each_task(leaks)
    reasons = [predictor.sentence() for predictor in worst[:_NAMED]]
    reasons += [f"and {len(leaks) - len(reasons)} more"] if len(leaks) > len(reasons) else []
    reasons += (
        [f"too few customers to judge (below {rules.task_customers} of a class): {', '.join(scarce)}"] if scarce else []
    )
    reasons += [f"columns of no group: {', '.join(outside[:_NAMED])}"] if outside else []
    table = [_row(predictor, targets, z) for predictor in _shown(predictors)]
    top = max((row for row in table if row["what"] == "column"), key=lambda row: row["skill"], default=None)
    observed = {
        "rows": len(targets.customer),
        "customers": len(np.unique(targets.customer)),
        "leaks": len(leaks),
        "highest": f"{top['name']} on {top['task']}" if top else None,
        "highest_skill": top["skill"] if top else None,
        "interval": [top["low"], top["high"]] if top else None,
    }
    return CheckOutcome(not reasons, "; ".join(reasons), len(targets.customer), observed, table)


def _worst_of_each_task(leaks: list[Predictor]) -> list[Predictor]:
    """Return one leak a task: a column before a tree or a pair that holds it, an exact reconstruction before a near one."""
    worst: dict[str, Predictor] = {}
    for leak in sorted(leaks, key=lambda each: (each.what != "column", not each.exact, -each.skill)):
        worst.setdefault(leak.task.name, leak)
    return list(worst.values())


def _shown(predictors: list[Predictor]) -> list[Predictor]:
    """Return every leak, then of each task the best columns, tree and pair."""
    kept = [predictor for predictor in predictors if predictor.leaks]
    for what, count in (("column", _TOP), ("tree", 1), ("pair", 1)):
        seen: dict[str, int] = {}
        for predictor in sorted(predictors, key=lambda each: -each.skill):
            if predictor.what == what and not predictor.leaks:
                seen[predictor.task.name] = seen.get(predictor.task.name, 0) + 1
                if seen[predictor.task.name] <= count or predictor.compared < predictor.skill:
                    kept.append(predictor)
    return sorted(kept, key=lambda each: (not each.leaks, -each.skill))


def _row(predictor: Predictor, targets: Targets, z: float) -> dict[str, Any]:
    label = targets.label(predictor.task.name, predictor.best_class)
    low, high = skill_interval(predictor.task.kind, predictor.skill, label, targets.customer, z=z)
    return {
        "task": predictor.task.name,
        "what": predictor.what,
        "name": predictor.name,
        "group": predictor.group,
        "measure": predictor.measure,
        "skill": predictor.skill,
        "low": low,
        "high": high,
        "compared": predictor.compared,
        "limit": predictor.limit,
        "rows": int(np.isfinite(label).sum()),
        "reconstructs": predictor.exact,
        "passed": not predictor.leaks,
    }
