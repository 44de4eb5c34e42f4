"""Statements that people sign: what is proposed, by whom, on which evidence; and what makes a signature count.

The author and the approver sign the same statement, each with the role, the name and the time beside it, so that one's signature
never stands for the other's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from finai_assets.settings.promotion import PersonSettings, PromotionSettings
from finai_resources.errors import PromotionError
from finai_resources.json_text import to_json
from finai_resources.secrets import SecretStore
from finai_resources.signing import public_key, sign, verifies

People = Mapping[str, PersonSettings]
OF_PERSON = "person"  # FINAI_PERSON_KEY, or FINAI_PERSON_<NAME>_KEY in the private file


@dataclass(frozen=True, slots=True)
class Statement:
    """What is signed.

    Parameters
    ----------
    action : str
        ``promote`` or ``rollback``.
    bundle : str
        The bundle that becomes champion.
    manifest_hash, lineage_hash : str
        SHA-256 of its manifest, and of the list of contents that it was made from.
    evidence_count, evidence_head
        Number of entries of the evidence log, and the hash of the last one: what the signers could see.
    reason : str
        In words; it may stand for a gain that is missing.
    made_at : str
        ISO time.
    """

    action: str
    bundle: str
    manifest_hash: str
    lineage_hash: str
    evidence_count: int
    evidence_head: str
    reason: str
    made_at: str

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Statement:
        """Read what ``asdict`` wrote."""
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Signature:
    """A person's signature under a statement."""

    role: str
    person: str
    key: str
    signed_at: str
    value: str

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Signature:
        """Read what ``asdict`` wrote."""
        return cls(**values)

    def covers(self, statement: Statement) -> bool:
        """Return whether the signature is one of this statement under its own key."""
        return verifies(self.key, _message(statement, self.role, self.person, self.key, self.signed_at), self.value)


@dataclass(frozen=True)
class Signer:
    """A person of the configuration whose private key is at hand."""

    name: str
    private: bytes

    @property
    def key(self) -> str:
        """Return the public half of the key, hexadecimal."""
        return public_key(self.private)

    def sign(self, statement: Statement, role: str, signed_at: str) -> Signature:
        """Return the person's signature."""
        message = _message(statement, role, self.name, self.key, signed_at)
        return Signature(role, self.name, self.key, signed_at, sign(self.private, message))


def find_signer(secrets: SecretStore, people: People, name: str | None = None) -> Signer:
    """Return the person whose private key is at hand: the key decides who signs, and a name alone is no identity.

    Parameters
    ----------
    name
        Chooses among the keys of the private file; it must fit the key.

    Raises
    ------
    PromotionError
        ``NO_KEY``: no private key is at hand, or not that of the name. ``UNKNOWN_KEY``: nobody of the configuration has it.
        ``SAME_KEY``: two people of the configuration have it.
    """
    private = secrets.find(OF_PERSON)
    if private is None:
        stored = secrets.names(f"{OF_PERSON}_")
        chosen = f"{OF_PERSON}_{name}" if name else (stored[0] if len(stored) == 1 else "")
        if chosen not in stored:
            known = ", ".join(each.removeprefix(f"{OF_PERSON}_") for each in stored) or "none"
            raise PromotionError(
                "NO_KEY",
                f"the private key of {name} is not at hand" if name else "no private key is chosen",
                where=f"FINAI_PERSON_KEY, {secrets.path}",
                fix=f"set FINAI_PERSON_KEY, or name a stored key by --as (stored: {known}); a new one: `finai keys new NAME`",
            )
        private = secrets.key(chosen)
    key = public_key(private)
    owners = [person for person, known in people.items() if known.key == key]
    if not owners or (name is not None and name not in owners):
        raise PromotionError(
            "UNKNOWN_KEY",
            f"the key {key[:12]}... is that of {owners[0]}, not of {name}"
            if owners
            else f"nobody has the key {key[:12]}...",
            where="promotion.people",
            fix="let the owner of the configuration enter the public key that `finai keys new` printed",
        )
    if len(owners) > 1:
        raise PromotionError(
            "SAME_KEY",
            f"{' and '.join(owners)} have the same key",
            where="promotion.people",
            fix="give each person a key of their own",
        )
    return Signer(owners[0], private)


def fault_of(signature: Signature, statement: Statement, role: str, people: People) -> tuple[str, str] | None:
    """Return the code and the sentence of what is wrong with a signature by itself; None where it counts."""
    person = people.get(signature.person)
    if person is None:
        return "UNKNOWN_PERSON", f"{signature.person} is not among promotion.people"
    if person.key != signature.key:
        return "UNKNOWN_KEY", f"the key is not that of {signature.person}"
    if signature.role != role or not signature.covers(statement):
        return "SIGNATURE_WRONG", f"the signature of {signature.person} as {role} does not cover the statement"
    if role not in person.roles:
        return "ROLE_MISSING", f"{signature.person} may not sign as {role}"
    return None


def judge_approval(
    approval: Mapping[str, Any], proposal: Mapping[str, Any], evidence_at: str, settings: PromotionSettings
) -> tuple[str, str] | None:
    """Return the code and the sentence of what is wrong with an approval; None where it counts.

    Parameters
    ----------
    approval, proposal
        ``statement`` and ``signature`` as stored.
    evidence_at
        ISO time of the latest result of a mandatory check.
    """
    statement, author = Statement.of(proposal["statement"]), Signature.of(proposal["signature"])
    approved, signature = Statement.of(approval["statement"]), Signature.of(approval["signature"])
    late = bool(evidence_at) and datetime.fromisoformat(signature.signed_at) < datetime.fromisoformat(evidence_at)
    other = (approved.bundle, approved.manifest_hash) != (statement.bundle, statement.manifest_hash)
    faults = {
        "OWN_APPROVAL": (
            signature.person == author.person,
            f"{author.person} proposed it, so somebody else has to approve",
        ),
        "SAME_KEY": (signature.key == author.key, f"{author.person} and {signature.person} sign with the same key"),
        "APPROVAL_OF_ANOTHER_BUNDLE": (other, f"the approval is one of bundle {approved.bundle}"),
        "APPROVAL_OLDER_THAN_EVIDENCE": (late, f"approved at {signature.signed_at}, and checks ran at {evidence_at}"),
        "APPROVAL_OUTDATED": (
            approved != statement,
            "the proposal was signed anew since, with other words or evidence",
        ),
    }
    found = [(code, what) for code, (wrong, what) in faults.items() if wrong]
    return fault_of(signature, approved, "approver", settings.people) if not found else found[0]


def entry_of(kind: str, statement: Statement, signature: Signature) -> dict[str, Any]:
    """Return a signed statement as an entry of the registry."""
    return {"kind": kind, "bundle": statement.bundle, "statement": asdict(statement), "signature": asdict(signature)}


def _message(statement: Statement, role: str, person: str, key: str, signed_at: str) -> bytes:
    signed = {"statement": asdict(statement), "role": role, "person": person, "key": key, "signed_at": signed_at}
    return to_json(signed, sort_keys=True)
