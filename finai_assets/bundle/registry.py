"""Bundles on this machine: exported folders, and the aliases that say which one is challenger and which champion."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from finai_resources.errors import BundleError
from finai_resources.json_text import to_json
from finai_resources.whole_file import replace_file, replace_folder

Alias = Literal["challenger", "champion"]
ALIASES: tuple[Alias, ...] = ("challenger", "champion")
FOLDER, ALIAS_FILE = "bundles", "aliases.json"


def export(files: Mapping[str, bytes], home: Path) -> Path:
    """Write a bundle's files to ``<home>/bundles/<bundle_id>/``; the folder appears whole.

    A folder of that id which is there already is kept if it holds the same bytes, and replaced if it was damaged.

    Raises
    ------
    BundleError
        The files hold no manifest with an id.
    """
    try:
        bundle_id = json.loads(files["manifest.json"])["bundle_id"]
    except (KeyError, ValueError) as error:
        raise BundleError(
            "these files are no bundle: there is no manifest with a bundle_id",
            where="bundle export",
            fix="materialise serving/bundle",
        ) from error
    target = home / FOLDER / str(bundle_id)
    replace_folder(target, files)
    return target


def set_alias(home: Path, alias: Alias, bundle_id: str) -> None:
    """Point an alias at an exported bundle; readers see the old or the new one, never half.

    Raises
    ------
    BundleError
        The alias or the bundle does not exist.
    """
    _known(alias)
    if not (home / FOLDER / bundle_id / "manifest.json").is_file():
        raise BundleError(
            f"there is no bundle {bundle_id!r}", where=str(home / FOLDER), fix="choose one of the folders there"
        )
    aliases = {**_aliases(home), alias: bundle_id}
    replace_file(home / FOLDER / ALIAS_FILE, to_json(aliases, indent=1, sort_keys=True))


def resolve(home: Path, alias: Alias) -> Path:
    """Return the folder that an alias points at.

    Raises
    ------
    BundleError
        The alias was never set, or its bundle is gone.
    """
    _known(alias)
    bundle_id = _aliases(home).get(alias)
    if bundle_id is None:
        raise BundleError(f"no bundle is {alias} yet", where=str(home / FOLDER), fix="materialise serving/bundle")
    target = home / FOLDER / bundle_id
    if not (target / "manifest.json").is_file():
        raise BundleError(f"the {alias} bundle {bundle_id} is gone", where=str(target), fix="export it again")
    return target


def _known(alias: str) -> None:
    if alias not in ALIASES:
        raise BundleError(f"there is no alias {alias!r}", where="bundle registry", fix=f"one of {', '.join(ALIASES)}")


def _aliases(home: Path) -> dict[str, str]:
    path = home / FOLDER / ALIAS_FILE
    try:
        aliases: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BundleError(
            f"the file is damaged ({error})", where=str(path), fix="delete it and set the aliases again"
        ) from error
    return aliases
