"""Looks at the source's schema: what differs from what was accepted, and what each change touches. Nothing is written here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finai_assets.asset_graph import SNAPSHOTS
from finai_assets.governance.incidents import Incidents
from finai_assets.governance.source_schema import Recorded, SchemaState, digest_of_files, read_seen, read_state
from finai_assets.ingest.adapter import adapter_class
from finai_assets.ingest.load import catalogue_pieces, digest_of, month_pieces
from finai_assets.ingest.pseudonym import key_id, pseudonym_key
from finai_assets.ingest.schema_diff import SchemaChange, schema_changes
from finai_assets.ingest.schema_shape import SKETCH, SourceShape, shape_of
from finai_assets.ingest.source_changes import source_changes
from finai_assets.ingest.source_lineage import SourceLineage, reads, source_lineage
from finai_assets.platform import Platform
from finai_assets.settings.schema_changes import Policy
from finai_resources.errors import FinaiError
from finai_resources.json_text import remembered, to_json
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import Manifest, address
from finai_resources.months import Month
from finai_resources.secrets import SecretStore
from finai_resources.whole_file import replace_file

_CACHED = "source_shape.json"


@dataclass(frozen=True)
class Look:
    """What the source shows now, beside what was accepted.

    Parameters
    ----------
    files : str
        Digest of the source's files.
    state : SchemaState
    incidents : Incidents
    now, accepted : SourceShape
        ``accepted`` with the values that were seen last.
    is_baseline : bool
        Whether no schema was looked at before, so that ``accepted`` is to be recorded.
    changes : tuple of SchemaChange
        From ``accepted`` to ``now``.
    stored : tuple of Manifest
        The stored months of the snapshots, oldest first.
    """

    files: str
    state: SchemaState
    incidents: Incidents
    now: SourceShape
    accepted: SourceShape
    is_baseline: bool
    changes: tuple[SchemaChange, ...]
    stored: tuple[Manifest, ...]

    @property
    def unrecorded(self) -> list[SchemaChange]:
        """Return the changes that are new: no incident of them is open, nor was it rejected."""
        known = {recorded.change.id for recorded in self.state.unsettled()}
        return [change for change in self.changes if change.id not in known]

    @property
    def reverted(self) -> list[Recorded]:
        """Return the changes that wait or were rejected, and that the source shows no longer."""
        shown = {change.id for change in self.changes}
        return [recorded for recorded in self.state.unsettled() if recorded.change.id not in shown]


def look(platform: Platform, lake: Lake, secrets: SecretStore, cache: Path | None) -> Look | None:
    """Compare the source's schema with the accepted one, or with the one that the last stored month was loaded with.

    Returns
    -------
    Look or None
        None where no raw month is stored, or the data are generated.

    Raises
    ------
    ConfigError
        The source is not named or not there.
    ContractError
        A file is missing or cannot be read.
    """
    settings = platform.graph.settings_of(SNAPSHOTS, *platform.graph.catalogues)
    stored = stored_months(platform, lake)
    if not stored or not stored[-1].extra.get("source_files"):
        return None
    files = adapter_class(settings).current_files(settings, cache)
    key = pseudonym_key(settings, secrets)
    rules = platform.settings.schema_changes
    now = _shape(platform, lake, key, digest_of_files(files), cache)
    incidents = Incidents(lake, secrets)
    state = read_state(lake, incidents)
    if state.accepted is not None:
        known = state.accepted.with_values_of(read_seen(lake))
    elif stored[-1].extra["source_files"] == files:
        known = now
    else:
        known = SourceShape.of_schema(stored[-1].extra["source_schema"]).completed(now)
    changes = schema_changes(known, now, rules)
    return Look(digest_of_files(files), state, incidents, now, known, state.accepted is None, changes, stored)


def _shape(platform: Platform, lake: Lake, key: bytes, files: str, cache: Path | None) -> SourceShape:
    """Return the source's shape, remembered in the cache for its files, the key and what the mapping declares of columns."""
    settings = platform.graph.settings_of(SNAPSHOTS, *platform.graph.catalogues)
    lineage, rules = source_lineage(platform.settings), platform.settings.schema_changes
    declared = [sorted(lineage.keys), sorted(lineage.categorical), rules.max_words, SKETCH]
    made_from = hashlib.sha256(json.dumps([files, key_id(key), declared]).encode()).hexdigest()
    place = cache / _CACHED if cache is not None else None
    known = remembered(place) if place is not None else {}
    if known.get("made_from") == made_from:
        return SourceShape.of(known["shape"])
    found = shape_of(adapter_class(settings)(settings, key, LakeSession(lake)), key, lineage, rules)
    if place is not None:
        content = {"made_from": made_from, "shape": found.as_dict()}
        replace_file(place, to_json(content, sort_keys=True), durable=False)
    return found


def stored_months(platform: Platform, lake: Lake) -> tuple[Manifest, ...]:
    """Return the stored months of the snapshots within the data set's span, oldest first."""
    span = platform.settings.dataset.raw_months
    found = [lake.find(SNAPSHOTS, key) for key in sorted(lake.partitions(SNAPSHOTS)) if Month.parse(key) in span]
    return tuple(manifest for manifest in found if manifest is not None)


def judged(
    platform: Platform,
    lake: Lake,
    secrets: SecretStore,
    cache: Path | None,
    seen: Look,
    changes: Sequence[SchemaChange],
) -> list[Recorded]:
    """Say of changes what they touch, and which policy follows."""
    if not changes:
        return []
    lineage = source_lineage(platform.settings)
    altered = altered_partitions(platform, lake, secrets, cache)
    loaded = tuple(sorted({digest_of_files(manifest.extra["source_files"]) for manifest in seen.stored}))
    return [_judged(platform, lineage, altered, change, seen.files, loaded) for change in changes]


def _judged(
    platform: Platform,
    lineage: SourceLineage,
    altered: Mapping[str, str],
    change: SchemaChange,
    files: str,
    loaded: tuple[str, ...],
) -> Recorded:
    touched = tuple(sorted(lineage.touched(change.places)))
    monthly = platform.graph.in_groups([platform.graph[SNAPSHOTS].group])
    assets = tuple(path for path in monthly if any(raw.startswith(f"{path}.") for raw in touched))
    by_month = {name.partition("@")[2] for name in altered if name.partition("@")[0] in assets}
    written: Policy = getattr(platform.settings.schema_changes, change.kind)
    return Recorded(
        change,
        written if touched or written == "widen" else "ignore",
        touched,
        assets,
        tuple(
            group.name
            for group in platform.registry.available
            if any(reads(column.inputs, touched) for column in group.columns)
        ),
        tuple(task.name for task in platform.available_tasks if reads(task.inputs, touched)),
        tuple(sorted(by_month - {""})),
        files,
        loaded,
    )


def altered_partitions(platform: Platform, lake: Lake, secrets: SecretStore, cache: Path | None) -> dict[str, str]:
    """Return the stored raw partitions whose rows the source gives otherwise, or not at all any more, by address, with why.

    A source that breaks a rule of the mapping is asked month by month, so that those are told which it breaks it in.
    """
    graph = platform.graph
    try:
        return dict(source_changes(graph, lake, secrets, cache).altered)
    except FinaiError as error:
        whole = error
    settings = graph.settings_of(SNAPSHOTS, *graph.catalogues)
    stored = {month.partition: month for month in stored_months(platform, lake)}
    paths = graph.in_groups([graph[SNAPSHOTS].group])
    found: dict[str, str] = {}
    try:
        key = pseudonym_key(settings, secrets)
        adapter = adapter_class(settings)(settings, key, LakeSession(lake))
        catalogue_pieces(adapter, settings)
    except FinaiError as error:
        return {address(path, month): _first_line(error) for month in stored for path in paths}
    for month in stored:
        assert month is not None  # noqa: S101 - the snapshots have months
        try:
            streams = month_pieces(adapter.month(Month.parse(month)), settings, adapter.name)
            rows = {path: digest_of(pieces) for path, pieces in streams.items()}
        except FinaiError as error:
            found |= {address(path, month): _first_line(error) for path in paths}
            continue
        for path, facts in rows.items():
            manifest = lake.find(path, month)
            if manifest is not None and manifest.extra.get("source_rows") not in (None, facts):
                found[address(path, month)] = "its rows are others than those that were loaded"
    return found or {address(path, None): _first_line(whole) for path in graph.catalogues}


def _first_line(error: FinaiError) -> str:
    return f"it cannot be read: {str(error).splitlines()[0]}"


def standing_in_the_way(platform: Platform, seen: Look) -> list[str]:
    """Return in words the changes to decide before anything is loaded: held ones, refused ones, and those to be held."""
    reverted = {recorded.change.id for recorded in seen.reverted}
    waiting = [
        f"{recorded.incident} ({seen.state.standing(recorded)}): {recorded.change.told}"
        for recorded in seen.state.unsettled()
        if recorded.change.id not in reverted
    ]
    lineage, rules = source_lineage(platform.settings), platform.settings.schema_changes
    return waiting + [
        f"not recorded yet: {change.told}"
        for change in seen.unrecorded
        if getattr(rules, change.kind) == "hold" and lineage.touched(change.places)
    ]
