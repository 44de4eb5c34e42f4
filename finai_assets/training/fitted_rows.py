"""The rows of a fit, stored beside its result, so that a check can compare them with the splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from finai_assets.features.sampling import rows_digest
from finai_resources.months import Month

if TYPE_CHECKING:
    from finai_assets.training.matrix import TrainingMatrix


@dataclass(frozen=True, slots=True)
class FittedRows:
    """Rows that a fit saw.

    Parameters
    ----------
    split : str
        Where they lie: ``train``, or ``test+train`` where they are of several splits.
    months : tuple of str
        Their snapshot months, ascending.
    rows : int
    digest : str
        Of their (month, customer) pairs, whatever their order.
    """

    split: str
    months: tuple[str, ...]
    rows: int
    digest: str

    @classmethod
    def of(cls, matrix: TrainingMatrix, rows: slice | np.ndarray) -> FittedRows:
        """Describe some rows of a training matrix, given by a slice or by ascending positions."""
        month, split, customer = matrix.month[rows], matrix.split[rows], matrix.customer[rows]
        changes = (month[1:] != month[:-1]) | (split[1:] != split[:-1])
        begins = np.flatnonzero(np.append(True, changes))[: len(month)]
        found: dict[Month, list[np.ndarray]] = {}
        for begin, end in zip(begins, np.append(begins, len(month))[1:], strict=True):
            found.setdefault(Month.parse(str(month[begin])), []).append(customer[begin:end])
        names = "+".join(sorted({str(name) for name in split[begins]}))
        return cls.of_months(names, {key: np.concatenate(parts) for key, parts in found.items()})

    @classmethod
    def of_months(cls, split: str, customers: Mapping[Month, np.ndarray]) -> FittedRows:
        """Describe rows by the customers of each month."""
        months = tuple(month.key for month in sorted(customers))
        return cls(split, months, sum(len(ids) for ids in customers.values()), rows_digest(customers))

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> FittedRows:
        """Restore the rows from the JSON of ``dataclasses.asdict``."""
        return cls(**{**stored, "months": tuple(stored["months"])})
