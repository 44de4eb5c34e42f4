"""C02: customer ids are keyed tokens, made with the active key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from finai_assets.asset_graph import SNAPSHOTS
from finai_assets.ingest.pseudonym import key_id, pseudonymise, witness
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks.framework.check import (
    NO_EVIDENCE,
    Canary,
    CheckContext,
    CheckKind,
    CheckOutcome,
    Declared,
    LakeCanary,
    Theme,
    declare,
)
from finai_resources.secrets import DEMO_PSEUDONYM_KEY

if TYPE_CHECKING:
    from finai_checks.framework.small_lake import SmallLake

PSEUDONYM_KEYED = CheckKind(
    "C02",
    "pseudonym_keyed",
    "every customer id is an HMAC token under the active key, the demo key is never used for real customers, and the planted ids "
    "verify",
    blocking=True,
    minimum=9,
    units="planted ids and customers",
)
ASSET = SNAPSHOTS
_BARE = ("md5", "sha1", "sha256", "sha512", "blake2b", "sha3_256")
# Tokens are uniform over 63 bits; below this probability the stored ids are not accepted as tokens.
_IMPLAUSIBLE = 1e-9


def pseudonym_keyed(
    stored: Mapping[str, Any] | None, customers: np.ndarray, key: bytes | None, *, real: bool
) -> CheckOutcome:
    """Return whether a month's customer ids are tokens under the active key.

    Parameters
    ----------
    stored
        What :func:`~finai_assets.ingest.pseudonym.witness` returned when the month was loaded; None where it was not stored.
    customers : int64 [n]
        The ids of the month.
    key
        The active key; None where it is missing, which is no evidence.
    real
        Whether the customers exist.
    """
    from scipy.stats import kstest

    if not stored or not stored.get("planted") or not len(customers):
        return CheckOutcome.no_evidence()
    if key is None:
        return CheckOutcome.no_evidence(key="the active key is not at hand: set FINAI_PSEUDONYM_KEY")
    planted: Mapping[str, str] = stored["planted"]
    expected = dict(zip(planted, map(str, pseudonymise(planted, key)), strict=True))
    unkeyed = sorted({how for name, token in planted.items() if (how := _bare_hash(name, int(token)))})
    wrong = [name for name in planted if planted[name] != expected[name]]
    uniform = float(kstest(customers.astype(np.float64) / 2.0**63, "uniform").pvalue)
    reasons = [
        *([f"planted ids are a bare hash: {', '.join(unkeyed)}"] if unkeyed else []),
        *(
            ["the demo key was used for real customers"]
            if real and stored["key_id"] == key_id(DEMO_PSEUDONYM_KEY)
            else []
        ),
        *([f"the key is {stored['key_id']}, active is {key_id(key)}"] if stored["key_id"] != key_id(key) else []),
        *([f"{len(wrong)} of {len(planted)} planted ids do not verify"] if wrong else []),
        *([f"the customer ids are not spread as tokens are (p = {uniform:.1g})"] if uniform < _IMPLAUSIBLE else []),
    ]
    observed = {"key_id": stored["key_id"], "planted": len(planted), "spread_p": uniform}
    return CheckOutcome(not reasons, "; ".join(reasons), len(planted) + len(customers), observed)


def _bare_hash(identifier: str, token: int) -> str | None:
    """Return the hash without a key from whose first or last bits a token comes; None where there is none."""
    for name in _BARE:
        digest = hashlib.new(name, identifier.encode(), usedforsecurity=False).digest()
        for part in (digest[:8], digest[-8:]):
            for order in ("big", "little"):
                number = int.from_bytes(part, order)
                if token in {number, number >> 1, number & ((1 << 63) - 1)}:
                    return name
    return None


def _declare(platform: Platform) -> list[Declared]:
    months = tuple(platform.settings.dataset.raw_months)
    return [declare(PSEUDONYM_KEYED, ASSET, evaluate_pseudonyms, platform.settings, months=months)]


def evaluate_pseudonyms(context: CheckContext, asset: str) -> CheckOutcome:
    """Verify the planted ids and the customer ids of a month."""
    session, month, secrets = context.session, context.required_month, context.platform.secrets
    stored = session.manifest(asset, month.key).extra.get("pseudonym")
    customers = session.read(asset, month.key, columns=["customer_id"])["customer_id"].to_numpy()
    real = context.settings.dataset.real_customers
    # The key is looked up, never made: a check must not invent the key that it verifies with.
    active = secrets.find("pseudonym") if secrets else None
    return pseudonym_keyed(stored, customers, active if real else DEMO_PSEUDONYM_KEY, real=real)


def plain_canaries(_settings: Settings) -> list[Canary]:
    """Return tokens and keys as they must be, and as they must not."""
    key, other = b"k" * 32, b"o" * 32
    tokens = pseudonymise((f"customer:{number}" for number in range(500)), key)
    bare = {
        name: str(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1)
        for name in witness(key)["planted"]
    }

    def canary(
        label: str,
        expects: str | None,
        stored: Mapping[str, Any] | None = None,
        customers: np.ndarray = tokens,
        active: bytes | None = key,
    ) -> Canary:
        kept = witness(key) if stored is None else stored
        return Canary(PSEUDONYM_KEYED, label, expects, lambda: pseudonym_keyed(kept, customers, active, real=True))

    return [
        canary("tokens under the active key", None),
        canary("planted ids under another key", "do not verify", {**witness(other), "key_id": key_id(key)}),
        canary("a retired key", f"active is {key_id(key)}", witness(other)),
        canary("planted ids hashed without a key", "a bare hash: sha256", {**witness(key), "planted": bare}),
        canary(
            "the demo key for real customers", "the demo key", witness(DEMO_PSEUDONYM_KEY), active=DEMO_PSEUDONYM_KEY
        ),
        canary("account numbers for ids", "not spread as tokens", customers=np.arange(500)),
        canary("a month without planted ids", NO_EVIDENCE, {}),
        canary("no key at hand", NO_EVIDENCE, active=None),
    ]


def lake_canaries() -> list[LakeCanary]:
    """Return a month as it was loaded, and with ids of other kinds."""
    return [
        LakeCanary(PSEUDONYM_KEYED, ASSET, "a month as it was loaded"),
        LakeCanary(
            PSEUDONYM_KEYED, ASSET, "row numbers for customer ids", "not spread as tokens", _stored_as(_numbered)
        ),
        LakeCanary(PSEUDONYM_KEYED, ASSET, "a month loaded with another key", "active is", _stored_as(_other_key)),
    ]


def _stored_as(change: Callable[[SmallLake], tuple[Any, dict[str, Any]]]) -> Callable[[SmallLake], None]:
    def poison(small: SmallLake) -> None:
        table, extra = change(small)
        with small.lake.write(ASSET, small.month.key, extra=extra) as out:
            out.write(table)

    return poison


def _numbered(small: SmallLake) -> tuple[Any, dict[str, Any]]:
    table, extra = small.lake.read(ASSET, small.month.key), dict(small.lake.manifest(ASSET, small.month.key).extra)
    index = table.schema.get_field_index("customer_id")
    return table.set_column(index, table.schema.field(index), [np.arange(table.num_rows)]), extra


def _other_key(small: SmallLake) -> tuple[Any, dict[str, Any]]:
    extra = dict(small.lake.manifest(ASSET, small.month.key).extra)
    return small.lake.read(ASSET, small.month.key), {**extra, "pseudonym": witness(b"o" * 32)}


THEME = Theme((PSEUDONYM_KEYED,), _declare, __name__)
