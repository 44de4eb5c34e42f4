"""C45, the verdict on synthetic data: labels happen as the generator's law says, in number and to the customers that it names.

A second route to a wrong month: the law of a month gives each customer's probability (of a regression: the expectation). Two sums
are compared with what is expected of them: how often each value occurs, and, weighted by the probability's own logarithm (of a
regression: by the distance of the expectation from the mean), to whom. The first finds labels at a wrong rate, the second labels
of other customers or of another month: who acquired a product last month holds it now and cannot acquire it again.

The surprise of a sum is bounded by Bernstein's inequality, ``2 exp(-s^2 / (2 (V + M s / 3)))`` with its variance V and its
largest term M, which holds for any number of rows; of a regression V and M are those of the residuals seen. A sum is refused
below :data:`ERROR`, so that a month of a task with k values is refused by chance in at most (k + 1) of ten million.

Its power is that of one month: with 3,600 customers, labels of one month early are refused in 5 of 13 tasks (``nba_primary``,
``will_acquire_deposits``, ``_investments`` and ``_payments``, ``next_mcc``), of one month late in ``next_mcc``. So it stands
beside the recomputation, and not in its place.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa

from finai_checks.framework.check import CheckOutcome

ERROR = 1e-7
_LEAST = 1e-6  # probabilities are stored as float32; what is less likely counts as impossible when it happens


def labels_follow_the_truth(label: pa.Table, truth: pa.Table, kind: str) -> CheckOutcome:
    """Return whether a month's labels happened as their law says.

    Parameters
    ----------
    label : pa.Table
        ``customer_id`` and ``label``.
    truth : pa.Table
        ``customer_id`` and the law: ``p`` (binary), ``mean`` (regression), or ``p_<code>`` for each class.
    kind : str
        Of the task.
    """
    ids, known = label["customer_id"].to_numpy(), truth["customer_id"].to_numpy()
    common, at, there = np.intersect1d(ids, known, return_indices=True)
    chosen = label["label"].combine_chunks().take(pa.array(at))
    defined = chosen.is_valid().to_numpy(zero_copy_only=False)
    if not len(common) or not defined.any():
        return CheckOutcome.no_evidence(customers=len(common))
    values = chosen.fill_null(0).to_numpy()[defined].astype(np.float64)
    columns = {name: truth[name].to_numpy()[there][defined].astype(np.float64)
               for name in truth.column_names if name != "customer_id"}  # fmt: skip
    sums = _of_expectation(values, columns["mean"]) if kind == "regression" else _of_law(values, *_law(columns))
    rows = [{"sum": name, "expected": expected, "seen": seen, "surprise": odds, "passed": odds >= ERROR}
            for name, expected, seen, odds in sums]  # fmt: skip
    failed = [row for row in rows if not row["passed"]]
    reason = "; ".join(
        f"{row['sum']}: {row['seen']:.4g} where the law expects {row['expected']:.4g} (odds below {row['surprise']:.1e})"
        for row in failed
    )
    observed: dict[str, Any] = {"least_odds": min(odds for *_, odds in sums), "refused_below": ERROR}
    return CheckOutcome(not failed, reason, len(values), observed, rows)


Sum = tuple[str, float, float, float]


def _law(columns: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the values [k] and their probabilities [n, k]."""
    if "p" in columns:
        return np.array([0.0, 1.0]), np.column_stack([1.0 - columns["p"], columns["p"]])
    codes = np.array([float(name.removeprefix("p_")) for name in columns])
    law = np.column_stack(list(columns.values()))
    return codes, law / law.sum(axis=1, keepdims=True)


def _of_law(values: np.ndarray, codes: np.ndarray, law: np.ndarray) -> list[Sum]:
    happened = values[:, None] == codes[None, :]
    p = np.clip(law, _LEAST, 1.0)
    sums = []
    for column, code in enumerate(codes.tolist()):
        expected, seen = float(law[:, column].sum()), float(happened[:, column].sum())
        variance = float((p[:, column] * (1 - law[:, column])).sum())
        sums.append((f"customers with {code:g}", expected, seen, bernstein(seen - expected, variance, 1.0)))
    score = np.log(p)
    mean = (law * score).sum(axis=1)
    variance = float(((law * score**2).sum(axis=1) - mean**2).sum())
    own = np.where(happened.any(axis=1), (score * happened).sum(axis=1), math.log(_LEAST))
    largest = -math.log(_LEAST)
    return [
        *sums,
        (
            "log-likelihood",
            float(mean.sum()),
            float(own.sum()),
            bernstein(float((own - mean).sum()), variance, largest),
        ),
    ]


def _of_expectation(values: np.ndarray, mean: np.ndarray) -> list[Sum]:
    residual = values - mean
    sums = []
    for name, weight in (("sum", np.ones(len(mean))), ("sum weighted by the expectation", mean - mean.mean())):
        terms = residual * weight
        odds = bernstein(float(terms.sum()), float((terms**2).sum()), float(np.abs(terms).max()))
        sums.append((name, float((mean * weight).sum()), float((values * weight).sum()), odds))
    return sums


def bernstein(deviation: float, variance: float, largest: float) -> float:
    """Return the bound on the probability that a sum of centred terms lies as far from zero, at most 1."""
    if not deviation:
        return 1.0
    return min(1.0, 2 * math.exp(-(deviation**2) / (2 * (variance + largest * abs(deviation) / 3))))
