"""The simulation's record of a block of customers: the state at the end of each month and the laws of the next."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

STATE = ("stage", "episode", "wealth", "risk", "engagement", "dormant", "leaving")


class Record(NamedTuple):
    """State at the end of each month, arrays [customers, months]; the laws are those of the month after.

    ``present`` tells in which months the customer has a snapshot. ``chain`` is the last leaf of the category chain (bills are not
    part of it). ``top``, ``distinct``, ``first``, ``number`` describe the month's payments (-1 or 0 without any).
    """

    present: np.ndarray  # bool
    held: np.ndarray  # uint8 [.., products]
    flip: np.ndarray  # float64 [.., products]
    depart: np.ndarray  # float64
    segment: np.ndarray  # int8
    up: np.ndarray  # float64
    down: np.ndarray  # float64
    expected: np.ndarray  # float64: mean number of payments, bills left out
    table: np.ndarray  # int16
    chain: np.ndarray  # int16
    billed: np.ndarray  # bool: bills are paid
    top: np.ndarray  # int16
    distinct: np.ndarray  # int16
    first: np.ndarray  # int16
    number: np.ndarray  # int16
    state: np.ndarray  # float32 [.., 7]: stage, episode, wealth, risk, engagement, dormant, leaving

    @classmethod
    def empty(cls, customers: int, months: int, products: int) -> Record:
        """Return a record that the simulation has not filled yet."""
        shape = (customers, months)
        reals = [np.zeros(shape) for _ in range(4)]
        return cls(
            present=np.zeros(shape, np.bool_),
            held=np.zeros((*shape, products), np.uint8),
            flip=np.zeros((*shape, products)),
            depart=reals[0],
            segment=np.zeros(shape, np.int8),
            up=reals[1],
            down=reals[2],
            expected=reals[3],
            table=np.zeros(shape, np.int16),
            chain=np.zeros(shape, np.int16),
            billed=np.zeros(shape, np.bool_),
            top=np.full(shape, -1, np.int16),
            distinct=np.zeros(shape, np.int16),
            first=np.full(shape, -1, np.int16),
            number=np.zeros(shape, np.int16),
            state=np.zeros((*shape, 7), np.float32),
        )
