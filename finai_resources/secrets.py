"""Keys, from the environment or from a private file in the home folder. Values never reach a log or an error.

A key that is in neither place is made at random on first use and kept in ``<home>/secrets.json`` (mode 0600); there is no
default key. Only the synthetic panel, which holds nobody's data, may use the published demo pseudonym key.
"""

from __future__ import annotations

import json
import os
import secrets as randomness
from pathlib import Path

from finai_resources.errors import SecretError
from finai_resources.json_text import to_json
from finai_resources.whole_file import replace_file

DEMO_PSEUDONYM_KEY = b"finai-demo-pseudonym-key-for-synthetic-customers-only"
MINIMUM_BYTES = 16


class SecretStore:
    """Named keys of one installation.

    Parameters
    ----------
    home
        The folder that holds ``secrets.json``.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / "secrets.json"

    def key(self, name: str) -> bytes:
        """Return the key ``FINAI_<NAME>_KEY`` (hexadecimal), from the environment or the private file.

        Raises
        ------
        SecretError
            The key is not hexadecimal or is shorter than 16 bytes, or the file is readable by others.
        """
        variable = f"FINAI_{name.upper()}_KEY"
        text = os.environ.get(variable)
        where = f"environment variable {variable}"
        if text is None:
            text, where = self._from_file(variable), f"{self.path}: {variable}"
        try:
            value = bytes.fromhex(text)
        except ValueError:
            raise SecretError(
                "the key is not hexadecimal", where=where, fix="set it to `openssl rand -hex 32`"
            ) from None
        if len(value) < MINIMUM_BYTES:
            raise SecretError(
                f"the key has {len(value)} bytes, at least {MINIMUM_BYTES} are needed",
                where=where,
                fix="set it to `openssl rand -hex 32`",
            )
        return value

    def present(self, name: str) -> bytes:
        """Return a key that has to be there, as what it made is stored; unlike :meth:`key` this makes none.

        Raises
        ------
        SecretError
            There is no such key.
        """
        found = self.find(name)
        if found is None:
            raise SecretError(
                f"the {name} key that the stored data were made with is not at hand",
                where=str(self.path),
                fix=f"put the file back, or set FINAI_{name.upper()}_KEY to that key",
            )
        return found

    def find(self, name: str) -> bytes | None:
        """Return a key, or None where there is none; unlike :meth:`key` it makes none."""
        variable = f"FINAI_{name.upper()}_KEY"
        if variable in os.environ or variable in self._stored():
            return self.key(name)
        return None

    def names(self, prefix: str) -> list[str]:
        """Return the names of the keys in the private file that begin with a prefix, ascending."""
        variables = (name.removeprefix("FINAI_").removesuffix("_KEY").lower() for name in self._stored())
        return sorted(name for name in variables if name.startswith(prefix))

    def put(self, name: str, value: bytes) -> None:
        """Store a new key in the private file (mode 0600).

        Raises
        ------
        SecretError
            There is a key of that name.
        """
        variable, stored = f"FINAI_{name.upper()}_KEY", self._stored()
        if variable in stored:
            raise SecretError(
                "there is a key of that name, and what it signed could not be verified without it",
                where=f"{self.path}: {variable}",
                fix="choose another name, or remove the line from the file",
            )
        replace_file(self.path, to_json({**stored, variable: value.hex()}), mode=0o600)

    def _from_file(self, variable: str) -> str:
        stored = self._stored()
        if variable not in stored:
            stored[variable] = randomness.token_hex(32)
            replace_file(self.path, to_json(stored), mode=0o600)
        return stored[variable]

    def _stored(self) -> dict[str, str]:
        if not self.path.exists():
            return {}
        if self.path.stat().st_mode & 0o077:
            raise SecretError("others may read the file", where=str(self.path), fix=f"chmod 600 {self.path}")
        return dict(json.loads(self.path.read_text(encoding="utf-8")))
