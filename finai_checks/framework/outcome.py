"""What a check says: one value that every check returns, whoever stores or shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

NO_EVIDENCE = "no_evidence"


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """The verdict of one check on one input.

    Parameters
    ----------
    passed : bool
    reason : str
        Why it failed, in words; ``no_evidence`` where there was nothing to look at; empty, or a remark, where it passed.
    n : int
        Rows (or other units) that the verdict rests on.
    observed : dict
        Figures that were compared with the thresholds, JSON-serialisable.
    table : list of dict
        One row for each thing looked at, JSON-serialisable.
    """

    passed: bool
    reason: str
    n: int
    observed: dict[str, Any] = field(default_factory=dict)
    table: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def no_evidence(cls, **observed: Any) -> CheckOutcome:
        """Return the failure of a check that had nothing to look at."""
        return cls(False, NO_EVIDENCE, 0, observed)
