"""Which month months go on to that are written without a last one: the last full month of the source.

A question of the source is answered from its rows once and remembered until a file changes. Whoever reads a home without its
source is told what the home remembers, or else the last month that it holds.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from finai_assets.asset_graph import SNAPSHOTS
from finai_assets.ingest.adapter import Adapter, adapter_class
from finai_assets.ingest.tables.adapter import SOURCES, TablesAdapter
from finai_assets.ingest.tables.by_month import RowsByMonth, rows_by_month
from finai_assets.ingest.tables.guess.months import whole_months
from finai_assets.settings import Settings
from finai_assets.settings.months import ending, needed_month
from finai_resources.errors import ConfigError, ContractError
from finai_resources.json_text import remembered, to_json
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.whole_file import replace_file

_NAME = "source_months.json"
_RULE = 1  # raise it where the same rows would end with another month
_KEY = bytes(32)  # months need no pseudonyms
_FURTHER = 12  # months by which the question looks beyond an answer, as a query may hold nothing after the last month


@dataclass(frozen=True)
class SourceEnd:
    """Where a source ends.

    Parameters
    ----------
    last : str
        Its last full month, as ``2016-05``.
    reached : str
        The last day that a row is dated by; of a source that tells months alone, the last of these.
    """

    last: str
    reached: str

    @property
    def note(self) -> str:
        """Return what a person should know of rows after the last full month; empty where there are none."""
        if self.reached[:7] == self.last:
            return ""
        following = Month.parse(self.last) + 1
        return (
            f"the source's rows reach {self.reached}, its months go on to {self.last}: {following} counts when it is full, with "
            "rows until its last days, as many as are usual"
        )


def with_last_month(
    settings: Settings, lake: Lake, cache: Path | None, *, ask: bool
) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings with an end for months that go on, and what a person should know of the source's last rows.

    Parameters
    ----------
    lake
        Its last raw month is the end where neither the source nor the cache tells one.
    cache
        Folder for what is remembered of the source; None for nowhere.
    ask
        Whether the source is asked; a source that is not named cannot be.

    Raises
    ------
    ConfigError
        The folder that is named as the source is not there, or nothing in the mapping dates rows.
    ContractError
        The source cannot be read, has no full month, or ends before the splits do.
    """
    if not settings.dataset.raw_months.goes_on:
        return settings, ()
    if ask:
        try:
            end = source_end(settings, lake, cache)
        except ConfigError:
            if settings.dataset.source is not None or settings.dataset.adapter != "tables":
                raise
        else:
            _require_splits(settings, end)
            return ending(settings, Month.parse(end.last)), (end.note,) if end.note else ()
    months = [key for key in lake.keys(SNAPSHOTS) if key is not None]
    known = remembered(cache / _NAME).get("last") if cache is not None else None
    found = [Month.parse(key) for key in (known or max(months, default=None),) if key]
    return ending(settings, max([needed_month(settings), *found])), ()


def source_end(settings: Settings, lake: Lake, cache: Path | None) -> SourceEnd:
    """Return where the source ends; while its files are those of the last answer no row is read.

    Raises
    ------
    ConfigError, ContractError
        As :func:`with_last_month`.
    """
    files = adapter_class(settings).current_files(settings, cache)
    tables = settings.tables.model_dump(mode="json") if settings.tables is not None else None
    made_from = json.dumps([_RULE, sorted(files.items()), settings.dataset.name, tables], sort_keys=True)
    digest = hashlib.sha256(made_from.encode()).hexdigest()
    known = remembered(cache / _NAME) if cache is not None else {}
    if known.get("made_from") == digest:
        return SourceEnd(known["last"], known["reached"])
    end = _ask(settings, lake, cache)
    if cache is not None:
        replace_file(cache / _NAME, to_json({"made_from": digest, **asdict(end)}, indent=1), durable=False)
    return end


def _ask(settings: Settings, lake: Lake, cache: Path | None) -> SourceEnd:
    """Return where the source ends by its rows, of which queries of the mapping may hide those after the last month."""
    last = needed_month(settings)
    while True:
        adapter = _open(ending(settings, last), lake, cache)
        counted = _counts(adapter)
        whole = [whole_months(table.counts, table.last_day)[0] for table in counted]
        if not all(whole):
            raise ContractError(
                "the source has no full month", where=adapter.name, fix="deliver it, or look with `finai source check`"
            )
        reached = max(table.last_day or table.counts[-1][0] for table in counted)
        if Month.of(reached) < last:
            dated = any(table.last_day is not None for table in counted)
            told = reached.isoformat() if dated else Month.of(reached).key
            return SourceEnd(min(months[-1] for months in whole).key, told)
        last = Month.of(reached) + _FURTHER


def _open(settings: Settings, lake: Lake, cache: Path | None) -> Adapter:
    adapter = adapter_class(settings)(settings, _KEY, LakeSession(lake))
    if isinstance(adapter, TablesAdapter) and cache is not None:
        adapter.cache = cache / SOURCES
    return adapter


def _counts(adapter: Adapter) -> list[RowsByMonth]:
    """Return the rows by month of each table that dates some."""
    if isinstance(adapter, TablesAdapter):
        return rows_by_month(adapter)
    return [RowsByMonth([(month.start.date(), 1) for month in adapter.months()], None)]


def _require_splits(settings: Settings, end: SourceEnd) -> None:
    needed = needed_month(settings)
    if Month.parse(end.last) < needed:
        raise ContractError(
            f"the source's last full month is {end.last}, and the labels of {settings.dataset.splits.test.last}, the last test "
            f"month, end with {needed}",
            where="dataset.splits",
            fix="deliver the months, or let the splits end earlier",
        )
