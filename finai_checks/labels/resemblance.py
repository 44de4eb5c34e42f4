"""C46, the verdict on any data: a label is not what the features could already see in the month before.

The same quantity is asked for the window that ends at the cutoff. Where both are the commonplace value (nothing acquired, nothing
changed) they agree without saying anything, so that the rows count in which either is another value.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from finai_checks.framework.check import CheckOutcome
from finai_checks.labels.recomputed import as_label, differing

ROWS = 20  # fewer are not judged: of so few, all may agree without a fault


def unlike_the_month_before(label: pa.Array, before: pa.Array, bound: float | None, reason: str = "") -> CheckOutcome:
    """Return whether a label agrees with the same quantity of the month before in less than a bounded share of its events.

    Parameters
    ----------
    label, before : pa.Array [n]
        As stored, and of the equally long window that ends at the cutoff; null where not defined.
    bound : float or None
        Share of agreeing rows, from which the label counts as what was before; None where the task is told and not judged.
    reason
        Why the task has a bound of its own.
    """
    earlier = as_label(before, label.type)
    known = (label.is_valid().to_numpy(zero_copy_only=False)) & (earlier.is_valid().to_numpy(zero_copy_only=False))
    values = label.fill_null(0).to_numpy()
    if not known.any():
        return CheckOutcome.no_evidence()
    common, counts = np.unique(values[known], return_counts=True)
    usual = common[counts.argmax()]
    events = known & ((values != usual) | (earlier.fill_null(0).to_numpy() != usual))
    rows = int(events.sum())
    agreement = float((~differing(label, earlier))[events].mean()) if rows else 0.0
    observed = {"events": rows, "agreement": agreement, "bound": bound, "reason_of_the_bound": reason}
    if rows < ROWS:
        remark = f"{rows} rows are other than the commonplace value, {ROWS} are needed to judge"
        return CheckOutcome(True, remark, int(known.sum()), observed)
    told = f"{agreement:.3f} of {rows} events are the same as in the month before, which features see"
    if bound is None:
        return CheckOutcome(True, f"not judged ({reason}): {told}", int(known.sum()), observed)
    failed = agreement >= bound
    return CheckOutcome(not failed, f"{told}; below {bound:g} is allowed" if failed else "", int(known.sum()), observed)
