"""Pseudonyms: keyed, stable, never negative, and never shared by two customers."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finai_assets.ingest import pseudonym
from finai_assets.ingest.pseudonym import pseudonymise
from finai_resources.errors import ContractError

KEY, OTHER_KEY = b"k" * 32, b"o" * 32


@given(st.lists(st.text(), unique=True, max_size=30))
def test_tokens_are_distinct_and_non_negative_whatever_the_identifiers(identifiers: list[str]) -> None:
    tokens = pseudonymise(identifiers, KEY)
    assert tokens.dtype == np.int64
    assert len(set(tokens.tolist())) == len(identifiers)
    assert (tokens >= 0).all()


def test_the_same_identifier_gets_the_same_token_and_order_is_kept() -> None:
    a, b, again = pseudonymise(["a", "b", "a"], KEY).tolist()
    assert a == again != b
    assert pseudonymise(["b"], KEY).tolist() == [b]


def test_another_key_gives_other_tokens() -> None:
    names = [str(n) for n in range(50)]
    assert not set(pseudonymise(names, KEY).tolist()) & set(pseudonymise(names, OTHER_KEY).tolist())


def test_a_token_is_not_the_bare_hash_of_the_identifier() -> None:
    bare = int.from_bytes(hashlib.sha256(b"4711").digest()[:8], "big") & ((1 << 63) - 1)
    keyed_by_nothing = int.from_bytes(hashlib.sha256(KEY + b"4711").digest()[:8], "big") & ((1 << 63) - 1)
    assert pseudonymise(["4711"], KEY)[0] not in (bare, keyed_by_nothing)


def test_a_known_token_pins_the_byte_order() -> None:
    # HMAC-SHA256 test case 2 of RFC 4231: key "Jefe", digest 5bdcc146bf60754e...
    assert pseudonymise(["what do ya want for nothing?"], b"Jefe")[0] == 0x5BDCC146BF60754E


def test_a_collision_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pseudonym, "_NON_NEGATIVE", 0b111)  # eight tokens for nine customers
    with pytest.raises(ContractError, match="same pseudonym"):
        pseudonymise([str(n) for n in range(9)], KEY)
