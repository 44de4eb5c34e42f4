"""What a consumer asks before it reads: whether every blocking check of this content has passed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from finai_resources.lake import Lake


class Gates(Protocol):
    """Refuses what was not let through.

    Dagster blocks what follows a failed check within one run. A later run of the consumer alone, and a range of months in one
    run, know nothing of it; so whoever trains, builds or publishes asks here as well.
    """

    def demand(self, lake: Lake, partitions: Iterable[tuple[str, str | None]]) -> None:
        """Raise unless every blocking check of these partitions has passed on what they hold now.

        Parameters
        ----------
        partitions
            Pairs of asset path and month (None for an asset without months).

        Raises
        ------
        GateError
            A check failed, or has no result for this content.
        """
