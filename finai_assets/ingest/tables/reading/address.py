"""The URL of a database: variables of the environment put in, and nothing of a password in anything that is shown."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from finai_resources.errors import ConfigError
from finai_resources.printable import excerpt

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PARTS = re.compile(r"^(?P<scheme>[^:/]*://)(?P<user>[^/]*@)?(?P<rest>.*)$", re.DOTALL)
_SECRET_KEY = re.compile(r"pass|pwd|secret|token|key|odbc_connect", re.IGNORECASE)
IN_FILES = ("sqlite", "duckdb")  # databases that are one file


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is.

    Parameters
    ----------
    file
        Of a database that is one file.
    shown
        The address without user, password and options.
    """

    url: URL
    file: Path | None
    shown: str
    secrets: tuple[str, ...]

    @classmethod
    def of(cls, text: str, folder: Path | None, *, where: str) -> Address:
        """Read a URL as the settings have it.

        Raises
        ------
        ConfigError
            It is no URL, holds a password, or names a variable that is not set.
        """
        _refuse_password(text, where)
        secrets: list[str] = []
        whole = _filled(text, secrets, where)
        try:
            url = make_url(whole)
        except (ArgumentError, ValueError):
            raise ConfigError(
                f"{_VARIABLE.sub('***', text.rsplit('@', 1)[-1])!r} is no URL of a database",
                where=where,
                fix="write dialect://user:${PASSWORD}@host/database, or sqlite:///file.db",
            ) from None
        secrets += [value for value in (url.password, url.username if "@" in whole else None) if isinstance(value, str)]
        secrets += [str(value) for key, value in url.query.items() if _SECRET_KEY.search(key)]
        file = None
        if url.get_backend_name() in IN_FILES:
            if not url.database or url.database == ":memory:":
                raise ConfigError("the URL names no file", where=where, fix="write sqlite:///file.db")
            named = Path(url.database).expanduser()
            file = named if named.is_absolute() or folder is None else folder / named
        port = f":{url.port}" if url.port else ""
        shown = str(file) if file else f"{url.get_backend_name()}://{url.host or ''}{port}/{url.database or ''}"
        forms = {form for secret in secrets if secret for form in (secret, quote(secret, safe=""), quote_plus(secret))}
        return cls(url, file, excerpt(shown, 400), tuple(sorted(forms, key=len, reverse=True)))

    def scrubbed(self, text: str) -> str:
        """Return a text in which nothing that the URL keeps secret is left."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def _refuse_password(text: str, where: str) -> None:
    parts = _PARTS.match(text)
    user = parts["user"] if parts else None
    stated = bool(user) and bool(_VARIABLE.sub("", (user or "").removesuffix("@").partition(":")[2]))
    options = re.findall(r"[?&]([^=&]+)=([^&]*)", text)
    if stated or any(_SECRET_KEY.search(key) and _VARIABLE.sub("", value) for key, value in options):
        raise ConfigError(
            "a password stands in the settings",
            where=where,
            fix="write ${NAME} in its place, and set the variable NAME in the environment",
        )


def _filled(text: str, secrets: list[str], where: str) -> str:
    """Return the URL with the values of its variables; those before the ``@`` may hold any letters."""

    def value(found: re.Match[str], *, quoted: bool) -> str:
        given = os.environ.get(found[1])
        if given is None:
            raise ConfigError(
                f"the variable {found[1]} is not set", where=where, fix=f"set {found[1]} in the environment"
            )
        if quoted:
            secrets.append(given)
        return quote(given, safe="") if quoted else given

    parts = _PARTS.match(text)
    if parts is None:
        return _VARIABLE.sub(lambda found: value(found, quoted=False), text)
    user = _VARIABLE.sub(lambda found: value(found, quoted=True), parts["user"] or "")
    rest = _VARIABLE.sub(lambda found: value(found, quoted=False), parts["rest"])
    return parts["scheme"] + user + rest
