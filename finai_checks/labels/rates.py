"""C45, the verdict on rates: a month's label is neither constant nor commonplace where events are declared to be rare."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from finai_assets.settings.checks import LabelRate
from finai_checks.framework.check import CheckOutcome

ERROR = 1e-6  # of an interval, so that a month is refused by chance once in a million


def label_rates(label: pa.Array, kind: str, declared: LabelRate) -> CheckOutcome:
    """Return whether the share of events lies within its declared limits, and the share of nulls below its own.

    An event is a positive of a binary task, and any value but the most frequent one of another. The limits are compared with the
    interval of Clopper and Pearson, so that a small month is not refused for its size.

    Parameters
    ----------
    label : pa.Array [n]
    kind : str
        Of the task.
    """
    n = len(label)
    if not n:
        return CheckOutcome.no_evidence()
    values = label.drop_null().to_numpy()
    nulls = n - len(values)
    if kind == "binary":
        events = int((values == 1).sum())
    else:
        events = len(values) - int(np.unique(values, return_counts=True)[1].max(initial=0))
    faults = []
    low, high = _interval(events, len(values))
    if high < declared.low or low > declared.high:
        faults.append(
            f"{events} of {len(values)} labels are events, outside the declared share {declared.low:g} to {declared.high:g}"
        )
    if _interval(nulls, n)[0] > declared.nulls:
        faults.append(f"{nulls} of {n} labels are null, more than the declared share {declared.nulls:g}")
    observed = {"events": events, "defined": len(values), "interval": [low, high], "null_share": nulls / n,
                "low": declared.low, "high": declared.high, "reason_of_the_limits": declared.reason}  # fmt: skip
    return CheckOutcome(not faults, "; ".join(faults), n, observed)


def _interval(events: int, n: int) -> tuple[float, float]:
    """Return the interval of Clopper and Pearson for a share."""
    from scipy.stats import beta

    low = float(beta.ppf(ERROR / 2, events, n - events + 1)) if events else 0.0
    high = float(beta.ppf(1 - ERROR / 2, events + 1, n - events)) if events < n else 1.0
    return low, high
