"""Signatures of persons: Ed25519 keys, of which the private half stays with its person and the public half is configured."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from finai_resources.errors import SecretError

KEY_BYTES = 32


def new_private_key() -> bytes:
    """Return a new private key, 32 bytes."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def public_key(private: bytes) -> str:
    """Return the public half of a private key, hexadecimal.

    Raises
    ------
    SecretError
        It is no Ed25519 key.
    """
    return _private(private).public_key().public_bytes_raw().hex()


def sign(private: bytes, message: bytes) -> str:
    """Return the signature of a message, hexadecimal.

    Raises
    ------
    SecretError
        The private key is no Ed25519 key.
    """
    return _private(private).sign(message).hex()


def verifies(public: str, message: bytes, signature: str) -> bool:
    """Return whether a signature is that of the message under a public key; a malformed key or signature never is."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _private(private: bytes) -> Ed25519PrivateKey:
    if len(private) != KEY_BYTES:
        raise SecretError(
            f"a person's key has {KEY_BYTES} bytes, this one has {len(private)}",
            where="FINAI_PERSON_KEY",
            fix="make one by `finai keys new NAME`",
        )
    return Ed25519PrivateKey.from_private_bytes(private)
