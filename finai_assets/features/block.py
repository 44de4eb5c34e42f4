"""A block of customers as they stand at a cutoff: the only input of a feature group.

What is not in the block cannot reach a feature. Everything in it lies before the cutoff: the reader cuts by time, once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.asset_graph import table_name
from finai_assets.features.catalogue import Catalogue, read_catalogue
from finai_assets.features.events import Events, read_events
from finai_assets.features.holdings import read_held
from finai_assets.features.inputs import CATEGORIES, PRODUCTS, SNAPSHOTS, TRANSACTIONS
from finai_assets.features.reading import read_range
from finai_assets.partitions import look_back
from finai_resources.errors import LakeError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

if TYPE_CHECKING:
    from finai_assets.features.registry import Column
    from finai_assets.settings import Settings

__all__ = ["Block", "Events", "block_ranges", "read_block"]


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
    catalogue : Catalogue
        Product families and the tree of merchant categories.
    """

    month: Month
    customer_id: np.ndarray
    snapshot: pa.Table
    held: np.ndarray
    observed: np.ndarray
    events: Events
    catalogue: Catalogue

    def __len__(self) -> int:
        return len(self.customer_id)

    @property
    def months(self) -> tuple[Month, ...]:
        """Return the months of the look-back that exist, oldest first."""
        count = self.observed.shape[1]
        return tuple(self.month - (count - 1 - k) for k in range(count))

    def acquisitions(self, *, last: int | None = None) -> np.ndarray:
        """Return bool [n, steps, products]: held at a month's end, and not at the end of the month before, which was observed.

        ``last`` limits the steps to those into the last so many months.
        """
        held, observed = self._recent(last)
        return (held[:, 1:] > held[:, :-1]) & observed[:, :-1, None]

    def closures(self) -> np.ndarray:
        """Return bool [n, steps, products]: held at the end of the month before and no more; departed customers hold nothing."""
        return np.asarray(self.held[:, 1:] < self.held[:, :-1])

    def take(self, customers: np.ndarray) -> Block:
        """Return the block of some of its customers, given by ascending position."""
        return replace(
            self,
            customer_id=self.customer_id[customers],
            snapshot=self.snapshot.take(customers),
            held=self.held[customers],
            observed=self.observed[customers],
            events=self.events.take(customers),
        )

    def _recent(self, last: int | None) -> tuple[np.ndarray, np.ndarray]:
        begin = 0 if last is None else max(0, self.held.shape[1] - 1 - last)
        return self.held[:, begin:], self.observed[:, begin:]

    def view(self, columns: Iterable[Column]) -> Block:
        """Return the block reduced to the inputs that the columns declare, so that a group can read no others.

        Transactions are dropped where no column names ``raw/transactions``; earlier snapshots, where no column with a window
        names ``raw/snapshots``; the catalogue, where no column names one of its tables.
        """
        names = {(name, column.window_days) for column in columns for name in column.inputs}
        with_events = any(name.startswith(TRANSACTIONS) for name, _ in names)
        with_catalogue = any(name.startswith((PRODUCTS, CATEGORIES)) for name, _ in names)
        with_history = any(name.startswith(SNAPSHOTS) and window is not None for name, window in names)
        return replace(
            self,
            events=self.events if with_events else Events.none(len(self)),
            held=self.held if with_history else self.held[:, -1:],
            observed=self.observed if with_history else self.observed[:, -1:],
            catalogue=self.catalogue if with_catalogue else Catalogue.none(),
        )


def block_ranges(session: LakeSession, month: Month, settings: Settings) -> list[tuple[int, int]]:
    """Cut the month's customers into ranges (lowest id, highest id) of nearly equal numbers, at most ``block_customers``.

    Raises
    ------
    LakeError
        The month has no snapshot, no customer, or a customer twice.
    """
    ids = np.sort(session.read(SNAPSHOTS, month.key, columns=["customer_id"])["customer_id"].to_numpy())
    where = f"{SNAPSHOTS}@{month.key}"
    if not len(ids):
        raise LakeError("the snapshot holds no customer", where=where, fix="ingest the month again")
    if twice := int((ids[1:] == ids[:-1]).sum()):
        raise LakeError(f"{twice} customers occur more than once", where=where, fix="ingest the month again")
    blocks = -(-len(ids) // settings.lake.block_customers)
    bounds = np.linspace(0, len(ids), blocks + 1).astype(np.int64)
    return [(int(ids[a]), int(ids[b - 1])) for a, b in pairwise(bounds.tolist())]


def read_block(
    session: LakeSession,
    month: Month,
    low: int,
    high: int,
    settings: Settings,
    *,
    customers: np.ndarray | None = None,
) -> Block:
    """Read the customers ``low .. high`` (both included) of a month, with their look-back.

    Parameters
    ----------
    customers : int64 array, optional
        Keep only these customers of the range.

    Notes
    -----
    The result does not depend on the order of rows in the stored tables.
    """
    snapshot = read_range(session, SNAPSHOTS, month, low, high)
    if customers is not None:
        snapshot = snapshot.filter(pc.is_in(snapshot["customer_id"], value_set=pa.array(customers, pa.int64())))
    ids = np.ascontiguousarray(snapshot["customer_id"].to_numpy())
    if (ids[1:] < ids[:-1]).any():
        order = np.argsort(ids, kind="stable")
        snapshot, ids = snapshot.take(order), ids[order]
    months = look_back(month, settings)
    held, observed = read_held(session, months, ids, len(settings.products))
    absent = settings.dataset.unavailable_tables
    events = (
        Events.none(len(ids))
        if table_name(TRANSACTIONS) in absent
        else read_events(session, months, ids, since=months[0].start_us, cutoff=month.cutoff_us)
    )
    return Block(month, ids, snapshot, held, observed, events, read_catalogue(session, absent))
