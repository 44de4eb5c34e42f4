"""Keyed tokens in place of a source's own customer identifiers; nothing else of an identifier enters the lake."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any

import numpy as np

from finai_assets.settings import Settings
from finai_resources.errors import ContractError, SecretError
from finai_resources.secrets import DEMO_PSEUDONYM_KEY, SecretStore

# int64 holds no unsigned 64-bit number, so the sign bit is dropped and 63 bits of the digest remain.
_NON_NEGATIVE = (1 << 63) - 1
# Identifiers of no customer. Their tokens are stored with each month, so that a check can verify how tokens were made.
PLANTED = tuple(f"planted:{number}" for number in range(1, 9))


def pseudonymise(identifiers: Iterable[str], key: bytes) -> np.ndarray:
    """Replace identifiers by the first 63 bits of their HMAC-SHA256 under a secret key (RFC 2104).

    Parameters
    ----------
    identifiers : iterable of str, n of them
        What the source calls its customers; the same identifier gets the same token each time.
    key : bytes
        From the secret store. Without it a token can't be recomputed from a guessed identifier.

    Returns
    -------
    int64 [n]
        Tokens in the order of the identifiers, never negative.

    Raises
    ------
    ContractError
        Two different identifiers share a token (one chance in 10^9 at 100,000 customers).
    """
    owner: dict[int, str] = {}
    tokens = []
    for identifier in identifiers:
        digest = hmac.new(key, identifier.encode(), hashlib.sha256).digest()
        token = int.from_bytes(digest[:8], "big") & _NON_NEGATIVE
        if owner.setdefault(token, identifier) != identifier:
            raise ContractError(
                f"two different customers got the same pseudonym {token}",
                where="customer_id",
                fix="choose another pseudonym key and ingest every month again",
            )
        tokens.append(token)
    return np.array(tokens, dtype=np.int64)


def key_id(key: bytes) -> str:
    """Return the public name of a key: 16 hexadecimal digits that reveal nothing about it."""
    return hmac.new(key, b"finai pseudonym key id", hashlib.sha256).hexdigest()[:16]


def witness(key: bytes) -> dict[str, Any]:
    """Return evidence of the key and the method behind a month's tokens: the key's id, and the tokens of :data:`PLANTED`."""
    tokens = pseudonymise(PLANTED, key)
    return {"key_id": key_id(key), "planted": {name: str(token) for name, token in zip(PLANTED, tokens, strict=True)}}


def pseudonym_key(settings: Settings, secrets: SecretStore) -> bytes:
    """Return the key that customer ids are tokenised with; the published demo key only for customers who do not exist."""
    if not settings.dataset.real_customers:
        return DEMO_PSEUDONYM_KEY
    key = secrets.key("pseudonym")
    if key == DEMO_PSEUDONYM_KEY:
        raise SecretError(
            "the demo pseudonym key may not be used for real customers",
            where="FINAI_PSEUDONYM_KEY",
            fix="set it to `openssl rand -hex 32`",
        )
    return key
