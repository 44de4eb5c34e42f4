"""A block of customers as they stand at a cutoff: the only thing that a feature group may look at.

What is not in the block cannot reach a feature. Everything in it lies before the cutoff: the reader cuts by time, once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from finai_resources.months import Month


@dataclass(frozen=True, slots=True)
class Events:
    """Transactions of a block in customer-major order, oldest first within a customer.

    ``start`` [customers + 1] int64 holds offsets: customer ``i`` owns ``start[i]:start[i + 1]`` of the other arrays, which are
    ``ts`` int64 (microseconds since 1970), ``amount`` float64, ``mcc`` int32 and ``merchant`` int64 (-1 where unknown).
    """

    start: np.ndarray
    ts: np.ndarray
    amount: np.ndarray
    mcc: np.ndarray
    merchant: np.ndarray


@dataclass(frozen=True, slots=True)
class Block:
    """Customers of one month, ascending by id, with their history up to the cutoff.

    Parameters
    ----------
    month : Month
        The snapshot month; everything here has ``ts < month.cutoff``.
    customer_id : int64 [n]
    snapshot : pa.Table
        The month's rows of ``raw/snapshots``, aligned with ``customer_id``.
    held : uint8 [n, months, products]
        Products held at the end of each month of the look-back, oldest first; the last one is the snapshot month.
    observed : bool [n, months]
        Whether the customer has a snapshot in that month (``held`` is zero where not).
    events : Events
        Transactions within the look-back.
    """

    month: Month
    customer_id: np.ndarray
    snapshot: pa.Table
    held: np.ndarray
    observed: np.ndarray
    events: Events

    def __len__(self) -> int:
        return len(self.customer_id)
