"""Lineage of a bundle: every stored partition that it was made from, directly or through others, with its content then."""

from __future__ import annotations

from collections.abc import Iterable

from finai_resources.lake import Lake
from finai_resources.manifest import Manifest, address


def lineage_of(lake: Lake, asset: str, also: Iterable[str] = ()) -> dict[str, str]:
    """Return the contents that an asset without months is made from, its own included.

    The upstream of a partition is told by its manifest. One whose content has changed since is listed with the content that was
    read, and is not followed: nobody knows what that content was made from.

    Parameters
    ----------
    also
        Assets without months whose checks stand for the asset, though it does not read them.

    Returns
    -------
    dict
        Address of a partition -> its content hash; the later of two readers counts where they read different contents.

    Raises
    ------
    LakeError
        The asset, or one of ``also``, is not stored.
    """
    waiting = [lake.manifest(name) for name in (asset, *also)]
    found = {address(manifest.asset, manifest.partition): manifest.content_hash for manifest in waiting}
    while waiting:
        upstream = {name: content for manifest in waiting for name, content in manifest.upstream.items()}
        new = {name: content for name, content in upstream.items() if name not in found}
        found |= new
        read = lake.each(lambda name: _find(lake, name), new)
        waiting = [manifest for manifest in read if manifest and manifest.content_hash == new[_name(manifest)]]
    return found


def _find(lake: Lake, name: str) -> Manifest | None:
    asset, _, month = name.partition("@")
    return lake.find(asset, month or None)


def _name(manifest: Manifest) -> str:
    return address(manifest.asset, manifest.partition)
