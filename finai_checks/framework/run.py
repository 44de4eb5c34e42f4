"""Running a check: whatever happens, there is a verdict, a record of it for the gates, and an entry in the evidence log."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from finai_checks.framework.declaration import Declared
from finai_checks.framework.outcome import NO_EVIDENCE, CheckOutcome
from finai_checks.framework.overrides import Overrides
from finai_checks.framework.record import write_record
from finai_checks.framework.regulations import regulation_map
from finai_resources.chained_log import ChainedLog
from finai_resources.json_text import plain
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import Manifest, address
from finai_resources.months import Month

EVIDENCE = "evidence"
MODELS = ("serving/bundle", "teacher/ple")  # the nearer one first
STUDENTS = "students/"
EVIDENCE_ROWS = 20


def run_check(
    check: Declared, session: LakeSession, month: Month | None, overrides: Overrides | None = None
) -> CheckOutcome:
    """Evaluate a check and store what it found; an exception is a failure that carries its traceback."""
    try:
        outcome = check.evaluate(session, month)
    except Exception as error:  # whatever went wrong, a check without a result must not pass
        outcome = _raised(error)
    return _stored(session.lake, [(check, outcome)], month, overrides)[check.asset]


def run_together(
    checks: Sequence[Declared], session: LakeSession, month: Month | None, overrides: Overrides | None = None
) -> dict[str, CheckOutcome]:
    """Evaluate checks that share their work, and return the outcomes by asset. One that got no result has failed."""
    together = checks[0].together
    assert together is not None  # noqa: S101 - the caller chose them by it
    found: Mapping[str, CheckOutcome]
    try:
        found = together(session, month, [check.asset for check in checks])
    except Exception as error:
        found = {check.asset: _raised(error) for check in checks}
    outcomes = [(check, found.get(check.asset, CheckOutcome.no_evidence())) for check in checks]
    return _stored(session.lake, outcomes, month, overrides)


def evidence_record(lake: Lake, check: Declared, month: Month | None, outcome: CheckOutcome) -> dict[str, Any]:
    """Return what the evidence log keeps of a result."""
    partition = month.key if month else None
    manifest = lake.find(check.asset, partition)
    record = {
        "check": check.id,
        "name": check.name,
        "asserts": check.kind.asserts,
        "asset": address(check.asset, partition),
        "passed": outcome.passed,
        "overridden": bool(outcome.observed.get("overridden")),
        "severity": "error" if check.blocking else "warning",
        "reason": outcome.reason,
        "n": outcome.n,
        "units": check.kind.units,
        "minimum": check.kind.minimum,
        "as_of": month.cutoff.isoformat() if month else None,
        "data_version": manifest.content_hash if manifest else None,
        "model_version": model_version(lake, manifest),
        "code_version": manifest.code_version if manifest else None,
        "config_hash": manifest.config_hash if manifest else None,
        "thresholds": dict(check.thresholds),
        "observed": outcome.observed,
        "interval": outcome.observed.get("interval"),
        "articles": regulation_map().articles(check.id),
        "table": outcome.table[:EVIDENCE_ROWS],
        "table_rows": len(outcome.table),
    }
    return dict(plain(record))


def model_version(lake: Lake, manifest: Manifest | None) -> str | None:
    """Return the content hash of the model that a partition is, or was made with; None for data that no model touched.

    A bundle speaks for its students, and a student or a prediction for its teacher.
    """
    if manifest is None:
        return None
    if manifest.asset in MODELS or manifest.asset.startswith(STUDENTS):
        return manifest.content_hash
    for model in MODELS:
        if model in manifest.upstream:
            return manifest.upstream[model]
    return None


def _raised(error: Exception) -> CheckOutcome:
    return CheckOutcome(False, f"the check itself failed: {error}", 0, {"traceback": traceback.format_exc()}, [])


def _with_evidence(check: Declared, outcome: CheckOutcome) -> CheckOutcome:
    """Return the outcome; a pass on too little evidence as the failure that it is."""
    if outcome.passed and outcome.n < check.kind.minimum:
        return CheckOutcome(False, NO_EVIDENCE, outcome.n, {**outcome.observed, "minimum": check.kind.minimum})
    return outcome


def _stored(
    lake: Lake, found: Sequence[tuple[Declared, CheckOutcome]], month: Month | None, overrides: Overrides | None
) -> dict[str, CheckOutcome]:
    """Leave a record and an entry in the evidence log for each outcome; return what they say in the end, by asset."""
    final: dict[str, CheckOutcome] = {}
    entries = []
    for check, outcome in found:
        judged = _with_evidence(check, outcome)
        final[check.asset] = overrides.apply(check, month, judged) if overrides else judged
        entries.append(evidence_record(lake, check, month, final[check.asset]))
    ChainedLog(lake, EVIDENCE).append_all(entries)
    for check, _ in found:  # last: a gate opens only on what the log knows of
        write_record(lake, check.name, check.asset, month.key if month else None, final[check.asset])
    return final
