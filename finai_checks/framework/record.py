"""Records of outcomes, stored in the lake beside the data: gates read them there, not in an event log that may be pruned.

A record belongs to one check as it was declared (its thresholds and its code), one partition of one asset, and one content of
that partition. What changed since has no record, and no record is a failure.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

from finai_checks.framework.check import CheckOutcome, Declared
from finai_resources import objects
from finai_resources.chained_log import Entry
from finai_resources.json_text import plain, to_json
from finai_resources.lake import Lake

ROOT, WHOLE = "checks", "whole"


def record_path(lake: Lake, check: str, asset: str, partition: str | None) -> str:
    """Return the path of the record of a check on a partition."""
    return f"{lake.root}/{ROOT}/{check}/{asset}/{partition or WHOLE}.json"


def write_record(
    lake: Lake, check: Declared, partition: str | None, outcome: CheckOutcome, entry: Entry | None = None
) -> None:
    """Store the outcome for the content that the partition has now, by the check as it is declared now.

    Parameters
    ----------
    entry
        The entry of the evidence log that tells the same; promotion believes no record without one.
    """
    asset = check.asset
    manifest = lake.find(asset, partition)
    content = {
        "check": check.name,
        "basis": check.basis,
        "asset": asset,
        "partition": partition,
        "content_hash": manifest.content_hash if manifest else None,
        "passed": outcome.passed,
        "reason": outcome.reason,
        "n": outcome.n,
        "observed": plain(outcome.observed),
        "overridden_until": outcome.observed.get("overridden_until"),
        "sequence": entry.sequence if entry else None,
        "recorded_at": entry.recorded_at if entry else None,
    }
    # Not made durable: the evidence log is, and a record that a power cut takes is no result, which closes the gate.
    text = to_json(content, sort_keys=True, indent=1)
    objects.put(lake, record_path(lake, check.name, asset, partition), text, durable=False)


def read_record(lake: Lake, check: Declared, partition: str | None) -> dict[str, Any] | None:
    """Return the record of a check for the content that the partition has now; None where there is none.

    A record by other thresholds, or by other code of the check, is none.
    """
    manifest = lake.find(check.asset, partition)
    record = stored_record(lake, check, partition)
    return (
        record if record is not None and manifest is not None and fits(record, check, manifest.content_hash) else None
    )


def stored_record(lake: Lake, check: Declared, partition: str | None) -> dict[str, Any] | None:
    """Return the last record of a check on a partition, of whatever content and code; None where there is none."""
    stored = objects.get(lake, record_path(lake, check.name, check.asset, partition))
    if stored is None:
        return None
    try:
        record: dict[str, Any] = json.loads(stored)
    except ValueError:  # cut off by a power failure: no result
        return None
    return record


def fits(record: dict[str, Any], check: Declared, content_hash: str) -> bool:
    """Return whether a record is of this content, by the thresholds and the code that the check has now."""
    return bool(record["content_hash"] == content_hash and record.get("basis") == check.basis)


def has_passed(lake: Lake, check: Declared, partition: str | None, *, today: date | None = None) -> bool:
    """Return whether the check passed for the content that the partition has now.

    No record is a failure. So is a pass that rests on an override which has expired since.
    """
    record = read_record(lake, check, partition)
    if record is None or record["passed"] is not True:
        return False
    until = record.get("overridden_until")
    return until is None or (today or datetime.now(UTC).date()) <= date.fromisoformat(until)
