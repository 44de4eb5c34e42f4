"""What customers hold in a month and acquire in its label window, read from the raw snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from finai_assets.asset_graph import SNAPSHOTS
from finai_assets.ingest.holdings import multi_hot
from finai_resources.errors import GateError, LakeError
from finai_resources.months import Month

if TYPE_CHECKING:
    from finai_resources.lake_session import LakeSession


@dataclass(frozen=True)
class Outcomes:
    """What the customer of each row holds, and what is acquired in the label window.

    Parameters
    ----------
    customer : int64 [n]
        The unit that is resampled; one has as many rows as months.
    held, acquired : bool [n, products]

    Raises
    ------
    GateError
        Shapes disagree, or a product is acquired that is held already.
    """

    customer: np.ndarray
    held: np.ndarray
    acquired: np.ndarray

    def __post_init__(self) -> None:
        if self.held.ndim != 2 or self.held.shape != self.acquired.shape or len(self.customer) != len(self.held):
            raise GateError(
                f"{len(self.customer)} customers, holdings of shape {self.held.shape} and acquisitions of shape "
                f"{self.acquired.shape} do not belong together",
                where="outcomes of lists",
                fix="pass a row for each customer and month, and a column for each product",
            )
        if both := int((self.held & self.acquired).any(axis=1).sum()):
            raise GateError(
                f"{both} rows acquire a product that they hold already",
                where="outcomes of lists",
                fix="count as acquired what is held at the end of the window and not at the cutoff",
            )

    def __len__(self) -> int:
        return len(self.customer)

    @property
    def products(self) -> int:
        """Return the number of products."""
        return int(self.held.shape[1])

    @property
    def acquires(self) -> np.ndarray:
        """Return whether a row acquires anything, bool [n]."""
        return np.asarray(self.acquired.any(axis=1))

    def take(self, rows: slice | np.ndarray) -> Outcomes:
        """Return some of the rows, by a slice, positions or a mask."""
        return Outcomes(self.customer[rows], self.held[rows], self.acquired[rows])


def read_outcomes(
    session: LakeSession, month: np.ndarray, customer: np.ndarray, *, horizon_months: int, products: int
) -> Outcomes:
    """Read what the customer of each row holds at the end of the row's month and acquires in the window after it.

    A product is acquired where it is held at the end of the window and not at the month's end; who is gone at the end of the
    window acquires nothing. That is the definition by which the bundle counts the acquisitions of train.

    Parameters
    ----------
    month : str [n]
        Of each row, ``2015-01``; in any order.
    customer : int64 [n]
    products
        How many there are; their ids are ``0..products - 1``.

    Raises
    ------
    LakeError
        A snapshot month is absent, has no row of a customer, or lists a product that the catalogue does not have.
    """
    held, later = (np.zeros((len(customer), products), dtype=bool) for _ in range(2))
    for key in np.unique(month).tolist():
        rows = np.flatnonzero(month == key)
        held[rows], known = _holdings(session, key, customer[rows], products)
        if absent := int((~known).sum()):
            raise LakeError(
                f"{absent} customers have no row",
                where=f"{SNAPSHOTS}@{key}",
                fix="ask for customers of the month's own snapshots",
            )
        later[rows], _ = _holdings(session, (Month.parse(key) + horizon_months).key, customer[rows], products)
    return Outcomes(customer, held, later & ~held)


def _holdings(session: LakeSession, month: str, customer: np.ndarray, products: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the products that customers hold at the end of a month, bool [n, products], and who has a row, bool [n]."""
    table = session.read(SNAPSHOTS, month, columns=["customer_id", "held"])
    flags = multi_hot(table["held"], products, where=f"{SNAPSHOTS}@{month}")
    found, known = match_customers(table["customer_id"].to_numpy(), customer)
    return flags[found] & known[:, None], known


def match_customers(stored: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find customers in a table.

    Parameters
    ----------
    stored : int64 [m]
        In any order, at least one.
    wanted : int64 [n]

    Returns
    -------
    position : int64 [n]
        Of each wanted customer among the stored; of no meaning where there is none.
    known : bool [n]
        Whether the customer is stored.
    """
    order = np.argsort(stored, kind="stable")
    position = order[np.minimum(np.searchsorted(stored, wanted, sorter=order), len(order) - 1)]
    return position, stored[position] == wanted
