"""Steps to a champion: propose, approve, decide, roll back. Each is one entry of the registry's log, or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from finai_assets.bundle.registry import (
    CHALLENGER,
    CHAMPION_ALIAS,
    PREVIOUS,
    Registry,
    export,
    fetch,
    note,
)
from finai_assets.promotion.facts import Criterion, Facts, Verdict, refused
from finai_assets.promotion.gather import Desk, gather, lineage_hash, manifest_hash, signed_entries
from finai_assets.promotion.integrity import examine
from finai_assets.promotion.lattice import judge
from finai_assets.promotion.signatures import (
    Signature,
    Signer,
    Statement,
    entry_of,
    fault_of,
    find_signer,
    judge_approval,
)
from finai_resources.errors import FinaiError, PromotionError
from finai_resources.secrets import SecretStore

SHORTEST_REASON = 10  # characters
_CONFIGURE = "the owner of the configuration enters the key and the roles under promotion.people"
_FIXES = {
    "OWN_APPROVAL": "another person runs `finai approve`",
    "SAME_KEY": "give each person a key of their own: `finai keys new NAME`",
    "UNKNOWN_PERSON": _CONFIGURE,
    "UNKNOWN_KEY": _CONFIGURE,
    "ROLE_MISSING": _CONFIGURE,
    "APPROVAL_OLDER_THAN_EVIDENCE": "set this machine's clock, and approve again",
}


@dataclass(frozen=True)
class Decision:
    """A verdict, what it rests on, and whether the challenger became champion.

    Parameters
    ----------
    facts : Facts or None
        None where they could not be gathered.
    """

    verdict: Verdict
    facts: Facts | None
    promoted: bool = False


def decide(desk: Desk, name: str = CHALLENGER, *, dry_run: bool = False, now: datetime | None = None) -> Decision:
    """Judge a bundle, and make it champion if every criterion holds; whatever goes wrong is a refusal.

    Parameters
    ----------
    name
        An alias or an id.
    dry_run
        Judge, and write nothing.
    now
        The time; by default that of the clock.

    Returns
    -------
    Decision
        A refused one is an entry of the log too, and moves no alias.

    Raises
    ------
    BundleError
        There is no such bundle.
    PromotionError
        ``REGISTRY_TAMPERED``: nothing is judged, or written, on a log that was tampered with.
    """
    lake, moment = desk.session.lake, now or datetime.now(UTC)
    registry = Registry.read(lake)
    bundle_id = registry.find(name)
    champion = registry.aliases.get(CHAMPION_ALIAS, "")
    facts: Facts | None = None
    try:
        facts = gather(desk, registry, bundle_id, moment)
        verdict = judge(facts, desk.settings.promotion)
    except Exception as error:  # whatever it is, nobody knows that the criteria hold
        verdict = refused(bundle_id, champion, moment.isoformat(), _failed(error))
    if dry_run:
        return Decision(verdict, facts)
    if verdict.passed:
        promoted = {**registry.aliases, CHAMPION_ALIAS: bundle_id, **({PREVIOUS: champion} if champion else {})}
        record = {"kind": "promotion", "bundle": bundle_id, "verdict": verdict.to_json(), "aliases": promoted}
        if registry.append(record) is not None:
            export(fetch(lake, bundle_id), desk.home)
            return Decision(verdict, facts, promoted=True)
        verdict = refused(bundle_id, champion, moment.isoformat(), _lost())
    note(lake, {"kind": "verdict", "bundle": bundle_id, "verdict": verdict.to_json()})
    return Decision(verdict, facts)


def propose(desk: Desk, name: str, signer: Signer, reason: str, *, now: datetime | None = None) -> Statement:
    """Sign, as author, that a bundle shall become champion.

    Raises
    ------
    PromotionError
        The person may not propose; the refusal is recorded.
    BundleError
        There is no such bundle.
    """
    registry = Registry.read(desk.session.lake)
    statement = _statement(desk, registry, "promote", registry.find(name), reason.strip(), now)
    signature = signer.sign(statement, "author", statement.made_at)
    _demand(
        desk, "propose", statement, signature, fault_of(signature, statement, "author", desk.settings.promotion.people)
    )
    note(desk.session.lake, entry_of("proposal", statement, signature))
    return statement


def standing_proposal(desk: Desk, name: str) -> Statement | None:
    """Return the statement of a bundle's latest proposal if it still counts: by its signature, and on today's evidence."""
    registry = Registry.read(desk.session.lake)
    proposal, _ = signed_entries(registry, registry.find(name))
    if proposal is None:
        return None
    statement, signature = Statement.of(proposal.record["statement"]), Signature.of(proposal.record["signature"])
    lineage = registry.registrations[statement.bundle].record["lineage"]
    checks, _ = desk.evidence.results(desk.session.lake, lineage, desk.settings.promotion.mandatory)
    outdated = any(check.sequence >= statement.evidence_count for check in checks)
    wrong = fault_of(signature, statement, "author", desk.settings.promotion.people)
    return None if outdated or wrong else statement


def approve(desk: Desk, name: str, signer: Signer, *, now: datetime | None = None) -> Statement:
    """Sign, as approver, the statement of a bundle's latest proposal.

    Raises
    ------
    PromotionError
        There is no proposal, or the approval would not count; the refusal is recorded.
    BundleError
        There is no such bundle.
    """
    registry = Registry.read(desk.session.lake)
    bundle_id = registry.find(name)
    proposal, _ = signed_entries(registry, bundle_id)
    if proposal is None:
        raise PromotionError(
            "PROPOSAL_MISSING",
            "nobody has proposed it",
            where=f"bundle {bundle_id}",
            fix="the author runs `finai promote`",
        )
    statement = Statement.of(proposal.record["statement"])
    signature = signer.sign(statement, "approver", _text(now or datetime.now(UTC)))
    entry = entry_of("approval", statement, signature)
    lineage = registry.registrations[bundle_id].record["lineage"]
    checks, _ = desk.evidence.results(desk.session.lake, lineage, desk.settings.promotion.mandatory)
    evidence_at = max((check.recorded_at for check in checks), default="")
    fault = judge_approval(entry, proposal.record, evidence_at, desk.settings.promotion)
    _demand(desk, "approve", statement, signature, fault)
    note(desk.session.lake, entry)
    return statement


def roll_back(desk: Desk, signer: Signer, reason: str, *, now: datetime | None = None) -> dict[str, str]:
    """Exchange champion and previous, without a rebuild; return the aliases after it. One person signs: it has to be quick.

    Raises
    ------
    PromotionError
        There is no previous champion, its bundle is damaged, no reason is given, the person is unknown, or another change of the
        registry came first. The champion stays.
    """
    lake, registry = desk.session.lake, Registry.read(desk.session.lake)
    aliases = registry.aliases
    if PREVIOUS not in aliases:
        raise PromotionError(
            "NO_PREVIOUS",
            "there is no previous champion",
            where="bundle registry",
            fix="see `finai bundles list`; an older bundle is promoted by `finai promote ID`",
        )
    if len(reason.strip()) < SHORTEST_REASON:
        raise PromotionError("REASON_MISSING", "a rollback needs a reason in words", where="--reason", fix="give one")
    statement = _statement(desk, registry, "rollback", aliases[PREVIOUS], reason.strip(), now)
    person = desk.settings.promotion.people.get(signer.name)
    role = "author" if person is not None and "author" in person.roles else "approver"
    signature = signer.sign(statement, role, statement.made_at)
    files = fetch(lake, statement.bundle)
    settings = desk.settings
    faults, _ = examine(files, statement.bundle, desk.key, dataset=settings.dataset.name, profile=settings.profile)
    wrong = fault_of(signature, statement, role, settings.promotion.people)
    _demand(desk, "rollback", statement, signature, wrong or ((faults[0].code, faults[0].what) if faults else None))
    swapped = {**aliases, CHAMPION_ALIAS: aliases[PREVIOUS], PREVIOUS: aliases[CHAMPION_ALIAS]}
    if registry.append({**entry_of("rollback", statement, signature), "aliases": swapped}) is None:
        lost = _lost()
        raise PromotionError(
            lost.code, lost.reason, where="bundle registry", fix="look at `finai bundles list`, and run it again"
        )
    export(files, desk.home)
    return swapped


def signer_or_refusal(desk: Desk, action: str, secrets: SecretStore, name: str | None) -> Signer:
    """Return the person who signs; where nobody can, the refusal is recorded.

    Raises
    ------
    PromotionError
        See :func:`finai_assets.promotion.signatures.find_signer`.
    """
    try:
        return find_signer(secrets, desk.settings.promotion.people, name)
    except PromotionError as error:
        note(desk.session.lake, _refusal(action, "", name or "", error.code, error.what))
        raise


def _demand(desk: Desk, action: str, statement: Statement, signature: Signature, fault: tuple[str, str] | None) -> None:
    """Record a refusal and raise it, where a fault is given."""
    if fault is None:
        return
    code, what = fault
    note(desk.session.lake, _refusal(action, statement.bundle, signature.person, code, what))
    fix = _FIXES.get(code, "docs/promotion.md tells what each code asks for")
    raise PromotionError(code, what, where=f"bundle {statement.bundle}", fix=fix)


def _refusal(action: str, bundle_id: str, person: str, code: str, what: str) -> dict[str, Any]:
    return {"kind": "refusal", "action": action, "bundle": bundle_id, "person": person, "code": code, "what": what}


def _statement(
    desk: Desk, registry: Registry, action: str, bundle_id: str, reason: str, now: datetime | None
) -> Statement:
    lake = desk.session.lake
    head = desk.evidence.head(lake)
    return Statement(
        action=action,
        bundle=bundle_id,
        manifest_hash=manifest_hash(fetch(lake, bundle_id)),
        lineage_hash=lineage_hash(registry.registrations[bundle_id].record["lineage"]),
        evidence_count=head.count,
        evidence_head=head.digest,
        reason=reason,
        made_at=_text(now or datetime.now(UTC)),
    )


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _failed(error: Exception) -> Criterion:
    what = error.what if isinstance(error, FinaiError) else f"{type(error).__name__}: {error}"
    return Criterion("gathered", False, "FACTS_MISSING", f"the facts could not be gathered: {what}")


def _lost() -> Criterion:
    text = "another change of the registry came first, so that this decision was made on a state that is gone"
    return Criterion("unchanged", False, "LOST_RACE", text)


def outcome_of(entry: Mapping[str, Any]) -> str:
    """Return what an entry of the registry did, in a few words."""
    kind = entry["kind"]
    if kind == "verdict":
        return f"refused: {', '.join(entry['verdict']['codes'])}"
    if kind == "refusal":
        return f"{entry['action']} refused: {entry['code']}"
    person = entry.get("signature", {}).get("person")
    return f"{kind} by {person}" if person else str(kind)
