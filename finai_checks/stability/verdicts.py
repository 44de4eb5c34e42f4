"""Stability over months, on plain values: constant columns, drift against train, volume, shares of missing values.

Drift is the population stability index (PSI): over the bins of a column, the sum of (p - q) ln(p / q) for the month's shares p
and train's shares q, with a bin of its own for missing values (``finai_assets.features.statistics`` takes it). It has an
expected value above 0 without any drift, since both are samples: about (bins - 1) (1/n + 1/N) for n and N independent rows
(B. Yurdakul, Statistical properties of population stability index, Western Michigan University 2018). A month of few rows can
therefore not distinguish the threshold from chance, and is no evidence. Customers who are in both samples make chance smaller
than that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import ceil
from statistics import NormalDist
from typing import Any

import numpy as np

from finai_checks.framework.check import CheckOutcome

# A median absolute deviation times this estimates the standard deviation of a normal distribution.
NORMAL_SCALE = 1.4826
NAMED = 6
EARLIER_MONTHS = 3  # a median of fewer says nothing about a spread


@dataclass(frozen=True)
class Drift:
    """The drift of a group's columns against train in one month.

    Parameters
    ----------
    names
        The columns.
    psi : float64 [columns]
        Population stability index of each.
    bins : int64 [columns]
        Bins that train or the month occupies, the one of missing values included.
    rows, train_rows : int
        Rows of the month, and of the train sample.
    """

    names: Sequence[str]
    psi: np.ndarray
    bins: np.ndarray
    rows: int
    train_rows: int

    @property
    def by_chance(self) -> np.ndarray:
        """Return the index that is expected without any drift, float64 [columns]."""
        return np.maximum(self.bins - 1, 0) * (1 / self.rows + 1 / self.train_rows)

    def rows_needed(self, allowed: float) -> int | None:
        """Return the rows from which on chance stays at or below ``allowed``; None where train has too few for any month."""
        most = int(self.bins.max(initial=1)) - 1
        room = allowed / most - 1 / self.train_rows if most else 1.0
        return ceil(1 / room) if room > 0 else None


def columns_vary(names: Sequence[str], spread: np.ndarray, rows: int, *, allowed: int) -> CheckOutcome:
    """Return whether no column is constant over the rows given.

    Parameters
    ----------
    names
        Columns, aligned with ``spread`` [columns]: range or standard deviation over the rows that are not missing, NaN where
        all are.
    rows
        Number of rows.
    allowed
        How many constant columns may pass.
    """
    if rows < 2 or not names:
        return CheckOutcome.no_evidence(rows=rows)
    constant = [name for name, value in zip(names, spread, strict=True) if not value > 0]
    passed = len(constant) <= allowed
    reason = "" if passed else f"{len(constant)} of {len(names)} columns are constant: {', '.join(constant[:8])}"
    table = [{"column": name, "spread": 0.0} for name in constant]
    return CheckOutcome(passed, reason, rows, {"constant_columns": len(constant), "allowed": allowed}, table)


def declared_reason(declared: Mapping[str, str], group: str, column: str) -> str | None:
    """Return the reason for which a column is declared to drift: that of the first pattern that fits it, or ``group/column``."""
    for pattern, reason in declared.items():
        if fnmatchcase(column, pattern) or fnmatchcase(f"{group}/{column}", pattern):
            return reason
    return None


def feature_drift(
    drift: Drift,
    *,
    threshold: float,
    chance_share: float,
    declared: Mapping[str, str],
    important: Collection[str] | None = None,
) -> CheckOutcome:
    """Return whether every column's population stability index lies below ``threshold``.

    Parameters
    ----------
    threshold
        From this value on a column has drifted.
    chance_share
        A month in which a counted column's index is expected above this share of the threshold by chance alone cannot pass.
    declared
        Columns that are known to drift, with the reason: listed, not counted.
    important
        The columns that count; None means all.
    """
    if drift.rows < 1 or drift.train_rows < 1 or not drift.names:
        return CheckOutcome.no_evidence(rows=drift.rows, train_rows=drift.train_rows)
    chance = drift.by_chance
    counts = np.array([
        name not in declared and (important is None or name in important) for name in drift.names
    ])  # fmt: skip
    most = float(chance[counts].max(initial=0.0))
    allowed = chance_share * threshold
    observed = {
        "columns": len(drift.names),
        "counted": int(counts.sum()),
        "declared_to_drift": len(declared),
        "worst": _rounded(drift.psi[counts].max(initial=0.0)),
        "expected_by_chance": _rounded(most),
        "rows_needed": drift.rows_needed(allowed),
    }
    drifted = counts & ~(drift.psi < threshold)
    if most > allowed and not drifted.any():
        return CheckOutcome.no_evidence(rows=drift.rows, train_rows=drift.train_rows, **observed)
    worst_first = np.argsort(-drift.psi, kind="stable")
    table = [
        {
            "column": drift.names[c], "psi": _rounded(drift.psi[c]), "by_chance": _rounded(chance[c]),
            "counted": bool(counts[c]), "drifted": bool(drifted[c]), "declared": declared.get(drift.names[c], ""),
        }
        for c in worst_first
    ]  # fmt: skip
    named = [f"{drift.names[c]} {drift.psi[c]:.2f}" for c in worst_first if drifted[c]]
    if named:
        reason = f"{len(named)} of {observed['counted']} counted columns drifted: {_first(named)}"
        if most > allowed:
            reason += f" (of {drift.rows} rows, {most:.2f} is expected by chance)"
    else:
        reason = "" if counts.any() else "none of its columns counts here"
    return CheckOutcome(not named, reason, drift.rows, observed, table)


def volume_stable(
    current: Mapping[str, float],
    earlier: Mapping[str, Mapping[str, float]],
    *,
    deviations: float,
    floor_share: float,
) -> CheckOutcome:
    """Return whether each figure of a month lies near the median of the months before; ``n`` counts those months.

    A figure may lie ``deviations`` scaled median absolute deviations from the median, and always ``floor_share`` of the median,
    so that a figure that was constant may move a little.

    Parameters
    ----------
    current
        Figures of the month.
    earlier
        The same figures of each month before, by month.
    """
    if not current or len(earlier) < EARLIER_MONTHS:
        return CheckOutcome.no_evidence(earlier_months=sorted(earlier), needed=EARLIER_MONTHS)
    table = []
    for name, value in current.items():
        past = np.array([figures[name] for figures in earlier.values()], np.float64)
        middle = float(np.median(past))
        spread = NORMAL_SCALE * float(np.median(np.abs(past - middle)))
        allowed = max(deviations * spread, floor_share * abs(middle))
        table.append({
            "figure": name, "value": float(value), "median": middle, "low": middle - allowed, "high": middle + allowed,
            "stable": bool(abs(value - middle) <= allowed),
        })  # fmt: skip
    wrong = [
        f"{row['figure']} {row['value']:,.0f}, expected {row['low']:,.0f} to {row['high']:,.0f}"
        for row in table
        if not row["stable"]
    ]
    observed = {"earlier_months": sorted(earlier), **{str(row["figure"]): row["value"] for row in table}}
    return CheckOutcome(not wrong, "; ".join(wrong), len(earlier), observed, table)


@dataclass(frozen=True)
class Missing:
    """Shares of missing values.

    Parameters
    ----------
    label
        Where they come from, in words.
    share : float64 [columns]
        Over ``rows`` rows.
    silent
        Columns that are not compared with these shares.
    slack : float64 [columns] or float
        How much a share usually moves between such months.
    """

    label: str
    share: np.ndarray
    rows: int
    silent: Collection[str] = ()
    slack: np.ndarray | float = 0.0


def typical_missing(past: Sequence[Missing], *, deviations: float) -> Missing:
    """Return the median share of each column over some months, with ``deviations`` scaled median absolute deviations as slack.

    So a share that falls or rises steadily is no jump, and one odd month among them neither moves the median nor the slack.
    """
    shares = np.array([of.share for of in past])
    middle = np.median(shares, axis=0)
    spread = NORMAL_SCALE * np.median(np.abs(shares - middle), axis=0)
    label = f"in the last {len(past)} months"
    return Missing(label, middle, int(np.median([of.rows for of in past])), slack=deviations * spread)


def missingness_stable(
    names: Sequence[str], current: Missing, references: Sequence[Missing], *, jump: float, confidence: float
) -> CheckOutcome:
    """Return whether no column's share of missing values has changed by more than ``jump`` and its sampling error.

    A share has changed where the nearer end of the interval of the difference of two shares, each of its own rows, lies beyond
    the jump and the reference's slack.

    Parameters
    ----------
    names
        The columns.
    references
        What the month is compared with: train, and the last months.
    jump
        As a share of the rows.
    confidence
        Of the interval.
    """
    if not names or not references or current.rows < 1 or any(reference.rows < 1 for reference in references):
        return CheckOutcome.no_evidence(rows=current.rows, compared_with=[entry.label for entry in references])
    quantile = NormalDist().inv_cdf((1 + confidence) / 2)
    table: list[dict[str, Any]] = []
    for reference in references:
        difference = current.share - reference.share
        pooled = (current.share * current.rows + reference.share * reference.rows) / (current.rows + reference.rows)
        margin = quantile * np.sqrt(pooled * (1 - pooled) * (1 / current.rows + 1 / reference.rows))
        stable = np.abs(difference) - margin - reference.slack <= jump
        table += [
            {
                "column": name, "compared_with": reference.label, "missing": _rounded(current.share[c]),
                "before": _rounded(reference.share[c]), "low": _rounded(difference[c] - margin[c]),
                "high": _rounded(difference[c] + margin[c]), "stable": bool(stable[c]),
            }
            for c, name in enumerate(names)
            if name not in reference.silent
        ]  # fmt: skip
    if not table:
        return CheckOutcome(True, "none of its columns counts here", current.rows, {"columns": len(names)})
    table.sort(key=lambda row: -abs(row["missing"] - row["before"]))
    wrong: dict[str, str] = {}
    for row in table:
        if not row["stable"]:
            change = f"{row['column']} {row['missing']:.0%}, {row['before']:.0%} {row['compared_with']}"
            wrong.setdefault(row["column"], change)
    reason = f"missing values changed in {len(wrong)} of {len(names)} columns: {_first(list(wrong.values()))}"
    observed = {
        "columns": len(names),
        "changed": len(wrong),
        "compared_with": [entry.label for entry in references],
        "widest": table[0]["column"],
        "interval": [table[0]["low"], table[0]["high"]],
    }
    return CheckOutcome(not wrong, reason if wrong else "", current.rows, observed, table)


def _first(named: Sequence[str]) -> str:
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return "; ".join(named[:NAMED]) + more


def _rounded(value: float) -> float:
    return round(float(value), 5)
