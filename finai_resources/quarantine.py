"""Damaged partitions: their manifest is put aside with a reason, so that they count as absent and are computed again.

A partition whose manifest is aside holds ``_damaged.json`` instead: the reason, and the manifest's text. The next write of the
partition removes it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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

    def __str__(self) -> str:
        return f"{address(self.asset, self.partition)}: {self.file}: {self.what}"


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
        content = to_json({"reason": reason, "manifest": text}, indent=1)
        if lake.is_local:
            replace_file(Path(folder) / DAMAGED, content, durable=False)
        else:
            with lake.fs.open_output_stream(f"{folder}/{DAMAGED}") as sink:
                sink.write(content)
        lake.fs.delete_file(f"{folder}/{MANIFEST}")


def reason_of(lake: Lake, asset: str, partition: str | None) -> str | None:
    """Return why a partition's manifest is aside; None where it is not."""
    path = f"{lake.folder(asset, partition)}/{DAMAGED}"
    try:
        with lake.fs.open_input_stream(path) as stream:
            return str(json.loads(stream.read())["reason"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return "its stored files were found damaged"
