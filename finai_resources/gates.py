"""Gates: before a consumer reads, they demand that every blocking check of the content has passed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from finai_resources.lake import Lake


class Gates(Protocol):
    """Refuse partitions whose blocking checks have not passed.

    Dagster blocks downstream assets of a failed check within one run. A later run of the consumer alone, and a range of months
    in one run, know nothing of it; so training, bundle and recommendations ask the gates as well.
    """

    def demand(self, lake: Lake, partitions: Iterable[tuple[str, str | None]]) -> None:
        """Raise an error unless every blocking check of these partitions has passed on their present content.

        Parameters
        ----------
        partitions
            Pairs of asset path and month (None for an asset without months).

        Raises
        ------
        GateError
            A check failed, or has no result for this content.
        """

    def overridden(self, lake: Lake, check: str, partitions: Iterable[tuple[str, str | None]]) -> dict[str, str]:
        """Return the partitions on whose present content a check passes by a signed override alone.

        Parameters
        ----------
        check
            Name of the kind of check.
        partitions
            As for :meth:`demand`.

        Returns
        -------
        dict
            Asset to what the override says: who signed it, until when, and which failure it permits.
        """
