"""C11, the verdict: no column, pair of columns or shallow tree of a group tells a label better than an honest input could.

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
from scipy.stats import norm

from finai_assets.settings.checks import ExpectedPredictor, SingleColumnSettings
from finai_assets.training.labelling import MatrixTask
from finai_checks.framework.outcome import CheckOutcome
from finai_checks.leaks.column_skill import Skills, Targets, column_skills, skill_interval
from finai_checks.leaks.group_skill import cells, strongest_pairs, tree_skills

_TOP = 3  # columns of each task in the table
_NAMED = 8  # leaks in the reason


@dataclass(frozen=True, slots=True)
class Finding:
    """What one column, pair or tree tells of one task."""

    task: MatrixTask
    what: str
    name: str
    group: str
    skill: float
    compared: float
    limit: float
    chosen: int
    exact: bool

    @property
    def leaks(self) -> bool:
        """Tell whether it says more than it may."""
        return self.exact or self.compared > self.limit

    @property
    def measure(self) -> str:
        """Return the name of the skill."""
        if self.task.kind == "regression":
            return "R2"
        return "AUC" if self.task.kind == "binary" else f"AUC of {self.task.class_labels[self.chosen]}"

    def sentence(self) -> str:
        """Return the finding in words."""
        if self.exact:
            return f"{self.name} reconstructs {self.task.name}"
        measure = self.measure if self.compared == self.skill else "mean AUC over classes"
        return f"{self.name} tells {self.task.name}: {measure} {self.compared:.4f} > {self.limit:g}"


def no_single_column_leak(  # noqa: PLR0913 # a matrix has these parts
    X: np.ndarray,
    columns: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    tasks: Sequence[MatrixTask],
    labels: Mapping[str, np.ndarray],
    customer: np.ndarray,
    *,
    chosen: SingleColumnSettings,
    confidence: float,
    seed: int,
    threads: int,
) -> CheckOutcome:
    """Tell whether nothing that one group holds gives a label away, on train rows alone.

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
    if not len(X) or not tasks or not columns:
        return CheckOutcome.no_evidence(rows=len(X), tasks=len(tasks), columns=len(columns))
    targets = Targets.of(tasks, labels, customer, class_rows=chosen.class_rows, seed=seed)
    position = {name: at for at, name in enumerate(columns)}
    found: list[Finding] = []
    for group, names in groups.items():
        held = [name for name in names if name in position]
        if held:
            values = np.ascontiguousarray(X[:, [position[name] for name in held]].T)
            found += _group_findings(group, held, values, targets, chosen, threads)
    outside = sorted(set(columns) - {name for names in groups.values() for name in names})
    return _outcome(found, targets, outside, chosen, float(norm.ppf((1 + confidence) / 2)))


def _group_findings(
    group: str, names: list[str], values: np.ndarray, targets: Targets, chosen: SingleColumnSettings, threads: int
) -> Iterator[Finding]:
    skills = column_skills(values, targets, bins=chosen.bins, threads=threads)
    expected = [chosen.expected.get(task.name) for task in targets.tasks]
    declared = np.array([[_covers(entry, name) for entry in expected] for name in names])
    tree, best = tree_skills(skills.bins, targets, ~declared, count=chosen.bins + 1)
    for t, task in enumerate(targets.tasks):
        for c in _worth_telling(skills, declared, t, chosen.threshold):
            entry = expected[t] if declared[c, t] else None
            limit, compared = (entry.bound, skills.mean[c, t]) if entry else (chosen.threshold, skills.skill[c, t])
            exact = bool(skills.exact[c, t])
            yield _finding(
                task, "column", names[c], group, skills.skill[c, t], skills.chosen[c, t], limit, compared, exact
            )
        if np.isfinite(tree[t]):
            name = f"a tree of {group}"
            yield _finding(task, "tree", name, group, tree[t], best[t], chosen.threshold, tree[t], False)
    yield from _pair_findings(group, names, values, targets, ~declared, chosen, threads)


def _pair_findings(  # what a group's findings are made of
    group: str,
    names: list[str],
    values: np.ndarray,
    targets: Targets,
    allowed: np.ndarray,
    chosen: SingleColumnSettings,
    threads: int,
) -> Iterator[Finding]:
    pairs = strongest_pairs(values, targets, allowed, rows=chosen.pair_rows)
    if not pairs:
        return
    crossed = np.array([cells(values[i], values[j]) for i, j in pairs.values()])
    skills = column_skills(crossed, targets, bins=chosen.bins, threads=threads)
    for row, (name, (i, j)) in enumerate(pairs.items()):
        t = next(at for at, task in enumerate(targets.tasks) if task.name == name)
        skill, exact = skills.skill[row, t], bool(skills.exact[row, t])
        pair = f"{names[i]} with {names[j]}"
        yield _finding(
            targets.tasks[t], "pair", pair, group, skill, skills.chosen[row, t], chosen.threshold, skill, exact
        )


def _finding(  # noqa: PLR0913, PLR0917 # the fields of a finding, from arrays
    task: MatrixTask,
    what: str,
    name: str,
    group: str,
    skill: float,
    chosen: int,
    limit: float,
    compared: float,
    exact: bool,
) -> Finding:
    return Finding(task, what, name, group, float(skill), float(compared), float(limit), int(chosen), exact)


def _covers(entry: ExpectedPredictor | None, name: str) -> bool:
    return entry is not None and any(fnmatch(name, pattern) for pattern in entry.columns)


def _worth_telling(skills: Skills, declared: np.ndarray, t: int, threshold: float) -> np.ndarray:
    """Return the best columns of a task, those above the threshold, and the declared ones."""
    skill = skills.skill[:, t]
    ranked = np.argsort(-np.nan_to_num(skill, nan=-np.inf), kind="stable")
    shown = (skill > threshold) | skills.exact[:, t] | declared[:, t]
    shown[ranked[:_TOP]] = True
    return ranked[(shown & np.isfinite(skill))[ranked]]


def _outcome(
    found: list[Finding], targets: Targets, outside: list[str], chosen: SingleColumnSettings, z: float
) -> CheckOutcome:
    leaks = [finding for finding in found if finding.leaks]
    scarce = [task.name for task in targets.tasks if not targets.sufficient(task.name)]
    worst = _worst_of_each_task(leaks)
    reasons = [finding.sentence() for finding in worst[:_NAMED]]
    reasons += [f"and {len(leaks) - len(reasons)} more"] if len(leaks) > len(reasons) else []
    reasons += [f"too few rows to judge (below {chosen.class_rows} of a class): {', '.join(scarce)}"] if scarce else []
    reasons += [f"columns of no group: {', '.join(outside[:_NAMED])}"] if outside else []
    table = [_row(finding, targets, z) for finding in _shown(found)]
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


def _worst_of_each_task(leaks: list[Finding]) -> list[Finding]:
    """Return one leak a task: a column before a tree or a pair that holds it, a reconstruction before what is nearly one."""
    worst: dict[str, Finding] = {}
    for finding in sorted(leaks, key=lambda each: (each.what != "column", not each.exact, -each.skill)):
        worst.setdefault(finding.task.name, finding)
    return list(worst.values())


def _shown(found: list[Finding]) -> list[Finding]:
    """Return every leak, then of each task the best columns, tree and pair."""
    kept = [finding for finding in found if finding.leaks]
    for what, count in (("column", _TOP), ("tree", 1), ("pair", 1)):
        seen: dict[str, int] = {}
        for finding in sorted(found, key=lambda each: -each.skill):
            if finding.what == what and not finding.leaks:
                seen[finding.task.name] = seen.get(finding.task.name, 0) + 1
                if seen[finding.task.name] <= count or finding.compared < finding.skill:
                    kept.append(finding)
    return sorted(kept, key=lambda each: (not each.leaks, -each.skill))


def _row(finding: Finding, targets: Targets, z: float) -> dict[str, Any]:
    label = targets.label(finding.task.name, finding.chosen)
    low, high = skill_interval(finding.task.kind, finding.skill, label, targets.customer, z=z)
    return {
        "task": finding.task.name,
        "what": finding.what,
        "name": finding.name,
        "group": finding.group,
        "measure": finding.measure,
        "skill": finding.skill,
        "low": low,
        "high": high,
        "compared": finding.compared,
        "limit": finding.limit,
        "rows": int(np.isfinite(label).sum()),
        "reconstructs": finding.exact,
        "passed": not finding.leaks,
    }
