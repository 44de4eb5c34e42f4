"""Damaged partitions: their manifest is put aside with a reason, so that they count as absent and are computed again.

A partition whose manifest is aside holds ``_damaged.json`` instead: the reason, and the manifest's text. The next write of the
partition removes it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finai_resources.errors import LakeError
from finai_resources.json_text import to_json
from finai_resources.manifest import MANIFEST, Manifest, address
from finai_resources.whole_file import replace_file

if TYPE_CHECKING:
    from finai_resources.lake import Lake

DAMAGED = "_damaged.json"


@dataclass(frozen=True, slots=True)
class Damage:
    """A damaged file of a partition, and what is wrong with it, in words."""

    asset: str
    partition: str | None
    file: str
    what: str

    @property
    def address(self) -> str:
        """Return the name of the partition."""
        return address(self.asset, self.partition)

    def __str__(self) -> str:
        return f"{self.address}: {self.file}: {self.what}"


def damaged(lake: Lake, manifest: Manifest, path: str, what: str) -> LakeError:
    """Put a partition aside of which a file was found damaged, and return the error that says so.

    Nothing is put aside where the partition was written anew while it was read: then the damage is not that of what is there now.
    """
    name = address(manifest.asset, manifest.partition)
    try:
        now = lake.find(manifest.asset, manifest.partition)
    except LakeError:
        now = manifest  # its manifest is damaged too
    if now is not None and now.content_hash != manifest.content_hash:
        return LakeError(f"{name} was written anew while it was read ({what})", where=path, fix="ask again")
    fix = f"`finai run` computes {name} again"
    try:
        put_aside(lake, [Damage(manifest.asset, manifest.partition, path.rpartition("/")[2], what)])
    except OSError as error:
        fix = f"the partition could not be put aside ({error}): delete {path.rpartition('/')[0]}, then {fix}"
    return LakeError(f"a file of {name} is damaged: {what}", where=path, fix=fix)


def put_aside(lake: Lake, found: list[Damage]) -> None:
    """Put the manifests of the partitions of some damages aside, with their reasons.

    Raises
    ------
    OSError
        The lake cannot be written.
    """
    by_partition: dict[tuple[str, str | None], list[Damage]] = {}
    for damage in found:
        by_partition.setdefault((damage.asset, damage.partition), []).append(damage)
    for (asset, partition), damages in by_partition.items():
        folder = lake.folder(asset, partition)
        try:
            with lake.fs.open_input_stream(f"{folder}/{MANIFEST}") as stream:
                text = stream.read().decode(errors="replace")
        except FileNotFoundError:
            continue  # it is aside, or another process has just done it
        reason = "; ".join(f"{damage.file}: {damage.what}" for damage in damages)
        _store(lake, folder, {"reason": reason, "manifest": text})
        try:
            lake.fs.delete_file(f"{folder}/{MANIFEST}")
        except FileNotFoundError:
            continue  # another process has just done it


def reason_of(lake: Lake, asset: str, partition: str | None) -> str | None:
    """Return why a partition's manifest is aside; None where it is not."""
    found = _stored(lake, asset, partition)
    return None if found is None else str(found.get("reason", "its stored files were found damaged"))


def is_told(lake: Lake, asset: str, partition: str | None) -> bool:
    """Return whether the evidence log tells of a partition that is aside."""
    return "evidence" in (_stored(lake, asset, partition) or {})


def note_told(lake: Lake, asset: str, partition: str | None, sequence: int) -> None:
    """Note with a partition that is aside which entry of the evidence log tells of it."""
    found = _stored(lake, asset, partition)
    if found is not None:
        _store(lake, lake.folder(asset, partition), {**found, "evidence": sequence})


def _stored(lake: Lake, asset: str, partition: str | None) -> dict[str, Any] | None:
    try:
        with lake.fs.open_input_stream(f"{lake.folder(asset, partition)}/{DAMAGED}") as stream:
            found = json.loads(stream.read())
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _store(lake: Lake, folder: str, content: dict[str, Any]) -> None:
    text = to_json(content, indent=1)
    if lake.is_local:
        replace_file(Path(folder) / DAMAGED, text, durable=False)
        return
    with lake.fs.open_output_stream(f"{folder}/{DAMAGED}") as sink:
        sink.write(text)
