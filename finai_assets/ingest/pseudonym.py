"""Keyed tokens in place of a source's own customer identifiers; nothing else of an identifier enters the lake."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

import numpy as np

from finai_resources.errors import ContractError

# int64 holds no unsigned 64-bit number, so the sign bit is dropped and 63 bits of the digest remain.
_NON_NEGATIVE = (1 << 63) - 1


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
