"""Records of outcomes, stored in the lake beside the data: gates read them there, not in an event log that may be pruned.

A record is a statement about one check by its code and its thresholds, one partition of one asset, one content of that partition,
and one entry of the evidence log. It is signed under a key of its own (``FINAI_RECORD_KEY``), so that a file that was edited, or
copied from another asset, is no record. Whether the log still holds that entry, as its last word on the partition, is for the
:class:`~finai_checks.framework.ledger.Ledger` to find out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from finai_checks.framework.check import CheckOutcome, Declared
from finai_resources import objects
from finai_resources.chained_log import Entry
from finai_resources.json_text import plain, to_json
from finai_resources.lake import Lake
from finai_resources.secrets import SecretStore

ROOT, WHOLE = "checks", "whole"
KEY = "record"
_MAC, _KEY_ID = "mac", "key_id"

Record = dict[str, Any]


def record_path(lake: Lake, check: str, asset: str, partition: str | None) -> str:
    """Return the path of the record of a check on a partition."""
    return f"{lake.root}/{ROOT}/{check}/{asset}/{partition or WHOLE}.json"


def write_record(
    lake: Lake, check: Declared, partition: str | None, outcome: CheckOutcome, entry: Entry, secrets: SecretStore
) -> None:
    """Sign and store the outcome for the content that the partition has now, by the check as it is declared now.

    Parameters
    ----------
    entry
        The entry of the evidence log that tells the same; no gate believes a record without one.
    secrets
        Where the key lies that records are signed with.
    """
    statement = {
        "check": check.name,
        "code": check.code,
        "thresholds": plain(check.thresholds),
        "basis": check.basis,
        "asset": check.asset,
        "partition": partition,
        "content_hash": entry.record["data_version"],
        "passed": outcome.passed,
        "reason": outcome.reason,
        "n": outcome.n,
        "observed": plain(outcome.observed),
        "override": outcome.observed.get("override"),
        "overridden_until": outcome.observed.get("overridden_until"),
        "sequence": entry.sequence,
        "entry": entry.digest,
        "recorded_at": entry.recorded_at,
    }
    # Not made durable: the evidence log is, and a record that a power cut takes is no result, which closes the gate.
    text = to_json(signed(statement, secrets.key(KEY)), sort_keys=True, indent=1)
    objects.put(lake, record_path(lake, check.name, check.asset, partition), text, durable=False)


def signed(statement: Record, key: bytes) -> Record:
    """Return a statement with the id of a key and its MAC under that key."""
    named = {**statement, _KEY_ID: hashlib.sha256(key).hexdigest()[:8]}
    return {**named, _MAC: _digest(named, key)}


def parse(content: bytes | None, key: bytes | None) -> tuple[Record | None, str]:
    """Return the record that an object holds, and why it is none.

    Parameters
    ----------
    content
        None where there is no object.
    key
        None where the key is not at hand: then nothing is a record.

    Returns
    -------
    tuple
        The record and an empty text; or None and the reason, which is empty where there is nothing.
    """
    if not content:  # cut off by a power failure: no result
        return None, ""
    try:
        record = json.loads(content)
        mac = record.pop(_MAC, None)
        if not isinstance(mac, str):
            return None, "its record is not signed"
        genuine = key is not None and hmac.compare_digest(mac.encode(), _digest(record, key).encode())
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None, "its record is damaged"
    return (record, "") if genuine else (None, "its record is not the one that was signed, or not signed by this key")


def _digest(statement: Record, key: bytes) -> str:
    return hmac.new(key, to_json(statement, sort_keys=True), hashlib.sha256).hexdigest()
