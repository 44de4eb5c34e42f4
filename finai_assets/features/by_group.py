"""Failure by group: a month's groups are computed together, and one that fails does not take the others with it.

Together they read each block of customers once. Only where that fails is each group computed alone, so that a month without
failures costs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from finai_assets.features.registry import Group
from finai_resources.errors import FinaiError, PartError
from finai_resources.manifest import address
from finai_resources.months import Month

Result = TypeVar("Result")


@dataclass(slots=True)
class GroupFailures:
    """The groups that could not be computed, each with its month and its error."""

    errors: list[tuple[Month, Group, Exception]] = field(default_factory=list)
    stored: int = 0  # groups and months that were computed

    def compute(
        self, month: Month, groups: Sequence[Group], work: Callable[[Sequence[Group]], list[Result]]
    ) -> list[Result]:
        """Return the results of the groups that could be computed, and note the others.

        Parameters
        ----------
        work
            Computes and stores some groups of the month; of groups that it fails for, it stores none.
        """
        results: list[Result] = []
        for part in [groups, *([group] for group in groups if len(groups) > 1)]:
            try:
                results += work(part)
            except Exception as error:
                if len(part) == 1:
                    self.errors.append((month, part[0], error))
            else:
                self.stored += len(part)
                if len(part) == len(groups):
                    break
        return results

    @property
    def assets(self) -> set[str]:
        """Return the paths of the groups that failed in any month."""
        return {group.asset for _, group, _ in self.errors}

    def demand_none(self) -> None:
        """Raise where a group failed.

        Raises
        ------
        PartError
            Some groups failed and others are stored, or groups failed for different reasons; it names each with its reason.
        Exception
            That of the groups themselves, where all failed for one reason.
        """
        if not self.errors:
            return
        *_, first = self.errors[0]
        reasons = {str(error) for *_, error in self.errors}
        if not self.stored and len(reasons) == 1:
            raise first
        lines = [
            f"{address(group.asset, month.key)}: {type(error).__name__ + ': ' if not isinstance(error, FinaiError) else ''}"
            f"{error}"
            for month, group, error in self.errors
        ]
        together = f"the other {self.stored} are stored" if self.stored else "none is stored"
        raise PartError(
            f"{len(lines)} feature groups could not be computed; {together}:\n  " + "\n  ".join(lines),
            fix="mend what is named and run again: only what is missing is computed",
        ) from first
