"""What a change of the source makes stale: the stored partitions whose rows it alters, and nothing else.

The table has a row for each kind of change, on the miniature of Berka: 1993-01 to 1993-04 are loaded.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from finai_assets.asset_graph import CATALOGUE_TABLES, SNAPSHOTS, TRANSACTIONS, AssetGraph
from finai_assets.ingest.adapter import adapter_class, open_adapter
from finai_assets.ingest.load import load_catalogue, load_month
from finai_assets.ingest.source_changes import SourceChanges, source_changes
from finai_assets.ingest.tables.reading import digests
from finai_assets.platform import Platform
from finai_assets.settings import load_settings
from finai_resources.errors import ConfigError, ContractError, SecretError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.secrets import SecretStore
from tests.finai_assets.ingest.tables.test_berka import KEY, write_czech

MONTHS = ("1993-01", "1993-02", "1993-03", "1993-04")
PROTECTED = "raw/protected_attributes"


def graph_of(source: Path | str | None) -> AssetGraph:
    overrides = {"dataset": {"source": str(source)}} if source else None
    return Platform.of(load_settings("berka", "demo", overrides=overrides)).graph


@dataclass
class Bank:
    """A loaded lake, and a copy of the source that a test may change."""

    lake: Lake
    home: Path
    folder: Path

    def edit(self, table: str, change: Callable[[list[str]], list[str]]) -> None:
        file = self.folder / f"{table}.asc"
        head, *rows = file.read_text().splitlines()
        file.write_text("\n".join([head, *change(rows)]) + "\n")

    def append(self, table: str, *rows: str) -> None:
        self.edit(table, lambda before: [*before, *rows])

    def replace(self, table: str, old: str, new: str) -> None:
        file = self.folder / f"{table}.asc"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def changes(self, source: Path | str | None = None) -> SourceChanges:
        graph = graph_of(source or self.folder)
        return source_changes(graph, self.lake, SecretStore(self.home), self.home / "cache")

    def load(self, *months: str) -> None:
        fill(self.folder, self.lake, months, catalogue=False)


def fill(folder: Path, lake: Lake, months: tuple[str, ...] = MONTHS, *, catalogue: bool = True) -> None:
    graph = graph_of(folder)
    settings = graph.settings_of(SNAPSHOTS, *CATALOGUE_TABLES)
    session = LakeSession(lake)
    adapter = open_adapter(settings, KEY, session)
    if catalogue:
        load_catalogue(adapter, session, settings, **graph.versions(CATALOGUE_TABLES[0]))
    for month in months:
        load_month(adapter, session, Month.parse(month), settings, **graph.versions(SNAPSHOTS))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("loaded")
    (root / "bank").mkdir()
    folder = write_czech(root / "bank")
    with (folder / "trans.asc").open("a") as file:
        file.write('25;1;930405;"VYBER";"VYBER";7;40593;"";"";\n')
    fill(folder, Lake.on_disk(root / "home" / "lake"))
    return root


@pytest.fixture
def bank(loaded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bank:
    monkeypatch.setenv("FINAI_PSEUDONYM_KEY", KEY.hex())
    shutil.copytree(loaded, tmp_path, dirs_exist_ok=True)
    return Bank(Lake.on_disk(tmp_path / "home" / "lake"), tmp_path / "home", tmp_path / "bank")


def at(*paths: str, months: tuple[str, ...]) -> set[str]:
    return {f"{path}@{month}" for path in paths for month in months}


def row_appended(bank: Bank) -> None:
    bank.append("trans", '30;1;930220;"VYBER";"VYBER";5;0;"";"";')


def row_that_lifts_a_tier(bank: Bank) -> None:
    bank.append("trans", '30;2;930206;"PRIJEM";"VKLAD";90000;0;"";"";')


def row_of_the_last_loaded_month(bank: Bank) -> None:
    bank.append("trans", '30;1;930420;"VYBER";"VYBER";5;0;"";"";')


def row_of_a_new_month(bank: Bank) -> None:
    bank.append("trans", '30;1;930420;"VYBER";"VYBER";5;0;"";"";', '31;1;930503;"VYBER";"VYBER";5;0;"";"";')


def row_of_a_month_not_loaded(bank: Bank) -> None:
    bank.append("trans", '31;1;930503;"VYBER";"VYBER";5;0;"";"";')


def row_altered(bank: Bank) -> None:
    bank.replace("trans", '"SIPO";"CD";456', '"POJISTNE";"CD";456')


def amount_altered(bank: Bank) -> None:
    bank.replace("trans", '"VYBER";50;', '"VYBER";51;')


def row_moved_to_another_month(bank: Bank) -> None:
    bank.replace("trans", "17;1;930228", "17;1;930301")


def row_removed(bank: Bank) -> None:
    bank.edit("trans", lambda rows: [row for row in rows if not row.startswith("18;")])


def row_twice(bank: Bank) -> None:
    bank.edit("trans", lambda rows: [*rows, *("180;" + row[3:] for row in rows if row.startswith("18;"))])


def rows_reordered(bank: Bank) -> None:
    for table in ("account", "client", "disp", "card", "loan", "district", "trans"):
        bank.edit(table, lambda rows: rows[::-1])


def owner_altered(bank: Bank) -> None:
    bank.replace("client", '"530228"', '"430228"')


def loan_granted(bank: Bank) -> None:
    bank.append("loan", '6;2;930301;2000;12;200;"A"')


def region_renamed(bank: Bank) -> None:
    bank.replace("district", "central Bohemia", "Bohemia")


def unused_value_altered(bank: Bank) -> None:
    bank.replace("trans", ";40660;", ";40661;")


def unused_column_added(bank: Bank) -> None:
    file = bank.folder / "trans.asc"
    head, *rows = file.read_text().splitlines()
    file.write_text("\n".join([f"{head};note", *(f"{row};x" for row in rows)]) + "\n")


def columns_reordered(bank: Bank) -> None:
    file = bank.folder / "district.asc"
    cells = [line.split(";") for line in file.read_text().splitlines()]
    file.write_text("\n".join(";".join(line[::-1]) for line in cells) + "\n")


def last_newline_gone(bank: Bank) -> None:
    file = bank.folder / "trans.asc"
    file.write_text(file.read_text().rstrip("\n"))


def as_parquet(bank: Bank) -> None:
    for file in bank.folder.glob("*.asc"):
        table = csv.read_csv(file, parse_options=csv.ParseOptions(delimiter=";"))
        pq.write_table(table, file.with_suffix(".parquet"))
        file.unlink()


def as_csv(bank: Bank) -> None:
    for file in bank.folder.glob("*.asc"):
        file.rename(file.with_suffix(".csv"))


def retyped(bank: Bank) -> None:
    as_parquet(bank)
    file = bank.folder / "trans.parquet"
    table = pq.read_table(file)
    at_ = table.column_names.index("account_id")
    pq.write_table(table.set_column(at_, "account_id", table["account_id"].cast("string")), file)


def touched(bank: Bank) -> None:
    for file in bank.folder.iterdir():
        os.utime(file, (1, 1))


def nothing(_: Bank) -> None:
    pass


TRANS_FEB = at(TRANSACTIONS, months=("1993-02",))
TABLE = [
    (nothing, set()),
    (row_appended, TRANS_FEB),
    # Snapshots tell the tier of the balance, which a large amount lifts for good.
    (row_that_lifts_a_tier, TRANS_FEB | at(SNAPSHOTS, months=MONTHS[1:])),
    (row_of_the_last_loaded_month, at(TRANSACTIONS, months=("1993-04",))),
    (row_of_a_new_month, at(TRANSACTIONS, months=("1993-04",))),
    (row_of_a_month_not_loaded, set()),
    (row_altered, TRANS_FEB | at(SNAPSHOTS, months=MONTHS[1:])),  # a product is held from its first payment on
    (amount_altered, TRANS_FEB),
    (row_moved_to_another_month, at(TRANSACTIONS, months=("1993-02", "1993-03"))),
    (row_removed, at(TRANSACTIONS, months=("1993-03",))),
    (row_twice, at(TRANSACTIONS, months=("1993-03",))),
    (rows_reordered, set()),
    (owner_altered, at(SNAPSHOTS, PROTECTED, months=MONTHS)),
    (loan_granted, at(SNAPSHOTS, months=MONTHS[2:])),
    (region_renamed, at(PROTECTED, months=MONTHS)),
    (unused_value_altered, set()),
    (unused_column_added, set()),
    (columns_reordered, set()),
    (last_newline_gone, set()),
    (as_parquet, set()),
    (as_csv, set()),
    (retyped, set()),
    (touched, set()),
]


@pytest.mark.parametrize(("change", "expected"), TABLE, ids=[change.__name__ for change, _ in TABLE])
def test_a_change_makes_exactly_these_partitions_stale(bank: Bank, change: Callable[[Bank], None], expected: set[str]):
    change(bank)
    assert set(bank.changes().altered) == expected


@pytest.mark.parametrize("place", ["moved", "copied", "relative", "spelled otherwise", "linked folder", "linked files"])
def test_the_same_bytes_elsewhere_change_nothing_and_no_row_is_read(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
):
    other: Path | str = tmp_path / "elsewhere"
    if place == "moved":
        bank.folder.rename(other)
    elif place == "copied":
        shutil.copytree(bank.folder, other)
        shutil.rmtree(bank.folder)
    elif place == "relative":
        monkeypatch.chdir(tmp_path)
        other = "bank"
    elif place == "spelled otherwise":
        other = f"{bank.folder}/../bank/"
    elif place == "linked folder":
        Path(other).symlink_to(bank.folder)
    else:
        Path(other).mkdir()
        for file in bank.folder.iterdir():
            (Path(other) / file.name).symlink_to(file)
    no_row_may_be_read(monkeypatch)
    assert bank.changes(other) == SourceChanges()


def no_row_may_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the source is opened")

    monkeypatch.setattr(adapter_class(graph_of(None).settings), "__init__", refuse)


def no_byte_may_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the bytes of a file are read")

    monkeypatch.setattr(digests.hashlib, "file_digest", refuse)


def settle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the files' times lie long enough in the past."""
    newest = max(file.stat().st_ctime_ns for file in folder.iterdir())
    monkeypatch.setattr(digests.time, "time_ns", lambda: newest + 3_000_000_000)


def test_a_change_is_digested_once_and_then_neither_bytes_nor_rows_are_read(bank: Bank, monkeypatch):
    unused_column_added(bank)
    row_appended_with_note = '30;1;930220;"VYBER";"VYBER";5;0;"";"";;x'
    bank.append("trans", row_appended_with_note)
    settle(bank.folder, monkeypatch)
    first = bank.changes()
    assert set(first.altered) == TRANS_FEB
    no_row_may_be_read(monkeypatch)
    no_byte_may_be_read(monkeypatch)
    assert bank.changes() == first


def test_a_file_that_changed_a_moment_ago_is_read_again_as_its_time_may_not_tell_the_next_change(bank, monkeypatch):
    assert not bank.changes().altered
    before = (bank.folder / "trans.asc").stat()
    amount_altered(bank)
    os.utime(bank.folder / "trans.asc", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert set(bank.changes().altered) == TRANS_FEB


def test_a_file_altered_in_place_with_its_old_size_and_time_is_seen(bank: Bank, monkeypatch):
    settle(bank.folder, monkeypatch)
    assert not bank.changes().altered
    file = bank.folder / "trans.asc"
    before = file.stat()
    amount_altered(bank)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert set(bank.changes().altered) == TRANS_FEB


def test_a_changed_month_that_is_loaded_is_current_and_a_correction_that_reverts_makes_it_stale_again(bank: Bank):
    before = {month: bank.lake.manifest(TRANSACTIONS, month).content_hash for month in MONTHS}
    text = (bank.folder / "trans.asc").read_text()
    row_appended(bank)
    assert bank.changes().altered == {f"{TRANSACTIONS}@1993-02": "1 row more than loaded"}
    bank.load("1993-02")
    assert bank.changes() == SourceChanges()
    after = {month: bank.lake.manifest(TRANSACTIONS, month).content_hash for month in MONTHS}
    assert [month for month in MONTHS if after[month] != before[month]] == ["1993-02"]
    (bank.folder / "trans.asc").write_text(text)
    assert bank.changes().altered == {f"{TRANSACTIONS}@1993-02": "1 row fewer than loaded"}
    bank.load("1993-02")
    assert bank.changes() == SourceChanges()
    assert bank.lake.manifest(TRANSACTIONS, "1993-02").content_hash == before["1993-02"]


def test_the_reason_tells_whether_rows_were_added_or_altered(bank: Bank):
    amount_altered(bank)
    why = bank.changes().altered[f"{TRANSACTIONS}@1993-02"]
    assert why == "as many rows as loaded, 5, with other values"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (unused_column_added, "trans: new column note (string)"),
        (retyped, "trans: column account was string, is int64; column amount was string, is double;"),
    ],
)
def test_a_change_of_the_schema_is_told_though_it_makes_nothing_stale(bank: Bank, change, told):
    change(bank)
    for _ in range(2):  # from the source, and from what is remembered of it
        changes = bank.changes()
        assert not changes.altered
        assert any(told in note for note in changes.notes)


def test_columns_that_go_are_told(bank: Bank):
    file = bank.folder / "district.asc"
    file.write_text("\n".join(";".join(line.split(";")[::2]) for line in file.read_text().splitlines()) + "\n")
    assert bank.changes().notes == (
        "the source's schema has changed since the load: district: column A2 (string) is gone",
    )


def test_a_source_that_is_not_named_leaves_months_current_and_says_what_cannot_be_judged(bank: Bank):
    graph = graph_of(None)
    changes = source_changes(graph, bank.lake, SecretStore(bank.home), None)
    assert not changes.altered
    assert len(changes.notes) == 1
    assert (
        "the source is not named: the rows of 15 stored raw partitions cannot be compared with it" in changes.notes[0]
    )
    assert "--source" in changes.notes[0]


def test_the_path_of_the_source_is_no_part_of_a_version(tmp_path: Path):
    named, unnamed = graph_of(tmp_path), graph_of(None)
    for path in (SNAPSHOTS, *CATALOGUE_TABLES):
        assert named.versions(path) == unnamed.versions(path)


def test_a_source_that_vanished_is_one_error(bank: Bank, tmp_path: Path):
    with pytest.raises(ConfigError, match="there is no folder"):
        bank.changes(tmp_path / "gone")
    (bank.folder / "loan.asc").unlink()
    with pytest.raises(ContractError, match="there is no file 'loan'"):
        bank.changes()


def test_where_nothing_is_loaded_there_is_nothing_to_compare(bank: Bank, tmp_path: Path):
    bank.lake = Lake.on_disk(tmp_path / "empty")
    assert bank.changes(tmp_path / "gone") == SourceChanges()


def test_a_file_that_cannot_be_read_is_one_error(bank: Bank):
    as_parquet(bank)
    file = bank.folder / "trans.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ContractError, match="truncated or damaged"):
        bank.changes()


def test_without_the_key_of_the_stored_customers_rows_are_not_compared_and_no_key_is_made(bank: Bank, monkeypatch):
    monkeypatch.delenv("FINAI_PSEUDONYM_KEY")
    assert bank.changes() == SourceChanges()  # files alone need no key
    row_appended(bank)
    with pytest.raises(SecretError, match="not at hand"):
        bank.changes()
    assert not (bank.home / "secrets.json").exists()


def test_what_is_remembered_of_the_source_may_be_lost_or_damaged(bank: Bank, monkeypatch):
    row_appended(bank)
    settle(bank.folder, monkeypatch)
    first = bank.changes()
    for damaged in (b"{", b"", b"[1]", b"{}", b"\xff"):
        for file in (bank.home / "cache").rglob("*.json"):
            file.write_bytes(damaged)
        assert bank.changes() == first
    shutil.rmtree(bank.home / "cache")
    assert bank.changes() == first


def test_months_of_another_code_or_configuration_are_not_compared_as_they_are_stale_anyway(bank: Bank, monkeypatch):
    row_appended(bank)
    monkeypatch.setattr(AssetGraph, "versions", lambda *_: {"code_version": "other", "config_hash": "other"})
    assert bank.changes() == SourceChanges()
