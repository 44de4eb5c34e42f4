"""Code versions: a hash of the source of the rooms that an asset is computed by, so that a change of code shows as stale."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parent


@cache
def code_version(*rooms: str, without: tuple[str, ...] = ()) -> str:
    """Return a short hash of all modules and YAML files of some rooms, e.g. ``code_version("features", "labels")``.

    Doors (``assets.py``) are left out: they load and store, and compute nothing. A room may be a module (``metrics``) or a
    package beside this one (``../serving_lambda``). Packages of a room that the asset does without are left out.
    """
    digest = hashlib.sha256()
    absent = tuple((_ROOT / room).resolve() for room in without)
    for room in rooms:
        path = (_ROOT / room).resolve()
        files = sorted([*path.rglob("*.py"), *path.rglob("*.yaml")]) if path.is_dir() else [path.with_suffix(".py")]
        for file in files:
            if file.name != "assets.py" and not any(folder in file.parents for folder in absent):
                digest.update(file.relative_to(_ROOT.parent).as_posix().encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
