"""Gathers the facts of a promotion from the lake: nothing is judged here, and nothing is believed that is not read again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from finai_assets.asset_graph import MATRIX
from finai_assets.bundle.registry import CHAMPION_ALIAS, Registry, fetch
from finai_assets.promotion.comparison import Compared, compare
from finai_assets.promotion.facts import Facts, Fault
from finai_assets.promotion.integrity import examine
from finai_assets.settings import Settings
from finai_assets.training.matrix import load_matrix
from finai_resources.chained_log import Entry, Head
from finai_resources.gates import Evidence
from finai_resources.json_text import to_json
from finai_resources.lake_session import LakeSession
from serving_lambda.bundle import MANIFEST, open_bundle
from serving_lambda.errors import ServingError


@dataclass(frozen=True)
class Desk:
    """Where promotions are decided: what is read, and who vouches for it.

    Parameters
    ----------
    session : LakeSession
    settings : Settings
        ``promotion``, ``metrics``, ``seed``, ``profile`` and ``dataset.name``.
    tasks : sequence of str
        Those that the data set can carry.
    evidence : Evidence
        Tells what checks found.
    key : bytes
        That bundles are signed with.
    home : Path
        Where the champion is exported to.
    """

    session: LakeSession
    settings: Settings
    tasks: Sequence[str]
    evidence: Evidence
    key: bytes
    home: Path


def gather(desk: Desk, registry: Registry, bundle_id: str, now: datetime) -> Facts:
    """Return the facts about a challenger as they stand at a state of the registry.

    Raises
    ------
    FinaiError
        A store cannot be read; the caller takes it as a refusal.
    """
    lake, settings = desk.session.lake, desk.settings
    champion = registry.aliases.get(CHAMPION_ALIAS, "")
    files = fetch(lake, bundle_id)
    faults, manifest = examine(files, bundle_id, desk.key, dataset=settings.dataset.name, profile=settings.profile)
    lineage = registry.registrations[bundle_id].record["lineage"]
    if lineage.get(MATRIX) != (manifest.get("versions") or {}).get("data"):
        faults.append(Fault("BUNDLE_LINEAGE_WRONG", "its manifest names another training matrix than the registry"))
    checks, awaited = desk.evidence.results(lake, lineage, settings.promotion.mandatory)
    proposal, approvals = signed_entries(registry, bundle_id)
    compared = (
        _compared(desk, files, champion) if champion and champion != bundle_id and not faults else Compared((), ())
    )
    return Facts(
        bundle=bundle_id,
        manifest_hash=manifest_hash(files),
        lineage_hash=lineage_hash(lineage),
        champion=champion,
        now=now.isoformat(timespec="milliseconds"),
        last_entry_at=registry.entries[-1].recorded_at if registry.entries else "",
        evidence_faults=tuple(_evidence_faults(desk, proposal)),
        integrity=tuple(faults),
        tasks_expected=tuple(desk.tasks),
        tasks_present=tuple(entry["task"] for entry in manifest.get("tasks", ())),
        checks=tuple(checks),
        awaited=tuple(awaited),
        comparison=compared.tasks,
        comparison_faults=compared.faults,
        shifts=compared.shifts,
        proposal=proposal.record if proposal else None,
        approvals=tuple(entry.record for entry in approvals),
    )


def signed_entries(registry: Registry, bundle_id: str) -> tuple[Entry | None, list[Entry]]:
    """Return the latest proposal of a bundle, and every approval that was given for the bundle."""
    proposals = registry.of(bundle_id, "proposal")
    return (proposals[-1] if proposals else None), registry.of(bundle_id, "approval")


def manifest_hash(files: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of a bundle's manifest, hexadecimal."""
    return hashlib.sha256(files[MANIFEST]).hexdigest()


def lineage_hash(lineage: Mapping[str, str]) -> str:
    """Return the SHA-256 of the contents that a bundle was made from, hexadecimal."""
    return hashlib.sha256(to_json(dict(lineage), sort_keys=True)).hexdigest()


def _evidence_faults(desk: Desk, proposal: Entry | None) -> list[str]:
    anchor = None
    if proposal is not None:
        statement = proposal.record["statement"]
        anchor = Head(statement["evidence_count"], statement["evidence_head"])
    return desk.evidence.faults(desk.session.lake, anchor)


def _compared(desk: Desk, files: Mapping[str, bytes], champion: str) -> Compared:
    try:
        rival = open_bundle(fetch(desk.session.lake, champion).__getitem__, desk.key)
    except ServingError as error:
        what = f"the champion {champion} cannot be read ({error.code}): {error.message}"
        return Compared((), (), (Fault("COMPARISON_IMPOSSIBLE", what),))
    return compare(open_bundle(files.__getitem__, desk.key), rival, load_matrix(desk.session), desk.settings)
