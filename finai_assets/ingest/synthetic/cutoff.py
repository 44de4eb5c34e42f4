"""The generator's record of a block of customers around a cutoff; truths and outcomes are computed from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from finai_assets.ingest.synthetic.label_windows import LabelWindows, simulate_label_windows
from finai_assets.ingest.synthetic.law import Law
from finai_assets.ingest.synthetic.population import Population
from finai_assets.ingest.synthetic.record import Record


@dataclass(frozen=True)
class Cutoff:
    """The full state of some customers at a cutoff, with the laws of the month after it.

    Parameters
    ----------
    rows : int64 [n]
        Positions in the block of the customers who have a snapshot in the month.
    month : int
        Position of the snapshot month in the record; the label window is the month after it.
    rng : Generator
        Used by :attr:`windows` alone.
    draws : int
        Simulated label windows per customer.
    """

    rows: np.ndarray
    month: int
    people: Population
    record: Record
    law: Law
    rng: np.random.Generator
    draws: int

    @cached_property
    def held(self) -> np.ndarray:
        """Return the products held at the cutoff, bool [n, products]."""
        return self.record.held[self.rows, self.month].astype(bool)

    @cached_property
    def flip(self) -> np.ndarray:
        """Return the probability that each product is opened or closed, given that the customer stays, [n, products]."""
        return np.asarray(self.record.flip[self.rows, self.month])

    @cached_property
    def stay(self) -> np.ndarray:
        """Return the probability that the customer stays, [n]."""
        return np.asarray(1.0 - self.record.depart[self.rows, self.month])

    @cached_property
    def opens(self) -> np.ndarray:
        """Return the probability that each product is acquired, given that the customer stays, [n, products]."""
        return np.where(self.held, 0.0, self.flip)

    @cached_property
    def acquires(self) -> np.ndarray:
        """Return the probability that each product is acquired, [n, products]; who leaves acquires nothing."""
        return np.asarray(self.stay[:, None] * self.opens)

    @cached_property
    def windows(self) -> LabelWindows:
        """Return figures over simulated label windows; they are simulated once."""
        return simulate_label_windows(self.rng, self.rows, self.month, self.people, self.record, self.law, self.draws)


@dataclass(frozen=True)
class NextMonth:
    """What happened to the customers at ``rows`` in the month after a cutoff, read off the record."""

    rows: np.ndarray
    month: int
    record: Record

    @cached_property
    def stays(self) -> np.ndarray:
        """Return whether the customer has a snapshot at the end of the window, bool [n]."""
        return np.asarray(self.record.present[self.rows, self.month + 1])

    @cached_property
    def before(self) -> np.ndarray:
        """Return the products held at the cutoff, bool [n, products]."""
        return self.record.held[self.rows, self.month].astype(bool)

    @cached_property
    def after(self) -> np.ndarray:
        """Return the products held at the end of the window, bool [n, products]; none of who is gone."""
        return self.record.held[self.rows, self.month + 1].astype(bool) & self.stays[:, None]

    @cached_property
    def opened(self) -> np.ndarray:
        """Return the products acquired in the window, bool [n, products]."""
        return self.after & ~self.before
