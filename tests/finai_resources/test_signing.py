"""Signatures of persons: what was signed verifies under the signer's key, and nothing else does."""

from __future__ import annotations

import pytest

from finai_resources.errors import SecretError
from finai_resources.signing import new_private_key, public_key, sign, verifies


def test_a_signature_verifies_for_its_message_and_key_alone() -> None:
    private, other = new_private_key(), new_private_key()
    value = sign(private, b"promote b2")
    assert verifies(public_key(private), b"promote b2", value)
    assert not verifies(public_key(private), b"promote b3", value)
    assert not verifies(public_key(other), b"promote b2", value)
    assert not verifies(public_key(private), b"promote b2", sign(other, b"promote b2"))


@pytest.mark.parametrize(("key", "value"), [("", "00"), ("kim", "00"), ("ab" * 31, "00" * 64), ("ab" * 32, "kim")])
def test_a_malformed_key_or_signature_never_verifies(key: str, value: str) -> None:
    assert not verifies(key, b"message", value)


def test_the_published_vector_of_rfc_8032_is_reproduced() -> None:
    private = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    assert public_key(private) == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert sign(private, b"").startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")


def test_a_key_of_another_length_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SecretError, match="32 bytes"):
        public_key(bytes(16))
