"""Proof that checks can fail: every kind of check is run on inputs that it must let pass and on inputs that it must reject.

Such an input is a *canary*. The check that runs is the real one: the same function, and on the small lake the same declared
check.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from finai_assets.settings import Settings
from finai_checks.catalogue import KINDS, THEMES, declared_checks
from finai_checks.framework.check import Canary, CheckKind, CheckOutcome, LakeCanary, Theme
from finai_checks.framework.small_lake import SmallLake


@dataclass(frozen=True, slots=True)
class CanaryResult:
    """The outcome of a check on a canary."""

    canary: Canary
    outcome: CheckOutcome
    raised: bool = False  # then the check has given no verdict, whatever its reason would match

    @property
    def right(self) -> bool:
        """Whether the check let the input pass, or rejected it for the expected reason."""
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
    """The results of all canaries of one kind of check."""

    kind: CheckKind
    results: tuple[CanaryResult, ...]

    @property
    def good(self) -> tuple[CanaryResult, ...]:
        """Return the results on inputs that the check must let pass."""
        return tuple(result for result in self.results if result.canary.expects is None)

    @property
    def bad(self) -> tuple[CanaryResult, ...]:
        """Return the results on inputs that the check must reject."""
        return tuple(result for result in self.results if result.canary.expects is not None)

    @property
    def proved(self) -> bool:
        """Whether the check passed on an input, failed on an input, and was right on every input."""
        return bool(self.good and self.bad) and all(result.right for result in self.results)


def run_canaries(
    canaries: Iterable[Canary], *, kinds: Sequence[CheckKind] = KINDS, each: Callable[[str], object] = str
) -> list[Proof]:
    """Run canaries and return a proof for every kind of check, also for one without canaries (unproved).

    Parameters
    ----------
    kinds
        The kinds to be proved.
    each
        Called with the name of the check after each canary.
    """
    results: dict[str, list[CanaryResult]] = {kind.name: [] for kind in kinds}
    for canary in canaries:
        try:
            result = CanaryResult(canary, canary.evaluate())
        except Exception as error:  # shown in the proof as a wrong answer
            outcome = CheckOutcome(False, f"raised {type(error).__name__}: {error}", 0)
            result = CanaryResult(canary, outcome, raised=True)
        results[canary.kind.name].append(result)
        each(canary.kind.name)
    return [Proof(kind, tuple(results[kind.name])) for kind in kinds]


def plain_canaries(settings: Settings, themes: Sequence[Theme] = THEMES) -> list[Canary]:
    """Return the canaries on plain values."""
    return [canary for theme in themes for canary in theme.plain_canaries(settings)]


def lake_canaries(folder: Path, themes: Sequence[Theme] = THEMES) -> list[Canary]:
    """Return canaries on a small lake in a folder, and on spoiled copies of it; the lake is made now."""
    good, numbers = SmallLake.build(folder / "good"), count()

    def canary(listed: LakeCanary) -> Canary:
        def evaluate() -> CheckOutcome:
            if listed.poison is None:
                return _evaluate(good, listed, themes)
            spoiled = good.copy(folder / f"spoiled-{next(numbers)}")
            listed.poison(spoiled)
            outcome = _evaluate(spoiled, listed, themes)
            shutil.rmtree(spoiled.lake.root)
            return outcome

        return Canary(listed.kind, listed.label, listed.expects, evaluate)

    return [canary(listed) for theme in themes for listed in theme.lake_canaries()]


def _evaluate(small: SmallLake, listed: LakeCanary, themes: Sequence[Theme]) -> CheckOutcome:
    """Run the declared check on a small lake, without leaving a record."""
    checks = declared_checks(small.platform, themes)
    check = next(c for c in checks if c.kind == listed.kind and c.asset == listed.asset)
    return check.evaluate(small.context(small.month_of(listed.month) if check.months else None))
