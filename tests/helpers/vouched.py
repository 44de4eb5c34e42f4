"""Signed records of checks as a run leaves them, for lakes on which no check was evaluated."""

from __future__ import annotations

from collections.abc import Iterable

from finai_assets.platform import Platform
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckContext, CheckOutcome, Declared
from finai_checks.framework.evidence_log import EVIDENCE
from finai_checks.framework.record import write_record
from finai_checks.framework.run import evidence_record
from finai_resources.chained_log import ChainedLog
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

PASSED = CheckOutcome(True, "", 10**6)


def tell(
    lake: Lake, platform: Platform, told: Iterable[tuple[Declared, str | None]], outcome: CheckOutcome = PASSED
) -> None:
    """Store an outcome of checks on partitions, in the evidence log and as records."""
    assert platform.secrets is not None
    asked = list(told)
    entries = [
        evidence_record(
            check, CheckContext(LakeSession(lake), platform, Month.parse(partition) if partition else None), outcome
        )
        for check, partition in asked
    ]
    written = ChainedLog(lake, EVIDENCE).append_all(entries)
    for (check, partition), entry in zip(asked, written, strict=True):
        write_record(lake, check, partition, outcome, entry, platform.secrets)


def vouch(lake: Lake, platform: Platform) -> list[tuple[Declared, str | None]]:
    """Let every check of every run have passed on all that is stored; return them with their partitions."""
    told = [
        (check, partition)
        for check in declared_checks(platform)
        if not check.kind.audit
        for partition in sorted(check.month_keys, key=str)
        if lake.find(check.asset, partition) is not None
    ]
    tell(lake, platform, told)
    return told
