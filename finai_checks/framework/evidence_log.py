"""The evidence log of a lake: every result of a check, chained, sealed, and anchored outside the lake."""

from __future__ import annotations

from finai_resources.anchors import Anchors
from finai_resources.chained_log import ChainedLog
from finai_resources.lake import Lake
from finai_resources.secrets import SecretStore

EVIDENCE = "evidence"
KEY = "evidence"
ANCHOR_EVERY = 500  # entries; what was appended after the last anchor can be cut off unseen


def evidence_log(lake: Lake, secrets: SecretStore | None, *, appends: bool = False) -> ChainedLog:
    """Return the log; without its key entries are neither sealed nor are their seals verified.

    Parameters
    ----------
    secrets
        Where the key lies that entries are sealed with (``FINAI_EVIDENCE_KEY``).
    appends
        Whether entries are to be appended: then the key is made where there is none yet.
    """
    if secrets is None:
        return ChainedLog(lake, EVIDENCE)
    key = secrets.key(KEY) if appends else secrets.find(KEY)
    return ChainedLog(lake, EVIDENCE, key=key, anchors=Anchors.of(lake), anchor_every=ANCHOR_EVERY)
