"""Facts and verdict of a promotion: everything that the lattice looks at, and what it says, as plain values that are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from finai_resources.gates import CheckResult

FACTS, VERDICT = "facts.json", "verdict.json"  # files of the asset that stores them


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: its code, and a sentence."""

    code: str
    what: str


@dataclass(frozen=True, slots=True)
class TaskComparison:
    """The primary metric of a task on the same test rows, challenger and champion.

    Parameters
    ----------
    verdict : str
        ``better``, ``worse`` or ``unclear``, read from the interval of the paired difference challenger - champion.
    """

    task: str
    metric: str
    n: int
    challenger: float | None
    champion: float | None
    difference: float | None
    low: float | None
    high: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class TaskShift:
    """How far a task's output on the same rows moved from the champion's to the challenger's."""

    task: str
    psi: float | None
    jsd: float | None
    rank_correlation: float | None
    mean_shift: float | None


@dataclass(frozen=True)
class Facts:
    """What the lattice judges.

    Parameters
    ----------
    bundle, manifest_hash, lineage_hash, champion : str
        ``champion`` is empty where there is none.
    now, last_entry_at : str
        ISO times; the second is that of the registry's last entry, empty where there is none.
    evidence_faults : tuple of str
        What is wrong with the evidence log, or with the head that was signed.
    integrity : tuple of Fault
    tasks_expected, tasks_present : tuple of str
    checks : tuple of CheckResult
    awaited : tuple of str
        Mandatory checks that do not exist yet.
    comparison : tuple of TaskComparison
        Empty where there is no champion.
    comparison_faults : tuple of Fault
    shifts : tuple of TaskShift
    proposal : mapping or None
        ``statement`` and ``signature`` of the latest proposal of this bundle.
    approvals : tuple of mapping
        Approvals that were given for this bundle since.
    """

    bundle: str
    manifest_hash: str
    lineage_hash: str
    champion: str
    now: str
    last_entry_at: str = ""
    evidence_faults: tuple[str, ...] = ()
    integrity: tuple[Fault, ...] = ()
    tasks_expected: tuple[str, ...] = ()
    tasks_present: tuple[str, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    awaited: tuple[str, ...] = ()
    comparison: tuple[TaskComparison, ...] = ()
    comparison_faults: tuple[Fault, ...] = ()
    shifts: tuple[TaskShift, ...] = ()
    proposal: Mapping[str, Any] | None = None
    approvals: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Facts:
        """Read what :meth:`to_json` wrote."""
        made: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        for name, kind in (
            ("integrity", Fault), ("checks", CheckResult), ("comparison", TaskComparison), ("comparison_faults", Fault),
            ("shifts", TaskShift),
        ):  # fmt: skip
            made[name] = tuple(kind(**entry) for entry in made[name])
        return cls(**made)


@dataclass(frozen=True, slots=True)
class Criterion:
    """One criterion of the lattice: all must hold.

    Parameters
    ----------
    name : str
    passed : bool
    code : str
        Of the first thing that is wrong; empty where it holds.
    reason : str
        What is wrong, or a remark where it holds.
    n : int
        Things that were examined.
    rows : tuple of mapping
        One for each thing that is wrong or worth telling.
    """

    name: str
    passed: bool
    code: str = ""
    reason: str = ""
    n: int = 0
    rows: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Verdict:
    """Whether a challenger becomes champion, criterion by criterion.

    Parameters
    ----------
    warnings : tuple of str
        Shifts above their figures; they refuse nothing.
    """

    bundle: str
    champion: str
    at: str
    criteria: tuple[Criterion, ...]
    awaited: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether every criterion holds; without criteria none does."""
        return bool(self.criteria) and all(criterion.passed for criterion in self.criteria)

    @property
    def codes(self) -> tuple[str, ...]:
        """Return the codes of what refuses, in the order of the criteria."""
        return tuple(criterion.code for criterion in self.criteria if not criterion.passed)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "passed": self.passed, "codes": list(self.codes)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Verdict:
        """Read what :meth:`to_json` wrote."""
        criteria = tuple(Criterion(**{**entry, "rows": tuple(entry["rows"])}) for entry in values["criteria"])
        return cls(
            values["bundle"],
            values["champion"],
            values["at"],
            criteria,
            tuple(values["awaited"]),
            tuple(values["warnings"]),
        )


def refused(bundle: str, champion: str, at: str, criterion: Criterion) -> Verdict:
    """Return the verdict where one criterion refuses before the others could be examined."""
    return Verdict(bundle, champion, at, (criterion,))
