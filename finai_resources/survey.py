"""A look at every partition of a lake: whether its manifest can be read, and its files are there as the manifest lists them."""

from __future__ import annotations

from dataclasses import dataclass

from finai_resources.errors import LakeError
from finai_resources.finding import Finding
from finai_resources.lake import Lake
from finai_resources.manifest import MANIFEST, Manifest
from finai_resources.progress import report_progress
from finai_resources.quarantine import DAMAGED, Damage, reason_of
from finai_resources.stored_bytes import every_fault, faults_at_a_glance


@dataclass(frozen=True, slots=True)
class Survey:
    """What a look at the partitions of a lake found.

    Parameters
    ----------
    manifests : tuple of Manifest
        Those that can be read.
    damages : tuple of Damage
        What is wrong with the partitions that a reader would still find.
    aside : tuple of Damage
        What was found wrong earlier with partitions that have not been computed again since.
    """

    manifests: tuple[Manifest, ...]
    damages: tuple[Damage, ...]
    aside: tuple[Damage, ...]


def survey(lake: Lake, *, deep: bool = False) -> Survey:
    """Look at every partition of a lake. Its progress is reported.

    Parameters
    ----------
    deep
        Whether every file is hashed; otherwise the files' presence and their sizes are looked at, and none is read.
    """
    places = [(asset, partition) for asset in lake.assets() for partition in lake.keys(asset)]
    manifests, damages, aside = [], [], []
    if deep:
        looked = []
        for done, place in enumerate(places):
            looked.append(_examine(lake, place, deep=True))
            report_progress("partitions verified", done + 1, len(places))
    else:
        looked = lake.each(lambda place: _examine(lake, place, deep=False), places)
    for manifest, found, earlier in looked:
        manifests += [manifest] if manifest else []
        damages += found
        aside += earlier
    return Survey(tuple(manifests), tuple(damages), tuple(aside))


def _examine(
    lake: Lake, place: tuple[str, str | None], *, deep: bool
) -> tuple[Manifest | None, list[Damage], list[Damage]]:
    asset, partition = place
    while True:
        try:
            manifest = lake.find(asset, partition)
        except LakeError as error:
            return None, [Damage(asset, partition, MANIFEST, error.what)], []
        if manifest is None:
            reason = reason_of(lake, asset, partition)
            return None, [], [Damage(asset, partition, DAMAGED, reason)] if reason else []
        faults = every_fault(lake, manifest) if deep else faults_at_a_glance(lake, manifest)
        if not faults or _is_still(lake, manifest):
            return manifest, [Damage(asset, partition, stored.name, what) for stored, what in faults], []


def _is_still(lake: Lake, manifest: Manifest) -> bool:
    """Return whether a partition was not written anew, its old files removed, while it was looked at."""
    try:
        return lake.find(manifest.asset, manifest.partition) == manifest
    except LakeError:
        return True


def told(found: Survey, how: str) -> list[Finding]:
    """Return what is wrong with the partitions of a lake, or their count where nothing is.

    Parameters
    ----------
    how : str
        What each file was looked at for.
    """
    if damages := [*found.damages, *found.aside]:
        return [Finding("wrong", "lake", str(each), f"`finai run` computes {each.address} again") for each in damages]
    files, size = sum(len(m.files) for m in found.manifests), sum(m.bytes for m in found.manifests)
    counted = f"{len(found.manifests)} partitions, {files:,} files, {size / 2**20:,.0f} MiB, each {how}"
    return [Finding("ok", "lake", counted)]
