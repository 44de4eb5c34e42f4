"""Proof that a check can fail: every kind of check, run on inputs that keep its promise and on inputs that break it.

A *canary* is such an input. The check that runs is the real one: the same function, and on the small lake the same declared
check.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from finai_assets.settings import Settings
from finai_checks.catalogue import KINDS, THEMES, declared_checks
from finai_checks.framework.canary import Canary, LakeCanary
from finai_checks.framework.kind import Kind
from finai_checks.framework.outcome import CheckOutcome
from finai_checks.framework.small_lake import SmallLake


@dataclass(frozen=True, slots=True)
class Sung:
    """What came of a canary."""

    canary: Canary
    outcome: CheckOutcome
    raised: bool = False  # then the check has said nothing, whatever its reason would match

    @property
    def right(self) -> bool:
        """Tell whether the check did what it must."""
        if self.raised:
            return False
        if self.canary.expects is None:
            return self.outcome.passed
        return not self.outcome.passed and self.canary.expects in self.outcome.reason

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "check": self.canary.kind.id,
            "name": self.canary.kind.name,
            "input": self.canary.label,
            "must": "pass" if self.canary.expects is None else f"fail naming {self.canary.expects!r}",
            "passed": self.outcome.passed,
            "reason": self.outcome.reason,
            "right": self.right,
        }


@dataclass(frozen=True, slots=True)
class Proof:
    """The canaries of one kind of check."""

    kind: Kind
    sung: tuple[Sung, ...]

    @property
    def good(self) -> tuple[Sung, ...]:
        """Return the inputs that the check must let pass."""
        return tuple(sung for sung in self.sung if sung.canary.expects is None)

    @property
    def bad(self) -> tuple[Sung, ...]:
        """Return the inputs that it must reject."""
        return tuple(sung for sung in self.sung if sung.canary.expects is not None)

    @property
    def proved(self) -> bool:
        """Tell whether the check passed on something, failed on something, and was right on everything."""
        return bool(self.good and self.bad) and all(sung.right for sung in self.sung)


def sing(canaries: Iterable[Canary], *, each: Callable[[str], object] = str) -> list[Proof]:
    """Run canaries and return a proof for every kind of check there is, also for one without canaries (unproved).

    ``each`` is told the name of every check whose canary is done.
    """
    sung: dict[str, list[Sung]] = {known.name: [] for known in KINDS}
    for canary in canaries:
        try:
            song = Sung(canary, canary.evaluate())
        except Exception as error:  # shown in the proof as a wrong answer
            song = Sung(canary, CheckOutcome(False, f"raised {type(error).__name__}: {error}", 0), raised=True)
        sung[canary.kind.name].append(song)
        each(canary.kind.name)
    return [Proof(known, tuple(sung[known.name])) for known in KINDS]


def plain_canaries(settings: Settings) -> list[Canary]:
    """Return the canaries on plain values."""
    return [canary for theme in THEMES for canary in theme.canaries(settings)]


def lake_canaries(folder: Path) -> list[Canary]:
    """Return canaries on a small lake in a folder, and on spoiled copies of it; the lake is made now."""
    good, numbers = SmallLake.build(folder / "good"), count()

    def canary(listed: LakeCanary) -> Canary:
        def evaluate() -> CheckOutcome:
            if listed.poison is None:
                return _evaluate(good, listed)
            spoiled = good.copy(folder / f"spoiled-{next(numbers)}")
            listed.poison(spoiled)
            outcome = _evaluate(spoiled, listed)
            shutil.rmtree(spoiled.lake.root)
            return outcome

        return Canary(listed.kind, listed.label, listed.expects, evaluate)

    return [canary(listed) for theme in THEMES for listed in theme.lake_canaries()]


def _evaluate(small: SmallLake, listed: LakeCanary) -> CheckOutcome:
    """Run the declared check on a small lake, without leaving a record."""
    checks = declared_checks(small.platform)
    check = next(c for c in checks if c.kind == listed.kind and c.asset == listed.asset)
    return check.evaluate(small.session, small.month_of(listed.month) if check.months else None)
