"""Bundles by id in the lake, and the log that says which one is challenger, champion and previous.

A bundle's files lie below ``bundles/<id>/`` in the lake, on disk or in S3, so that an older one can be shown, compared, and
taken back. The log ``registry`` is hash-chained and append-only: an entry that moves an alias holds all aliases after it, and is
appended only if no other entry came since the state that it was decided on. ``<home>/bundles/<id>/`` is a copy for the handler.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from finai_resources import objects
from finai_resources.anchors import Anchors
from finai_resources.chained_log import ChainedLog, Entry, Head
from finai_resources.errors import BundleError, PromotionError
from finai_resources.lake import Lake
from finai_resources.whole_file import replace_folder
from serving_lambda.bundle import MANIFEST, SIGNATURE

ALIASES = ("challenger", "champion", "previous")
CHALLENGER, CHAMPION_ALIAS, PREVIOUS = ALIASES
FOLDER, LOG = "bundles", "registry"
SHORTEST_PREFIX = 6  # digits of an id that stand for it


@dataclass(frozen=True)
class Registry:
    """The registry as it stood at a head of its log.

    Parameters
    ----------
    lake : Lake
    head : Head
        A change that is decided on this state is appended after it, or not at all.
    entries : tuple of Entry
    """

    lake: Lake
    head: Head
    entries: tuple[Entry, ...]

    @classmethod
    def read(cls, lake: Lake) -> Registry:
        """Read the log.

        Raises
        ------
        PromotionError
            ``REGISTRY_TAMPERED``: an entry was changed, dropped or moved.
        """
        log = registry_log(lake)
        if faults := log.verify():
            raise PromotionError(
                "REGISTRY_TAMPERED",
                f"entry {faults[0].sequence}: {faults[0].what}",
                where=log.folder,
                fix="restore the log from a backup; until then no alias counts, and nothing is promoted",
            )
        head = log.head()
        return cls(lake, head, tuple(islice(log.entries(), head.count)))

    @property
    def aliases(self) -> dict[str, str]:
        """Return the bundle of each alias that is set."""
        for entry in reversed(self.entries):
            if "aliases" in entry.record:
                return dict(entry.record["aliases"])
        return {}

    @property
    def registrations(self) -> dict[str, Entry]:
        """Return the latest registration of each bundle, in the order of registration."""
        found: dict[str, Entry] = {}
        for entry in self.entries:
            if entry.record["kind"] == "registered":
                found.pop(entry.record["bundle"], None)
                found[entry.record["bundle"]] = entry
        return found

    def of(self, bundle_id: str, *kinds: str) -> list[Entry]:
        """Return the entries of some kinds about a bundle, oldest first."""
        return [
            entry for entry in self.entries if entry.record["kind"] in kinds and entry.record["bundle"] == bundle_id
        ]

    def find(self, name: str) -> str:
        """Return the id of a bundle that is named by an alias, its id, or the id's first digits (6 or more).

        Raises
        ------
        BundleError
            There is no such bundle, or several.
        """
        known = list(self.registrations)
        if name in ALIASES:
            if name not in self.aliases:
                fix = "materialise serving/bundle" if name == CHALLENGER else "`finai promote` makes the first champion"
                raise BundleError(f"no bundle is {name} yet", where="bundle registry", fix=fix)
            return self.aliases[name]
        found = [each for each in known if each == name or (len(name) >= SHORTEST_PREFIX and each.startswith(name))]
        if len(found) != 1:
            near = difflib.get_close_matches(name, [*ALIASES, *known], n=2)
            meant = f"did you mean {' or '.join(near)}? " if near and not found else ""
            raise BundleError(
                f"{'several bundles begin with' if found else 'there is no bundle'} {name!r}",
                where="bundle registry",
                fix=f"{meant}one of {', '.join(ALIASES)}, or an id of `finai bundles list`",
            )
        return found[0]

    def append(self, record: Mapping[str, Any]) -> Entry | None:
        """Append a change that was decided on this state; None where another entry came first, and nothing is changed."""
        return registry_log(self.lake).append_after(self.head, record)


def registry_log(lake: Lake) -> ChainedLog:
    """Return the registry's log; every entry is anchored, so that no promotion or rollback can be dropped."""
    return ChainedLog(lake, LOG, anchors=Anchors.of(lake))


def scoring(lake: Lake) -> str:
    """Return the id of the bundle that scores customers: the champion, and while there is none the challenger.

    Raises
    ------
    BundleError
        No bundle is registered.
    PromotionError
        The registry's log was tampered with.
    """
    registry = Registry.read(lake)
    return registry.find(CHAMPION_ALIAS if CHAMPION_ALIAS in registry.aliases else CHALLENGER)


def is_approved(lake: Lake, bundle_id: str) -> bool:
    """Return whether a bundle is the champion now; it raises what :meth:`Registry.read` raises."""
    return Registry.read(lake).aliases.get(CHAMPION_ALIAS) == bundle_id


def note(lake: Lake, record: Mapping[str, Any]) -> Entry:
    """Append an entry that moves no alias, whatever came before it."""
    return registry_log(lake).append(record)


def register(lake: Lake, files: Mapping[str, bytes], lineage: Mapping[str, str]) -> str:
    """Store a bundle's files by id and make it the challenger; return its id. What is registered already is left alone.

    Parameters
    ----------
    files
        By name, ``manifest.json`` among them.
    lineage
        Address of each partition that it was made from -> content hash.

    Raises
    ------
    BundleError
        The files hold no manifest with an id.
    PromotionError
        The log was tampered with.
    """
    bundle_id = id_of(files)
    for name in sorted(files, key=lambda name: name == MANIFEST):  # last: a bundle without it is not there
        path = _path(lake, bundle_id, name)
        if objects.get(lake, path) != files[name]:
            objects.put(lake, path, files[name])
    while True:  # another promoter's entry between reading and writing: look again
        registry = Registry.read(lake)
        known = registry.registrations.get(bundle_id)
        same = known is not None and known.record["lineage"] == dict(lineage)
        if same and registry.aliases.get(CHALLENGER) == bundle_id:
            return bundle_id
        aliases = {**registry.aliases, CHALLENGER: bundle_id}
        record = {"kind": "registered", "bundle": bundle_id, "lineage": dict(lineage), "aliases": aliases}
        if registry.append(record) is not None:
            return bundle_id


def fetch(lake: Lake, bundle_id: str) -> dict[str, bytes]:
    """Return a bundle's stored files by name; one that is gone is left out.

    Raises
    ------
    BundleError
        The bundle is gone, or its manifest cannot be read.
    """
    manifest = objects.get(lake, _path(lake, bundle_id, MANIFEST)) or b""
    listed = [*_parsed(lake, bundle_id, manifest)["files"], SIGNATURE]
    found = objects.get_all(lake, [_path(lake, bundle_id, name) for name in listed])
    stored = {name: content for name, content in zip(listed, found, strict=True) if content is not None}
    return {MANIFEST: manifest, **stored}


def manifest_of(lake: Lake, bundle_id: str) -> dict[str, Any]:
    """Return a bundle's manifest as it is stored, unverified.

    Raises
    ------
    BundleError
        The bundle is gone, or its manifest cannot be read.
    """
    return _parsed(lake, bundle_id, objects.get(lake, _path(lake, bundle_id, MANIFEST)) or b"")


def _parsed(lake: Lake, bundle_id: str, manifest: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(manifest)
        return {**parsed, "files": dict(parsed["files"])}
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(
            f"the bundle {bundle_id} is gone or its manifest is damaged",
            where=f"{lake.root}/{FOLDER}/{bundle_id}",
            fix="restore the folder from a backup, or choose another bundle",
        ) from error


def id_of(files: Mapping[str, bytes]) -> str:
    """Return the id that a bundle's manifest names.

    Raises
    ------
    BundleError
        The files hold no manifest with an id.
    """
    try:
        return str(json.loads(files[MANIFEST])["bundle_id"])
    except (KeyError, ValueError, TypeError) as error:
        raise BundleError(
            "these files are no bundle: there is no manifest with a bundle_id",
            where="bundle export",
            fix="materialise serving/bundle",
        ) from error


def export(files: Mapping[str, bytes], home: Path) -> Path:
    """Write a bundle's files to ``<home>/bundles/<bundle_id>/``; the folder appears whole.

    A folder of that id which is there already is kept if it holds the same bytes, and replaced if it was damaged.

    Raises
    ------
    BundleError
        The files hold no manifest with an id.
    """
    target = home / FOLDER / id_of(files)
    replace_folder(target, files)
    return target


def resolve(lake: Lake, home: Path, name: str) -> Path:
    """Return the folder in the home of the bundle that an alias or an id names; it is exported where it is absent or damaged.

    Parameters
    ----------
    name
        ``champion``, ``challenger``, ``previous``, an id, or an id's first digits.

    Raises
    ------
    BundleError
        There is no such bundle, or its files are gone from the lake.
    PromotionError
        The registry's log was tampered with.
    """
    bundle_id = Registry.read(lake).find(name)
    folder = home / FOLDER / bundle_id
    manifest = objects.get(lake, _path(lake, bundle_id, MANIFEST))
    if manifest is None or not _holds(folder, manifest):
        return export(fetch(lake, bundle_id), home)
    return folder


def _holds(folder: Path, manifest: bytes) -> bool:
    """Return whether a folder holds a bundle whole, by the hashes in its manifest."""
    try:
        listed = json.loads(manifest)["files"]
        return (folder / MANIFEST).read_bytes() == manifest and all(
            hashlib.sha256((folder / name).read_bytes()).hexdigest() == entry["sha256"]
            for name, entry in listed.items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _path(lake: Lake, bundle_id: str, name: str) -> str:
    return f"{lake.root}/{FOLDER}/{bundle_id}/{name}"
