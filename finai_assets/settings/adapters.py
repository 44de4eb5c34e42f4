"""The adapters that a data set may name: those of the product, and those that installed packages bring.

A package brings an adapter by an entry point of the group ``finai.adapters``: its name is what ``dataset.adapter`` says, its
object the class, called with the settings, the pseudonym key and the lake's session (finai_assets/ingest/adapter.py).
"""

from __future__ import annotations

import difflib
from importlib.metadata import entry_points

from finai_resources.errors import ConfigError

GROUP = "finai.adapters"
# By path, so that a data set imports, and is versioned by, its own adapter alone.
SHIPPED = {
    "synthetic": "finai_assets.ingest.adapter:SyntheticAdapter",
    "tables": "finai_assets.ingest.tables.adapter:TablesAdapter",
}


def known_adapters() -> dict[str, str]:
    """Return ``module:class`` of every adapter, by name.

    Raises
    ------
    ConfigError
        An installed package brings an adapter under a name that is taken.
    """
    known = dict(SHIPPED)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        value = f"{entry.module}:{entry.attr}"
        if known.setdefault(entry.name, value) != value:
            owner = entry.dist.name if entry.dist is not None else "an installed package"
            raise ConfigError(
                f"two adapters are named {entry.name!r}: {known[entry.name]} and {value}",
                where=f"entry points {GROUP} of {owner}",
                fix="rename one of them, or uninstall its package",
            )
    return known


def require_known(name: str) -> str:
    """Return the name of an adapter that exists.

    Raises
    ------
    ValueError
        There is none of this name; the text names near ones.
    """
    known = known_adapters()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=2)
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        raise ValueError(f"{meant}known adapters: {', '.join(sorted(known))}; a package adds one under {GROUP}")
    return name
