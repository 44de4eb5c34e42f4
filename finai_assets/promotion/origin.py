"""Origin of the champion: whether people signed for every step by which it became champion.

The log's chain shows what was changed or dropped; that somebody who may write to the lake appended an entry, it does not. So the
signatures are verified from the first entry on, whatever the entries themselves say of their verdicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finai_assets.bundle.registry import CHAMPION_ALIAS, PREVIOUS, Registry
from finai_assets.promotion.facts import Fault
from finai_assets.promotion.signatures import People, Signature, Statement
from finai_resources.chained_log import Entry


def origin_fault(registry: Registry, people: People) -> Fault | None:
    """Return what is wrong with the last change of the champion; None where people signed for it, or there is no champion.

    Parameters
    ----------
    people
        Their public keys; one who left has to stay among them, without roles.

    Returns
    -------
    Fault or None
        ``CHAMPION_UNSIGNED``.
    """
    held: Mapping[str, str] = {}
    promoted: set[str] = set()
    fault: Fault | None = None
    signed: list[Entry] = []
    for entry in registry.entries:
        aliases = entry.record.get("aliases", held)
        if aliases.get(CHAMPION_ALIAS) != held.get(CHAMPION_ALIAS):
            wrong = _wrong(entry.record, held, aliases, promoted, signed, people)
            fault = Fault("CHAMPION_UNSIGNED", f"entry {entry.sequence}: {wrong}") if wrong else None
            promoted |= set() if wrong else {aliases[CHAMPION_ALIAS]}
        signed.append(entry)
        held = aliases
    return fault


def _wrong(
    record: Mapping[str, Any],
    before: Mapping[str, str],
    after: Mapping[str, str],
    promoted: set[str],
    earlier: list[Entry],
    people: People,
) -> str:
    """Return, in words, why a change of the champion does not count; empty where it does."""
    new = after.get(CHAMPION_ALIAS)
    if record["bundle"] != new:
        return "it moved the champion to a bundle that it is not about"
    if record["kind"] == "rollback":
        statement, signature = Statement.of(record["statement"]), Signature.of(record["signature"])
        if (statement.action, statement.bundle) != ("rollback", new) or not _genuine(signature, statement, people):
            return "nobody known signed the rollback"
        return "" if new == before.get(PREVIOUS) and new in promoted else "the bundle was not champion before"
    if record["kind"] != "promotion" or not record["verdict"]["passed"]:
        return f"an entry of kind {record['kind']} moved the champion without a verdict that passed"
    kinds = {kind: [e.record for e in earlier if e.record["kind"] == kind and e.record["bundle"] == new]
             for kind in ("proposal", "approval")}  # fmt: skip
    pairs = ((proposal, approval) for proposal in kinds["proposal"] for approval in kinds["approval"])
    return "" if any(_two_signed(*pair, people) for pair in pairs) else "no two people known signed the promotion"


def _two_signed(proposal: Mapping[str, Any], approval: Mapping[str, Any], people: People) -> bool:
    """Return whether two people with different keys signed the same statement to promote."""
    statement = Statement.of(proposal["statement"])
    author, approver = Signature.of(proposal["signature"]), Signature.of(approval["signature"])
    return (
        statement.action == "promote"
        and statement == Statement.of(approval["statement"])
        and statement.bundle == proposal["bundle"]
        and (author.role, approver.role) == ("author", "approver")
        and author.person != approver.person
        and author.key != approver.key
        and _genuine(author, statement, people)
        and _genuine(approver, statement, people)
    )


def _genuine(signature: Signature, statement: Statement, people: People) -> bool:
    known = people.get(signature.person)
    return known is not None and known.key == signature.key and signature.covers(statement)
