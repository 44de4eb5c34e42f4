"""What a source holds now beside what the stored raw tables were made from: a month is as current as its rows.

The folder, the names and the order of rows or columns decide nothing. While the files are those of the last load no row is
read; once one has changed, the rows of the stored months are digested, which is remembered until the files change again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finai_assets.asset_graph import SNAPSHOTS, AssetGraph
from finai_assets.ingest.adapter import adapter_class
from finai_assets.ingest.load import SOURCE_ROWS, catalogue_pieces, digest_of, month_pieces
from finai_assets.ingest.pseudonym import key_id, pseudonym_key
from finai_assets.settings import Settings
from finai_resources.errors import ConfigError
from finai_resources.json_text import remembered, to_json
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import Manifest, address
from finai_resources.months import Month
from finai_resources.secrets import SecretStore
from finai_resources.whole_file import replace_file

Rows = Mapping[str, Any]  # ``rows`` and ``digest``
_NAME = "source_rows.json"
_SHOWN = 4  # changes of a table's columns


@dataclass(frozen=True)
class SourceChanges:
    """Stored raw partitions whose rows are no longer those of the source.

    Parameters
    ----------
    altered : mapping
        Address of each -> how its rows differ.
    notes : tuple of str
        What else has changed, and what cannot be judged.
    """

    altered: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def source_changes(graph: AssetGraph, lake: Lake, secrets: SecretStore, cache: Path | None) -> SourceChanges:
    """Compare the stored raw tables with the source.

    Only partitions of the present code and configuration are compared; the others are stale in any case.

    Parameters
    ----------
    secrets
        Where the pseudonym key lies, by which rows of real customers are compared.
    cache : Path or None
        Folder for digests of files and rows; None for nowhere.

    Raises
    ------
    ConfigError
        The folder that is named as the source is not there.
    ContractError
        A file is missing, or what it holds cannot be read.
    SecretError
        Rows have to be compared, and the key that the stored ones were pseudonymised with is not at hand.
    """
    settings = graph.settings_of(SNAPSHOTS, *graph.catalogues)
    stored = _stored(graph, lake, settings)
    if not stored:
        return SourceChanges()
    try:
        files = adapter_class(settings).current_files(settings, cache)
    except ConfigError as error:
        if settings.dataset.source is not None:
            raise
        told = f"the source is not named: the rows of {len(stored)} stored raw partitions cannot be compared with it"
        return SourceChanges(notes=(f"{told} ({error.fix})",))
    suspects = {name: manifest for name, manifest in stored.items() if manifest.extra["source_files"] != files}
    if not suspects:
        return SourceChanges()
    now = _Content(files, graph, settings, secrets, lake, cache)
    rows = now.rows(suspects)
    pairs = {name: (manifest.extra[SOURCE_ROWS], rows[name]) for name, manifest in suspects.items()}
    altered = {name: how_rows_differ(*pair) for name, pair in pairs.items() if pair[0] != pair[1]}
    return SourceChanges(altered, _schema_notes(suspects.values(), now.schema))


def _stored(graph: AssetGraph, lake: Lake, settings: Settings) -> dict[str, Manifest]:
    """Return the stored raw partitions that this code and configuration made from files, by address."""
    months = [month.key for month in settings.dataset.raw_months]
    wanted: list[tuple[str, str | None]] = [(path, None) for path in graph.catalogues]
    wanted += [(path, month) for path in graph.in_groups([graph[SNAPSHOTS].group]) for month in months]
    found = lake.each(lambda each: lake.find(*each), wanted)
    return {
        address(m.asset, m.partition): m
        for m in found
        if m is not None
        and SOURCE_ROWS in m.extra
        and {"code_version": m.code_version, "config_hash": m.config_hash} == graph.versions(m.asset)
    }


class _Content:
    """The rows of a source by partition and its schema, digested for those files once."""

    def __init__(
        self,
        files: Mapping[str, str],
        graph: AssetGraph,
        settings: Settings,
        secrets: SecretStore,
        lake: Lake,
        cache: Path | None,
    ) -> None:
        self._settings, self._lake = settings, lake
        self._key = _present_key(settings, secrets)
        versions = [graph.versions(path) for path in (SNAPSHOTS, *graph.catalogues)]
        made_from = [sorted(files.items()), versions, key_id(self._key)]
        self._made_from = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
        self._file = cache / _NAME if cache else None
        known = remembered(self._file) if self._file is not None else {}
        self._known: dict[str, Any] = known if known.get("made_from") == self._made_from else {}
        self.schema: Mapping[str, Mapping[str, str]] = self._known.get("schema", {})

    def rows(self, suspects: Mapping[str, Manifest]) -> Mapping[str, Rows]:
        """Return the present rows of some partitions, by address; the source is opened only for those not yet digested."""
        known: dict[str, Rows] = dict(self._known.get("rows", {}))
        months = {manifest.partition for name, manifest in suspects.items() if name not in known}
        if months:
            adapter = adapter_class(self._settings)(self._settings, self._key, LakeSession(self._lake))
            self.schema = adapter.source_schema()
            for month in sorted(months, key=str):
                if month is None:
                    catalogue = catalogue_pieces(adapter, self._settings)
                    known |= {address(asset, None): digest_of([piece]) for asset, piece in catalogue.items()}
                else:
                    streams = month_pieces(adapter.month(Month.parse(month)), self._settings, adapter.name)
                    known |= {address(asset, month): digest_of(pieces) for asset, pieces in streams.items()}
            if self._file is not None:
                content = {"made_from": self._made_from, "schema": self.schema, "rows": known}
                replace_file(self._file, to_json(content, indent=1, sort_keys=True), durable=False)
        return known


def _present_key(settings: Settings, secrets: SecretStore) -> bytes:
    """Return the pseudonym key, and make none: rows under a new key would equal no stored ones."""
    if settings.dataset.real_customers:
        secrets.present("pseudonym")
    return pseudonym_key(settings, secrets)


def how_rows_differ(loaded: Rows, now: Rows) -> str:
    """Return in words how the present rows of a partition differ from those that it was made from."""
    more = now["rows"] - loaded["rows"]
    if not more:
        return f"as many rows as loaded, {loaded['rows']:,}, with other values"
    rows = "1 row" if abs(more) == 1 else f"{abs(more):,} rows"
    return f"{rows} {'more' if more > 0 else 'fewer'} than loaded"


def _schema_notes(suspects: Iterable[Manifest], now: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Return what has changed in the columns of the source's tables since the last load with others, a line for each table."""
    others = [m.extra["source_schema"] for m in suspects if m.extra["source_schema"] != now]
    if not others:
        return ()
    before: Mapping[str, Mapping[str, str]] = others[-1]
    told = []
    for table in sorted(before.keys() | now.keys()):
        was, has = (dict(sorted(each.get(table, {}).items())) for each in (before, now))
        changes = [f"new column {name} ({has[name]})" for name in has if name not in was]
        changes += [f"column {name} ({was[name]}) is gone" for name in was if name not in has]
        changes += [
            f"column {name} was {was[name]}, is {has[name]}" for name in has if was.get(name, has[name]) != has[name]
        ]
        if changes:
            more = [f"and {len(changes) - _SHOWN} more"] if len(changes) > _SHOWN else []
            shown = "; ".join([*changes[:_SHOWN], *more])
            told.append(f"the source's schema has changed since the load: {table}: {shown}")
    return tuple(told)
