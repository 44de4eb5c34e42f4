"""C16, provenance: a walk from a stored partition up to raw tables, along the hashes that manifests recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from finai_assets.asset_graph import is_raw
from finai_checks.framework.check import CheckOutcome
from finai_resources.manifest import Manifest

SHOWN = 6

Find = Callable[[str], Manifest | None]
Required = Callable[[str], Iterable[str]]


class Provenance:
    """A walk over manifests; each partition is looked up once.

    Parameters
    ----------
    find
        Returns the manifest that is stored now at an address (``features/demographics@2015-01``), or None.
    required
        Returns the addresses that the partition at an address must have been made from; any other recorded one is checked too.
    """

    def __init__(self, find: Find, required: Required) -> None:
        self._find, self._required = find, required
        self._manifests: dict[str, Manifest | None] = {}
        self._faults: dict[str, tuple[str, ...]] = {}
        self._reached: dict[str, frozenset[str]] = {}

    def manifest(self, address: str) -> Manifest | None:
        """Return the manifest that is stored now, or None."""
        if address not in self._manifests:
            self._manifests[address] = self._find(address)
        return self._manifests[address]

    def faults(self, address: str) -> tuple[str, ...]:
        """Return the faults between a partition and the raw tables behind it, in words."""
        if address not in self._faults:
            self._faults[address] = ()  # a partition made from itself ends the walk
            self._faults[address] = tuple(dict.fromkeys(self._look(address)))
        return self._faults[address]

    def reached(self, address: str) -> frozenset[str]:
        """Return every partition that a partition was made from, directly or not."""
        if address not in self._reached:
            self._reached[address] = frozenset()
            manifest = self.manifest(address)
            sources = frozenset(manifest.upstream) if manifest else frozenset()
            self._reached[address] = sources.union(*(self.reached(source) for source in sources))
        return self._reached[address]

    def link(self, address: str, source: str) -> list[str]:
        """Return the fault of one step, if any: unrecorded, gone, or changed since."""
        manifest = self.manifest(address)
        recorded = manifest.upstream.get(source) if manifest else None
        if recorded is None:
            return [f"{address} does not record that it was made from {source}"]
        stored = self.manifest(source)
        if stored is None:
            return [f"{source}, from which {address} was made, is not stored"]
        if stored.content_hash != recorded:
            return [f"{source} has changed since {address} was made from it"]
        return []

    def _look(self, address: str) -> Iterable[str]:
        manifest = self.manifest(address)
        if manifest is None:
            yield f"{address} is not stored"
            return
        for source in sorted(set(self._required(address)) | set(manifest.upstream)):
            yield from self.link(address, source)
            yield from self.faults(source) if self.manifest(source) is not None else ()


def lineage_complete(
    walk: Provenance, root: str, inputs: Mapping[str, str | None], months: Sequence[str]
) -> CheckOutcome:
    """Return whether every input of a matrix traces back to raw tables, in every month that the matrix holds.

    Parameters
    ----------
    walk
    root : str
        Address of the matrix.
    inputs
        The asset of the group of each model input (``features/demographics``); None for one that no group declares.
    months
        Keys of the months in the matrix.

    Returns
    -------
    CheckOutcome
        ``n`` counts inputs x months that lead to raw tables. The table has a row for each group.
    """
    if not inputs or not months:
        return CheckOutcome.no_evidence(inputs=len(inputs), months=len(months))
    strays = [name for name, asset in inputs.items() if asset is None]
    reasons = [f"no feature group declares {_some(strays)}"] if strays else []
    counts: dict[str, int] = {}
    for asset in inputs.values():
        if asset is not None:
            counts[asset] = counts.get(asset, 0) + 1
    rows: list[dict[str, Any]] = []
    complete, raw = 0, set[str]()
    for asset, columns in counts.items():
        faults: list[str] = []
        whole = 0
        for month in months:
            address = f"{asset}@{month}"
            of_month = [*walk.link(root, address), *walk.faults(address)]
            sources = {source for source in walk.reached(address) if is_raw(source)}
            if not of_month and not sources:
                of_month = [f"{address} leads to no raw table"]
            faults += of_month
            raw |= sources
            whole += not of_month
        complete += columns * whole
        faults = list(dict.fromkeys(faults))
        reasons += faults
        row = {"group": asset, "columns": columns, "months": len(months), "months_complete": whole}
        rows.append({**row, "faults": len(faults), "first_fault": "; ".join(faults[:1])})
    reasons += walk.faults(root)
    reasons = list(dict.fromkeys(reasons))
    observed: dict[str, Any] = {
        "inputs": len(inputs),
        "months": len(months),
        "partitions_walked": len(walk.reached(root)),
        "raw_partitions": len(raw),
        "faults": len(reasons),
    }
    rows.sort(key=lambda row: -row["faults"])
    return CheckOutcome(not reasons, _some(reasons, "; "), complete, observed, rows)


def _some(texts: Sequence[str], separator: str = ", ") -> str:
    more = f"{separator}and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return separator.join(texts[:SHOWN]) + more
