"""Running checks: whatever happens, there is a verdict, a record of it for the gates, and an entry in the evidence log."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from finai_assets.asset_graph import BUNDLE, TEACHER, is_student
from finai_checks.framework.check import NO_EVIDENCE, CheckContext, CheckOutcome, Declared
from finai_checks.framework.evidence_log import evidence_log
from finai_checks.framework.overrides import Overrides
from finai_checks.framework.record import write_record
from finai_checks.framework.regulations import regulation_map
from finai_resources.json_text import plain
from finai_resources.lake import Lake
from finai_resources.manifest import Manifest, address
from finai_resources.storage_errors import storage_error

MODELS = (BUNDLE, TEACHER)  # the nearer one first
EVIDENCE_ROWS = 20


def run_check(check: Declared, context: CheckContext, overrides: Overrides | None = None) -> CheckOutcome:
    """Evaluate one check and store its outcome."""
    return run_checks([check], context, overrides)[check.asset]


def run_checks(
    checks: Sequence[Declared], context: CheckContext, overrides: Overrides | None = None
) -> dict[str, CheckOutcome]:
    """Evaluate checks that share their work (:func:`~finai_checks.framework.check.sharing_work`), and store the outcomes.

    An exception is a failure of all of them, and carries its traceback. A check that got no outcome has failed.

    Returns
    -------
    dict
        An outcome for each asset.

    Raises
    ------
    StorageError
        The disk let the checks not read or write what they need. That says nothing of the data: a failure that was stored for it
        would stand until somebody asks again, and no result closes a gate as well.
    """
    outcomes: Mapping[str, CheckOutcome]
    try:
        outcomes = checks[0].evaluate_on(context, [check.asset for check in checks])
    except Exception as error:  # whatever went wrong, a check without a result must not pass
        if (refused := storage_error(error, address(checks[0].asset, context.partition))) is not None:
            raise refused from error
        outcomes = {check.asset: _raised(error) for check in checks}
    return _stored(
        context, [(check, outcomes.get(check.asset, CheckOutcome.no_evidence())) for check in checks], overrides
    )


def evidence_record(check: Declared, context: CheckContext, outcome: CheckOutcome) -> dict[str, Any]:
    """Return the entry of the evidence log for an outcome."""
    lake, month = context.session.lake, context.month
    manifest = lake.find(check.asset, context.partition)
    record = {
        "check": check.id,
        "name": check.name,
        "asserts": check.kind.asserts,
        "asset": address(check.asset, context.partition),
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
        "check_code": check.code,
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

    A bundle stands for its students, and a student or a prediction for its teacher.
    """
    if manifest is None:
        return None
    if manifest.asset in MODELS or is_student(manifest.asset):
        return manifest.content_hash
    for model in MODELS:
        if model in manifest.upstream:
            return manifest.upstream[model]
    return None


def _raised(error: Exception) -> CheckOutcome:
    return CheckOutcome(False, f"the check itself failed: {error}", 0, {"traceback": traceback.format_exc()}, [])


def _with_evidence(check: Declared, outcome: CheckOutcome) -> CheckOutcome:
    """Return the outcome; a pass on too little evidence becomes a failure."""
    if outcome.passed and outcome.n < check.kind.minimum:
        return CheckOutcome(False, NO_EVIDENCE, outcome.n, {**outcome.observed, "minimum": check.kind.minimum})
    return outcome


def _stored(
    context: CheckContext, evaluated: Sequence[tuple[Declared, CheckOutcome]], overrides: Overrides | None
) -> dict[str, CheckOutcome]:
    """Store an entry of the evidence log and a record for each outcome; return the outcomes after overrides, by asset."""
    final: dict[str, CheckOutcome] = {}
    entries = []
    for check, outcome in evaluated:
        judged = _with_evidence(check, outcome)
        final[check.asset] = overrides.apply(check, context.month, judged) if overrides else judged
        entries.append(evidence_record(check, context, final[check.asset]))
    lake, secrets = context.session.lake, context.platform.secrets
    written = evidence_log(lake, secrets, appends=True).append_all(entries)
    if secrets is None:  # nobody can vouch for the outcomes: the log tells them, and they open no gate
        return final
    for (check, _), entry in zip(evaluated, written, strict=True):  # last: a gate opens only on what the log knows of
        write_record(lake, check, context.partition, final[check.asset], entry, secrets)
    return final
