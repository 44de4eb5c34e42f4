"""C12, the transfer set: rows of purged months alone, with the stored features and the answers of the stored teacher."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from finai_assets.students.transfer import SPLIT, Answering, TransferSet
from finai_assets.training.fitted_rows import FittedRows
from finai_checks.framework.check import CheckOutcome
from finai_resources.months import Month

_NAMED = 3


def transfer_rows(stored: TransferSet, customers: Mapping[Month, np.ndarray], answering: Answering) -> CheckOutcome:
    """Return whether a transfer set holds the rows that it may hold, with their features and the teacher's answers.

    Parameters
    ----------
    customers
        The rows that it may hold: customers of each month, int64 [n].
    answering
        The lake and the teacher. The first batch of each month is answered again; it is the batch that was answered, as a kernel
        may add up the numbers of a smaller one in another order. Answers may differ by ``checks.refit_rounding``, which another
        machine needs; features are equal to the bit.
    """
    if not len(stored):
        return CheckOutcome.no_evidence()
    allowed = FittedRows.of_months(SPLIT, customers)
    reasons, table, compared = [], [], 0
    if outside := sorted(set(stored.rows.months) - set(allowed.months)):
        reasons.append(f"rows of {', '.join(outside)}, where only {', '.join(allowed.months) or 'no month'} may teach")
    elif stored.rows != allowed:
        reasons.append("its customers are not those of its months as stored now (their digests differ)")
    size, place = answering.teacher.settings.batch_rows, {n: i for i, n in enumerate(answering.registry.names)}
    kept = [place[name] for name in stored.columns]
    for month in stored.rows.months:
        rows = np.flatnonzero(stored.month == month)[:size]
        again = answering.answer(Month.parse(month), stored.customer[rows])
        features = int((again.X[:, kept].view(np.uint32) != stored.X[rows].view(np.uint32)).sum())
        rounding = answering.settings.checks.refit_rounding
        answers = {
            name: _differing(told[rows], again.predictions[name], rounding) for name, told in stored.predictions.items()
        }
        compared += stored.X[rows].size + sum(told[rows].size for told in stored.predictions.values())
        table.append({"month": month, "rows": len(rows), "features": features, "answers": sum(answers.values())})
        if features:
            reasons.append(f"{features} features of {month} are not the stored ones")
        if wrong := [f"{name} ({count})" for name, count in answers.items() if count]:
            more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
            reasons.append(f"answers of {month} are not the stored teacher's: {', '.join(wrong[:_NAMED])}{more}")
    observed = {"rows": len(stored), "columns": len(stored.columns), "months": list(stored.rows.months)}
    return CheckOutcome(not reasons, "; ".join(reasons), compared, observed, table)


def _differing(stored: np.ndarray, again: np.ndarray, rounding: float) -> int:
    return int((~np.isclose(again, stored, rtol=0.0, atol=rounding * np.maximum(1.0, np.abs(stored)))).sum())
