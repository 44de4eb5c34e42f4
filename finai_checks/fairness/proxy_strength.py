"""C15, the verdict: how well the columns that models read predict each protected attribute.

An attribute that no model reads can still reach it through others (a proxy). The strength of the proxies is the AUC of the group
that is predicted best against the rest: by a small LightGBM that never saw the customer, or by a single column where that is
better. The best group and not the mean over groups, since a proxy that reveals one of four age bands harms that band, and the
mean would hide three quarters of it. Columns that are withheld from the models take no part, nor do those that policy allows to
carry the attribute openly: they are the attribute, and no proxy of it.

Above the threshold an assessment is required: the configuration then holds the assessment's id, reason and last day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from finai_assets.features.sampling import customer_hash
from finai_assets.scoring.boosting import Binning, Growth, Sample, bin_rows, hard_loss, train_trees
from finai_assets.settings.checks import ProxyStrengthSettings
from finai_assets.training.labelling import MatrixTask
from finai_checks.fairness.protected import Attribute
from finai_checks.framework.check import CheckOutcome
from finai_checks.leaks.single_column_skill import Targets, column_skills, skill_interval

MODEL = "all columns together"


@dataclass(frozen=True, slots=True)
class Strength:
    """How well one group of an attribute is predicted against the rest.

    ``together`` is the AUC of the model on customers that it did not learn from, ``alone`` that of the strongest single
    ``column``.
    """

    attribute: str
    group: str
    customers: int
    together: float
    column: str
    alone: float
    low: float
    high: float

    @property
    def auc(self) -> float:
        """Return the larger one."""
        return max(self.together, self.alone)


def proxy_strength(  # noqa: PLR0913 # a matrix has these parts
    X: np.ndarray,
    columns: Sequence[str],
    customer: np.ndarray,
    attributes: Sequence[Attribute],
    *,
    openly: Sequence[tuple[str, str]],
    rules: ProxyStrengthSettings,
    confidence: float,
    seed: int,
    threads: int,
    today: date | None = None,
) -> CheckOutcome:
    """Measure the proxies of each attribute among the columns that models read.

    Parameters
    ----------
    X : float32 [n, d]
        A row a customer.
    openly
        Pairs of an attribute and a column that policy allows to carry it.
    today
        Decides which assessments count.

    Returns
    -------
    CheckOutcome
        Fails where an attribute is predictable above the threshold without a valid assessment, or a group is too small to judge.
    """
    from scipy.stats import norm

    if not attributes or not len(X) or not columns:
        return CheckOutcome.no_evidence(attributes=len(attributes), customers=len(X), columns=len(columns))
    day, z = today or datetime.now(UTC).date(), float(norm.ppf((1 + confidence) / 2))
    reasons: list[str] = []
    table: list[dict[str, Any]] = []
    strongest: list[Strength] = []
    for attribute in attributes:
        others = [index for index, name in enumerate(columns) if (attribute.name, name) not in set(openly)]
        scarce, sizes = _scarce(attribute, rules.group_customers), attribute.sizes()
        judged = [k for k in range(len(attribute.groups)) if k not in scarce]
        if scarce or not judged:
            small = ", ".join(f"{attribute.groups[k]} {sizes[k]}" for k in scarce) or "no group"
            reasons.append(
                f"{attribute.name}: too few customers to judge ({small}; {rules.group_customers} are needed)"
            )
            table += [_scarce_row(attribute, k, int(sizes[k])) for k in scarce]
        if not judged:
            continue
        names = [columns[index] for index in others]
        strengths = _strengths(attribute, judged, X[:, others], names, customer, rules, seed, threads, z)
        best = max(strengths, key=lambda strength: strength.auc)
        strongest.append(best)
        verdicts = {strength.group: _verdict(strength, rules, day) for strength in strengths}
        reasons += [fault for fault in [verdicts[best.group][0]] if fault]
        table += [_row(strength, *verdicts[strength.group]) for strength in strengths]
    top = max(strongest, key=lambda strength: strength.auc, default=None)
    observed = {
        "customers": len(X),
        "columns": len(columns),
        "auc": {strength.attribute: strength.auc for strength in strongest},
        "openly_carried": [f"{name} ({attribute})" for attribute, name in openly if name in columns],
        "highest": f"{top.attribute} = {top.group}" if top else None,
        "interval": [top.low, top.high] if top else None,
    }
    n = len(X) if strongest else 0
    return CheckOutcome(not reasons, "; ".join(reasons), n, observed, table)


def _scarce(attribute: Attribute, needed: int) -> list[int]:
    """Return the groups with too few customers inside, or outside."""
    sizes = attribute.sizes()
    return [k for k, size in enumerate(sizes) if size < needed or sizes.sum() - size < needed]


def _strengths(  # noqa: PLR0913, PLR0917 # what an attribute's measurement is made of
    attribute: Attribute,
    judged: Sequence[int],
    X: np.ndarray,
    columns: Sequence[str],
    customer: np.ndarray,
    rules: ProxyStrengthSettings,
    seed: int,
    threads: int,
    z: float,
) -> list[Strength]:
    known = attribute.known
    codes, rows, who = attribute.codes[known], np.ascontiguousarray(X[known]), customer[known]
    probability = _predicted(codes, len(attribute.groups), rows, who, rules, seed, threads)
    labels = {attribute.groups[k]: (codes == k).astype(np.float64) for k in judged}
    if len(labels) == 2 == len(attribute.groups):  # the AUC of one of two groups is that of the other
        first, second = labels
        single = _alone({first: labels[first]}, rows, who, rules, seed, threads)
        single[second] = single[first]
    else:
        single = _alone(labels, rows, who, rules, seed, threads)
    strengths = []
    for k in judged:
        group = attribute.groups[k]
        label, (column, alone) = labels[group], single[group]
        together = _auc(label, probability[:, k])
        low, high = skill_interval("binary", max(together, alone), label, who, z=z)
        strengths.append(Strength(attribute.name, group, int(label.sum()), together, columns[column], alone, low, high))
    return strengths


def _predicted(
    codes: np.ndarray,
    groups: int,
    X: np.ndarray,
    customer: np.ndarray,
    rules: ProxyStrengthSettings,
    seed: int,
    threads: int,
) -> np.ndarray:
    """Return float64 [n, groups]: each customer's probabilities by a model that did not learn from that customer."""
    fold = customer_hash(customer, seed=seed, salt="proxy folds") % np.uint64(rules.folds)
    binning = Binning(seed=seed, threads=threads, min_leaf_rows=max(5, rules.group_customers // 5), max_bin=rules.bins)
    growth = Growth(rules.rounds, rules.leaves, rules.learning_rate, column_share=rules.column_share)
    loss = hard_loss("binary") if groups == 2 else hard_loss("multiclass", groups)
    binned = bin_rows(X, binning)
    out = np.full((len(X), groups), np.nan)
    for number in range(rules.folds):
        held_out = fold == number
        if not held_out.any():
            continue
        learned = Sample(binned.take(np.flatnonzero(~held_out)), codes[~held_out])
        told = train_trees(loss, learned, growth).predict(X[held_out], threads=threads)
        out[held_out] = np.column_stack([1 - told, told]) if groups == 2 else told
    return out


def _alone(
    labels: Mapping[str, np.ndarray],
    X: np.ndarray,
    customer: np.ndarray,
    rules: ProxyStrengthSettings,
    seed: int,
    threads: int,
) -> dict[str, tuple[int, float]]:
    """Return, for each 0/1 label, the column that predicts it best by itself, and its AUC.

    The best of a thousand columns looks skilled by luck on the customers that it was selected on: it is selected on one half of
    them and measured on the other, both ways round, and the mean of the two counts.
    """
    tasks = [MatrixTask(name, "binary", 1, (), 1.0, None, "protected") for name in labels]
    half = customer_hash(customer, seed=seed, salt="proxy halves") & np.uint64(1)
    measured: dict[str, list[tuple[float, int]]] = {name: [] for name in labels}
    for side in (0, 1):
        choosing, measuring = half == side, half != side
        targets = Targets.of(
            tasks,
            {name: label[choosing] for name, label in labels.items()},
            customer[choosing],
            class_customers=2,
            task_customers=2,
            seed=seed,
        )
        values = np.ascontiguousarray(X[choosing].T)
        skill = np.nan_to_num(column_skills(values, targets, bins=rules.bins, threads=threads).skill, nan=0.0)
        for t, name in enumerate(labels):
            best = int(np.argmax(skill[:, t]))
            measured[name].append((_skill_of(X[:, best], labels[name], choosing, measuring, rules.bins), best))
    return {name: (max(both)[1], float(np.mean([skill for skill, _ in both]))) for name, both in measured.items()}


def _skill_of(column: np.ndarray, label: np.ndarray, choosing: np.ndarray, measuring: np.ndarray, bins: int) -> float:
    """Return the AUC, on some rows, of the share of the label per bin of the column on other rows."""
    values = np.unique(column[choosing][np.isfinite(column[choosing])])
    edges = values if len(values) <= bins else np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)))
    place = np.where(np.isfinite(column), np.searchsorted(edges, np.nan_to_num(column), side="right") + 1, 0)
    width = len(edges) + 2
    inside = np.bincount(place[choosing], label[choosing], minlength=width)
    count = np.bincount(place[choosing], minlength=width)
    share = (inside + label[choosing].mean()) / (count + 1)
    return _auc(label[measuring], share[place[measuring]])


def _auc(label: np.ndarray, score: np.ndarray) -> float:
    """Return the area under the ROC curve; ties count half."""
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    inside = label == 1
    n1, n0 = int(inside.sum()), int((~inside).sum())
    return float((ranks[inside].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def _verdict(strength: Strength, rules: ProxyStrengthSettings, day: date) -> tuple[str, str]:
    """Return the fault, and the assessment that was accepted; either may be empty."""
    if strength.auc <= rules.threshold:
        return "", ""
    predictable = (
        f"{strength.attribute} is predictable: AUC {strength.auc:.3f} [{strength.low:.3f}, {strength.high:.3f}] of "
        f"{strength.group} > {rules.threshold:g} (alone: {strength.column} {strength.alone:.3f})"
    )
    assessment = rules.assessments.get(strength.attribute)
    if assessment is None:
        return f"{predictable}, and no assessment is declared", ""
    if assessment.expires < day:
        return f"{predictable}, and assessment {assessment.id} has expired on {assessment.expires}", ""
    return "", f"{assessment.id}: {assessment.reason} (until {assessment.expires})"


def _row(strength: Strength, fault: str, accepted: str) -> dict[str, Any]:
    return {
        "attribute": strength.attribute,
        "group": strength.group,
        "customers": strength.customers,
        "auc": strength.auc,
        "low": strength.low,
        "high": strength.high,
        "together": strength.together,
        "strongest_column": strength.column,
        "alone": strength.alone,
        "assessment": accepted,
        "passed": not fault,
    }


def _scarce_row(attribute: Attribute, k: int, customers: int) -> dict[str, Any]:
    nothing = float("nan")
    small = Strength(attribute.name, attribute.groups[k], customers, nothing, "", nothing, nothing, nothing)
    return _row(small, "too few customers", "")
