"""C05, the verdict: no change of the source's schema that waits for a person, or that a person refused, touches a month."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from finai_assets.governance.source_schema import Recorded
from finai_checks.framework.check import CheckOutcome


@dataclass(frozen=True)
class Loaded:
    """What a month of a raw table was loaded from.

    Parameters
    ----------
    asset, month : str
    columns : int
        Columns of the source's tables, as its manifest records them.
    files : str
        Digest of the source's files.
    """

    asset: str
    month: str
    columns: int
    files: str


def schema_accepted(
    loaded: Loaded | None, changes: Sequence[tuple[Recorded, str]], faults: Sequence[str] = ()
) -> CheckOutcome:
    """Return whether nothing of the source's schema stands against a stored month.

    A change that waits for a person stands against the months whose rows it alters, and against those that were loaded since; one
    that a person refused, against those that were loaded since.

    Parameters
    ----------
    loaded
        None where the month is not stored.
    changes
        Every recorded change, with how it stands: its policy, or the state of its incident.
    faults
        What is wrong with the logs of changes and incidents.
    """
    if loaded is None or not loaded.columns:
        return CheckOutcome.no_evidence()
    rows, against = [], list(faults)
    for recorded, standing in changes:
        concerned = loaded.asset in recorded.assets
        since = concerned and bool(loaded.files) and loaded.files not in recorded.loaded
        altered = concerned and loaded.month in recorded.months
        if (standing == "open" and (altered or since)) or (standing == "rejected" and since):
            waits = "awaits a decision" if standing == "open" else "was rejected, and the month was loaded under it"
            against.append(f"{recorded.incident} {waits}: {recorded.change.told}")
        if concerned or not recorded.assets:
            rows.append(
                {
                    "change": recorded.incident or recorded.change.id,
                    "kind": recorded.change.kind,
                    "what": recorded.change.told,
                    "stands": standing,
                    "alters this month": altered,
                    "loaded since": since,
                    "groups": ", ".join(recorded.groups),
                    "seen": recorded.at,
                }
            )
    observed = {"columns": loaded.columns, "changes": len(rows), "against": len(against)}
    return CheckOutcome(not against, "; ".join(against), loaded.columns, observed, rows)
