"""Gates: before a consumer reads, they demand that every blocking check of the content has passed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from finai_resources.chained_log import Head
from finai_resources.lake import Lake

State = Literal["passed", "overridden", "failed", "missing", "stale", "expired", "unproved"]


class Gates(Protocol):
    """Refuse partitions whose blocking checks have not passed.

    Dagster blocks downstream assets of a failed check within one run. A later run of the consumer alone, and a range of months
    in one run, know nothing of it; so every asset asks the gates before it is computed, each time.
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
            A check failed, or has no result for this content; an audit failed, or is missed beyond its days of grace.
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

    def permission(self, lake: Lake, check: str, asset: str, partition: str | None) -> str:
        """Return who permits until when that a check fails on what is about to be made; empty where nobody does.

        Unlike :meth:`overridden` it asks for no result: a signed override in scope that has not expired is enough.
        """


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What the lake's records say of one check on one content.

    Parameters
    ----------
    check, name : str
        Number and name of its kind.
    address : str
        The partition, ``labels/splits`` or ``features/x@2015-01``.
    state : State
        ``overridden`` passed by a signed override that still counts, ``expired`` by one that no longer does; ``stale``: the
        record is of another content, or by other thresholds or code; ``unproved``: it is not signed, or the evidence log does not
        hold what it says.
    reason : str
        Why it failed, or who overrode it until when.
    recorded_at : str
        ISO time; empty where there is no record.
    sequence : int
        Number of its entry in the evidence log; -1 where there is none.
    """

    check: str
    name: str
    address: str
    state: State
    reason: str = ""
    recorded_at: str = ""
    sequence: int = -1


class Evidence(Protocol):
    """Tells what checks found on given contents, and whether the log of it is whole."""

    def results(
        self, lake: Lake, contents: Mapping[str, str], mandatory: Sequence[str]
    ) -> tuple[list[CheckResult], list[str]]:
        """Return the results of mandatory checks on contents, and those of ``mandatory`` that no check of the catalogue is.

        Parameters
        ----------
        contents
            Address of a partition -> content hash that the records must be of.
        mandatory
            Numbers (``C13``: every blocking kind of that number that belongs to every run, and audits that failed) or names of
            kinds.
        """

    def head(self, lake: Lake) -> Head:
        """Return the head of the evidence log."""

    def faults(self, lake: Lake, anchor: Head | None = None) -> list[str]:
        """Return what is wrong with the evidence log, in words; with an anchor, also whether it still holds that head."""
