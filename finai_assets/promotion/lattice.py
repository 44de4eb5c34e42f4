"""The lattice (C29, C30): a challenger becomes champion if every criterion holds. Nothing is weighed against anything else.

A pure function of :class:`~finai_assets.promotion.facts.Facts` and of the settings; it reads no store and no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from finai_assets.promotion.facts import Criterion, Facts, TaskShift, Verdict
from finai_assets.promotion.signatures import Signature, Statement, fault_of, judge_approval
from finai_assets.settings.promotion import PromotionSettings

SIGNED = "signed_by_two"
_CODES = {
    "failed": "CHECK_FAILED",
    "missing": "CHECK_MISSING",
    "stale": "CHECK_STALE",
    "expired": "OVERRIDE_EXPIRED",
    "unproved": "CHECK_UNPROVED",
}


def judge(facts: Facts, settings: PromotionSettings) -> Verdict:
    """Return the verdict on a challenger."""
    criteria = tuple(_named(name, judged(facts, settings)) for name, judged in CRITERIA.items())
    warnings = tuple(text for shift in facts.shifts for text in _shift_warnings(shift, settings))
    return Verdict(facts.bundle, facts.champion, facts.now, criteria, facts.awaited, warnings)


def clock(facts: Facts, _settings: PromotionSettings) -> Criterion:
    """Require that the clock does not lie before the registry's last entry: old evidence would look fresh."""
    if facts.last_entry_at and _time(facts.now) < _time(facts.last_entry_at):
        reason = f"it is {facts.now} here, and the registry's last entry is of {facts.last_entry_at}"
        return Criterion("", False, "CLOCK_SET_BACK", reason, 1)
    return Criterion("", True, n=1)


def is_new(facts: Facts, _settings: PromotionSettings) -> Criterion:
    """Require that the challenger is not the champion already."""
    same = facts.bundle == facts.champion
    return Criterion("", not same, "ALREADY_CHAMPION" if same else "", "it is the champion already" if same else "", 1)


def integrity(facts: Facts, _settings: PromotionSettings) -> Criterion:
    """Require that the bundle is whole, signed, of the schema that serving reads, and of this data set and profile."""
    rows = tuple({"code": fault.code, "what": fault.what} for fault in facts.integrity)
    if rows:
        return Criterion("", False, rows[0]["code"], _told(row["what"] for row in rows), len(rows), rows)
    return Criterion("", True, n=1)


def tasks_complete(facts: Facts, _settings: PromotionSettings) -> Criterion:
    """Require that every task that the data set can carry is in the bundle."""
    missing = [task for task in facts.tasks_expected if task not in facts.tasks_present]
    if missing or not facts.tasks_expected:
        what = f"the bundle lacks {', '.join(missing)}" if missing else "no task is expected"
        return Criterion(
            "", False, "TASK_MISSING", what, len(facts.tasks_expected), tuple({"task": t} for t in missing)
        )
    return Criterion("", True, n=len(facts.tasks_expected))


def evidence(facts: Facts, settings: PromotionSettings) -> Criterion:
    """Require that every mandatory check passed lately on exactly what the bundle was made from, and the log proves it."""
    if facts.evidence_faults:
        return Criterion("", False, "EVIDENCE_TAMPERED", _told(facts.evidence_faults), len(facts.checks))
    oldest = _time(facts.now) - timedelta(days=settings.max_evidence_age_days)
    wrong, told = [], []
    for check in facts.checks:
        row = {"check": f"{check.check} {check.name}", "asset": check.address, "what": check.reason or check.state}
        if check.state in _CODES:
            wrong.append({"code": _CODES[check.state], **row})
        elif _time(check.recorded_at) < oldest:
            wrong.append({"code": "EVIDENCE_OLD", **row, "what": f"its result is of {check.recorded_at}"})
        elif check.state == "overridden":
            told.append({"code": "OVERRIDDEN", **row})
    n = len(facts.checks)
    if wrong:
        text = _told(f"{row['check']} on {row['asset']}: {row['what']}" for row in wrong)
        return Criterion("", False, wrong[0]["code"], text, n, tuple(wrong))
    if not n:
        return Criterion("", False, "CHECK_MISSING", "no mandatory check exists: promotion.mandatory names none", 0)
    remark = _told(f"{row['check']} on {row['asset']} is {row['what']}" for row in told)
    return Criterion("", True, reason=remark, n=n, rows=tuple(told))


def no_task_worse(facts: Facts, _settings: PromotionSettings) -> Criterion:
    """Require that no task's primary metric is significantly worse than the champion's on the same test rows."""
    if facts.comparison_faults:
        rows = tuple({"code": fault.code, "what": fault.what} for fault in facts.comparison_faults)
        return Criterion("", False, rows[0]["code"], _told(row["what"] for row in rows), 0, rows)
    if not facts.champion:
        return Criterion("", True, reason="there is no champion to compare with")
    compared = [row for row in facts.comparison if row.difference is not None]
    if not compared:
        return Criterion("", False, "COMPARISON_EMPTY", "no task could be compared on test rows", 0)
    if missing := set(facts.tasks_expected) - {row.task for row in facts.comparison}:
        return Criterion("", False, "COMPARISON_EMPTY", f"not compared: {', '.join(sorted(missing))}", len(compared))
    worse = [row for row in compared if row.verdict == "worse"]
    if worse:
        text = _told(
            f"{row.task}: {row.metric} {row.difference:+.4f} [{row.low:+.4f}, {row.high:+.4f}]" for row in worse
        )
        return Criterion("", False, "TASK_WORSE", text, len(compared), tuple({"task": row.task} for row in worse))
    return Criterion("", True, n=len(compared))


def gain(facts: Facts, _settings: PromotionSettings) -> Criterion:
    """Require that at least one primary metric is significantly better, or the signers gave a reason."""
    if not facts.champion:
        return Criterion("", True, reason="there is no champion to compare with")
    better = [row.task for row in facts.comparison if row.verdict == "better"]
    reason = str(facts.proposal["statement"]["reason"]) if facts.proposal else ""
    if better or reason:
        told = f"better: {', '.join(better)}" if better else f"no task is better; the reason given: {reason}"
        return Criterion("", True, reason=told, n=len(facts.comparison))
    text = "no task is significantly better, and no reason is given (--reason)"
    return Criterion("", False, "NO_GAIN", text, len(facts.comparison))


def signed_by_two(facts: Facts, settings: PromotionSettings) -> Criterion:
    """Require that an author proposed this bundle on this evidence, and another person with another key approved it."""
    if facts.proposal is None:
        return Criterion("", False, "PROPOSAL_MISSING", "nobody has proposed it: `finai promote`", 0)
    author = Signature.of(facts.proposal["signature"])
    if fault := _proposal_fault(facts, facts.proposal, settings):
        return Criterion("", False, *fault, 1)
    if not facts.approvals:
        return Criterion("", False, "APPROVAL_MISSING", f"{author.person} proposed it, and nobody has approved it", 1)
    evidence_at = max((check.recorded_at for check in facts.checks), default="")
    faults = [judge_approval(approval, facts.proposal, evidence_at, settings) for approval in facts.approvals]
    counting = [approval for approval, fault in zip(facts.approvals, faults, strict=True) if fault is None]
    if not counting:
        code, what = faults[-1] or ("", "")
        return Criterion("", False, code, what, 1 + len(faults))
    approver = Signature.of(counting[0]["signature"])
    if _time(approver.signed_at) > _time(facts.now):
        return Criterion("", False, "CLOCK_SET_BACK", f"approved at {approver.signed_at}, which is later than now", 2)
    return Criterion(
        "", True, reason=f"proposed by {author.person}, approved by {approver.person}", n=1 + len(counting)
    )


def _proposal_fault(facts: Facts, proposal: Mapping[str, Any], settings: PromotionSettings) -> tuple[str, str] | None:
    """Return the code and the sentence of what is wrong with a proposal; None where it counts."""
    statement, author = Statement.of(proposal["statement"]), Signature.of(proposal["signature"])
    if fault := fault_of(author, statement, "author", settings.people):
        return fault
    if (statement.action, statement.bundle, statement.manifest_hash) != ("promote", facts.bundle, facts.manifest_hash):
        return "PROPOSAL_OF_ANOTHER_BUNDLE", f"the proposal is one to {statement.action} bundle {statement.bundle}"
    if statement.lineage_hash != facts.lineage_hash:
        return "PROPOSAL_OF_ANOTHER_LINEAGE", "the bundle was registered anew since, as made from other contents"
    if any(check.sequence >= statement.evidence_count for check in facts.checks):
        return "PROPOSAL_OLDER_THAN_EVIDENCE", "mandatory checks ran since it was proposed: `finai promote` again"
    return None


CRITERIA: dict[str, Callable[[Facts, PromotionSettings], Criterion]] = {
    "clock": clock,
    "is_new": is_new,
    "integrity": integrity,
    "tasks_complete": tasks_complete,
    "evidence": evidence,
    "no_task_worse": no_task_worse,
    "gain": gain,
    SIGNED: signed_by_two,
}


def _named(name: str, judged: Criterion) -> Criterion:
    return Criterion(name, judged.passed, judged.code, judged.reason, judged.n, judged.rows)


def _shift_warnings(shift: TaskShift, settings: PromotionSettings) -> Iterable[str]:
    limits = settings.shift
    for name, value, limit, sign in (
        ("psi", shift.psi, limits.psi, 1),
        ("jsd", shift.jsd, limits.jsd, 1),
        ("rank correlation", shift.rank_correlation, limits.rank_correlation, -1),
        ("mean shift", None if shift.mean_shift is None else abs(shift.mean_shift), limits.mean_shift, 1),
    ):
        if value is not None and sign * value >= sign * limit:
            yield f"{shift.task}: {name} {value:.3f} (told from {limit})"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _told(texts: Iterable[str], shown: int = 3) -> str:
    listed = list(texts)
    more = f"; and {len(listed) - shown} more" if len(listed) > shown else ""
    return "; ".join(listed[:shown]) + more
