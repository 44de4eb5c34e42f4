"""Removes digests from stored JSON files at the places where the schema has one.

A digest of 16 hexadecimal digits has no form of its own: one in 1,800 is all digits, and a tenth of those pass for card
numbers. The bundle's schema says where such digests stand (``finai_assets/bundle/build.py``). A value is taken out only if it
also has the form: as many hexadecimal digits as the schema says, and nothing else.

So a card number of 16 digits in one of the two places of 16 (a key's id, the settings' digest) would not be found. To report it
would block one installation in 18,000 for good, whose key has such an id; and nothing but a hash is ever written there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from finai_assets.asset_graph import BUNDLE

EVERY = "*"  # in a path: every key

Path = tuple[str, ...]
# Asset and file -> path of keys -> hexadecimal digits.
PLACES: Mapping[tuple[str, str], Mapping[Path, int]] = {
    (BUNDLE, "manifest.json"): {
        ("bundle_id",): 32,
        ("files", EVERY, "sha256"): 64,
        ("versions", "code"): 12,
        ("versions", "config"): 16,
        ("versions", "data"): 64,
    },
    (BUNDLE, "signature.json"): {("key_id",): 16, ("mac",): 64},
}
_HEXADECIMAL = re.compile(r"[0-9a-f]+")


def without_known_digests(asset: str, file: str, content: Any) -> Any:
    """Return a file's JSON value without the digests at known places; a value without a digest's form stays.

    Examples
    --------
    >>> without_known_digests(BUNDLE, "signature.json", {"key_id": "4111111111111111", "mac": "900101-1234567"})
    {'mac': '900101-1234567'}
    """
    places = PLACES.get((asset, file), {})
    for path, digits in places.items():
        content = _without(content, path, digits)
    return content


def _without(content: Any, path: Path, digits: int) -> Any:
    """Return a value without the digests at a path."""
    if not isinstance(content, Mapping):
        return content
    key, rest = path[0], path[1:]
    if rest:
        return {
            name: _without(value, rest, digits) if key in (EVERY, name) else value for name, value in content.items()
        }
    return {name: value for name, value in content.items() if name != key or not _is_digest(value, digits)}


def _is_digest(value: Any, digits: int) -> bool:
    return isinstance(value, str) and len(value) == digits and _HEXADECIMAL.fullmatch(value) is not None
