"""What a check found, kept in the lake beside the data: a gate reads it there, not in an event log that may be pruned.

A record belongs to one check, one partition of one asset, and one content of it. Data that changed since have no record, and
no record is a failure.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

from finai_checks.framework.outcome import CheckOutcome
from finai_resources import objects
from finai_resources.json_text import plain, to_json
from finai_resources.lake import Lake

ROOT, WHOLE = "checks", "whole"


def record_path(lake: Lake, check: str, asset: str, partition: str | None) -> str:
    """Return where the record of a check on a partition lies."""
    return f"{lake.root}/{ROOT}/{check}/{asset}/{partition or WHOLE}.json"


def write_record(lake: Lake, check: str, asset: str, partition: str | None, outcome: CheckOutcome) -> None:
    """Store an outcome for what the asset's partition holds now."""
    manifest = lake.find(asset, partition)
    content = {
        "check": check,
        "asset": asset,
        "partition": partition,
        "content_hash": manifest.content_hash if manifest else None,
        "passed": outcome.passed,
        "reason": outcome.reason,
        "n": outcome.n,
        "observed": plain(outcome.observed),
        "overridden_until": outcome.observed.get("overridden_until"),
    }
    # Not made durable: the evidence log is, and a record that a power cut takes is no result, which closes the gate.
    text = to_json(content, sort_keys=True, indent=1)
    objects.put(lake, record_path(lake, check, asset, partition), text, durable=False)


def read_record(lake: Lake, check: str, asset: str, partition: str | None) -> dict[str, Any] | None:
    """Return the record of a check for what the partition holds now; None where there is none, or it is of older data."""
    manifest = lake.find(asset, partition)
    stored = objects.get(lake, record_path(lake, check, asset, partition))
    if manifest is None or stored is None:
        return None
    try:
        record: dict[str, Any] = json.loads(stored)
    except ValueError:  # cut off by a power failure: no result
        return None
    return record if record["content_hash"] == manifest.content_hash else None


def has_passed(lake: Lake, check: str, asset: str, partition: str | None, *, today: date | None = None) -> bool:
    """Tell whether the check passed for what the partition holds now.

    No record is a failure, and so is a pass by an override that has expired since.
    """
    record = read_record(lake, check, asset, partition)
    if record is None or record["passed"] is not True:
        return False
    until = record.get("overridden_until")
    return until is None or (today or datetime.now(UTC).date()) <= date.fromisoformat(until)
