"""Delimited text as banks deliver it: read to the letter, or refused with line and text."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from finai_assets.ingest.tables.reading import read_source
from finai_assets.ingest.tables.reading import text as text_module
from finai_assets.settings.tables import SourceSettings
from finai_resources.errors import ConfigError, ContractError


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
def test_the_delimiter_is_found_where_the_lines_agree_on_one(tmp_path, read, values, delimiter):
    write(tmp_path / "trans.csv", f"id{delimiter}amount\n1{delimiter}2.5\n2{delimiter}\n")
    rows = read(path="trans.csv")
    assert values(rows) == [("1", "2.5"), ("2", None)]
    assert rows.schema == {"id": "string", "amount": "string"}
    assert rows.counts == {"trans.csv": 2}


@pytest.mark.parametrize("delimiter", ["^", "||", "§", "~|~", "\x01"])
def test_any_delimiter_can_be_declared(tmp_path, read, values, delimiter):
    write(tmp_path / "trans.csv", f'id{delimiter}word\n1{delimiter}"a{delimiter}b"\n2{delimiter}c\n')
    assert values(read(path="trans.csv", delimiter=delimiter)) == [("1", f"a{delimiter}b"), ("2", "c")]


def test_a_header_may_quote_the_delimiter_a_line_end_and_a_quote(tmp_path, read):
    write(tmp_path / "trans.csv", '"id; old";"amount\r\nin CZK";"a ""b"""\r\n1;2;3\r\n')
    assert list(read(path="trans.csv", delimiter=";").schema) == ["id; old", "amount\r\nin CZK", 'a "b"']


def test_quoted_values_keep_line_ends_and_delimiters_and_lines_are_counted_through_them(tmp_path, read, values):
    write(tmp_path / "trans.csv", 'id;word\n1;"two\nlines; one"\n2;""\n3;  x \n')
    assert values(read(path="trans.csv", delimiter=";")) == [("1", "two\nlines; one"), ("2", None), ("3", "x")]
    write(tmp_path / "bad.csv", 'id;word\n1;"two\nlines"\n2\n')
    with pytest.raises(ContractError, match=r"bad.csv.*1 row has another number of fields.*\(line 4: 1 field: 2\)"):
        read(path="bad.csv", delimiter=";")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_is_read(tmp_path, read, values, end):
    write(tmp_path / "trans.csv", end.join(["id,w", "1,a", "", "2,b", "", ""]))
    assert values(read(path="trans.csv")) == [("1", "a"), ("2", "b")]


@pytest.mark.parametrize(
    ("header", "named"),
    [("id;date;amount;date", "date"), ("id;Date;date", "Date, date: SQL"), ("a; a ;b", "a"), ('"x y";"x y"', "x y")],
)
def test_a_column_that_is_named_twice_is_one_error_with_file_and_column(tmp_path, read, header, named):
    write(tmp_path / "loan.csv", f"{header}\n" + ";".join("1" * (header.count(";") + 1)) + "\n")
    with pytest.raises(ContractError, match=rf"loan.csv, column .*column occurs twice: .*{named}"):
        read(path="loan.csv", delimiter=";")


def test_a_column_without_a_name_is_called_by_its_place(tmp_path, read):
    write(tmp_path / "trans.csv", ",id,w,\n0,1,a,\n")
    assert list(read(path="trans.csv").schema) == ["column_1", "id", "w", "column_4"]


def test_brackets_markup_and_blanks_stay_in_the_names(tmp_path, read):
    write(tmp_path / "trans.csv", "[account_id];[red];[/]; no. of cities \n1;2;3;4\n")
    assert list(read(path="trans.csv", delimiter=";").schema) == ["[account_id]", "[red]", "[/]", "no. of cities"]


def test_a_file_without_a_header_gets_the_declared_names(tmp_path, read, values):
    write(tmp_path / "trans.csv", "1,a\n2,b\n")
    rows = read(path="trans.csv", header=False, columns=["id", "word"])
    assert (list(rows.schema), values(rows)) == (["id", "word"], [("1", "a"), ("2", "b")])
    with pytest.raises(ContractError, match=r"2 rows have another number of fields than the header's 3"):
        read(path="trans.csv", header=False, columns=["id", "word", "more"])


def test_declared_names_take_the_place_of_those_in_the_header(tmp_path, read, values):
    write(tmp_path / "trans.csv", "x,x\n1,a\n")
    assert values(read(path="trans.csv", columns=["id", "word"])) == [("1", "a")]


def test_lines_above_the_header_and_below_the_rows_are_left_out_where_declared(tmp_path, read, values):
    text = 'Report of "May"\n\nid;w\n1;a\n2;b\nTotal: 2 rows\n\n'
    write(tmp_path / "trans.csv", text)
    assert values(read(path="trans.csv", delimiter=";", skip_rows=2, skip_footer=1)) == [("1", "a"), ("2", "b")]
    with pytest.raises(ContractError, match=r"\(line 6: 1 field: Total: 2 rows\).*\n.*skip_footer: 1"):
        read(path="trans.csv", delimiter=";", skip_rows=2)
    with pytest.raises(ContractError, match="skip_rows"):
        read(path="trans.csv", delimiter=";", skip_footer=1)
    with pytest.raises(ContractError, match="the delimiter is not declared, and no common delimiter splits"):
        read(path="trans.csv")
    with pytest.raises(ContractError, match=r"fewer lines than the 9 that `skip_footer`"):
        read(path="trans.csv", delimiter=";", skip_footer=9)
    with pytest.raises(ContractError, match=r"fewer lines than the 99 that `skip_rows`"):
        read(path="trans.csv", delimiter=";", skip_rows=99)


def test_a_footer_is_left_out_wherever_the_blocks_of_reading_end(tmp_path, read, values, monkeypatch):
    write(tmp_path / "trans.csv", "id;w\n" + "".join(f"{i};{'x' * i}\n" for i in range(30)) + "sum\n29\n")
    for size in (1, 7, 64, 300):
        monkeypatch.setattr(text_module, "CHUNK", size)
        rows = read(path="trans.csv", delimiter=";", skip_footer=2)
        assert [row[0] for row in values(rows)] == [str(i) for i in range(30)]
        for cached in (tmp_path / "cache").glob("*.json"):
            cached.unlink()


def test_uneven_lines_are_counted_and_three_are_shown(tmp_path, read):
    write(tmp_path / "loan.csv", "id;word\n1;a\n2\n3;b;c\n4;d;e\n5;f\n6\n7;g\n")
    with pytest.raises(
        ContractError,
        match=r"4 rows have another .* header's 2, for example \(line 3: 1 field: 2\); \(line 4: 3 fields: 3;b;c\); \(line 5",
    ):
        read(path="loan.csv", delimiter=";")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id;w\n1;a\n2", "the file ends in the middle of a line"),
        ('id;w\n1;a\n2;"b', "a quoted field that begins in line 3 does not end"),
        ('id;w\n1;"a\n2;b\n3;c\n', "a quoted field that begins in line 2 does not end"),
        ('id;w\n1;"a"b\n', "goes on behind its closing quote in line 2"),
        ('id;w\n1;"a\n2;"b"\n', "goes on behind its closing quote in line 3"),
        ("", "the file is empty"),
        ("\n\r\n", "the file is empty"),
        ("id;w\n1;a\x00\n", "NUL characters, the first in line 2"),
    ],
)
def test_a_file_that_is_cut_off_or_quoted_wrongly_is_refused_with_its_line(tmp_path, read, text, said):
    write(tmp_path / "trans.csv", text)
    with pytest.raises(ContractError, match=said):
        read(path="trans.csv", delimiter=";")


def test_a_quote_inside_a_value_and_a_file_without_quotes_are_read_to_the_letter(tmp_path, read, values):
    write(tmp_path / "trans.csv", "id;w\n1;12\" TV\n2;O'Neil\n")
    assert values(read(path="trans.csv", delimiter=";")) == [("1", '12" TV'), ("2", "O'Neil")]
    write(tmp_path / "raw.csv", 'id;w\n1;"a\n2;b"\n')
    assert values(read(path="raw.csv", delimiter=";", quote=None)) == [("1", '"a'), ("2", 'b"')]
    write(tmp_path / "single.csv", "id;w\n1;'a;b'\n")
    assert values(read(path="single.csv", delimiter=";", quote="'")) == [("1", "a;b")]
    with pytest.raises(ConfigError, match="not one ASCII character"):
        read(path="single.csv", delimiter=";", quote="''")


def test_a_last_line_without_a_line_end_is_noted_and_can_be_refused(tmp_path, read, values):
    write(tmp_path / "trans.csv", "id;amount\n1;5000\n2;30")
    rows = read(path="trans.csv")
    assert values(rows)[-1] == ("2", "30")
    assert len(rows.notes) == 1
    assert "the last line (3) has no line end" in rows.notes[0]
    assert read(path="trans.csv").notes == rows.notes  # also when the rows come from the cache
    with pytest.raises(ContractError, match=r"line 3: the last line \(3\) has no line end.*'2;30'"):
        read(path="trans.csv", unterminated="refuse")


def test_a_file_with_a_header_alone_has_columns_and_no_rows(tmp_path, read, values):
    for name, text in (("one.csv", "id;w\n"), ("two.csv", "id;w"), ("three.csv", "\ufeffid;w\r\n\r\n")):
        write(tmp_path / name, text)
        rows = read(path=name, delimiter=";")
        assert (list(rows.schema), values(rows), rows.counts) == (["id", "w"], [], {name: 0})


def test_a_wrong_delimiter_is_named(tmp_path, read):
    write(tmp_path / "loan.csv", "id,word\n1,a\n")
    with pytest.raises(ContractError, match=r"loan.csv.*wrong delimiter ',', not ';'"):
        read(path="loan.csv", delimiter=";")


def test_blanks_that_align_columns_are_one_delimiter(tmp_path, read, values):
    write(tmp_path / "cdnow.txt", " 00001 20210101  1   11.77\n 00002\t20210112  5   77.00 \r\n")
    rows = read(path="cdnow.txt", delimiter="whitespace", header=False, columns=["id", "date", "n", "amount"])
    assert values(rows) == [("00001", "20210101", "1", "11.77"), ("00002", "20210112", "5", "77.00")]


@pytest.mark.parametrize(
    "identifier",
    [
        "9000000000000000001",
        "18446744073709551615",
        "00042",
        "A0000002378",
        "3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "1e5",
        "NULL",
        "고객-7",
    ],
)
def test_an_identifier_is_its_whole_text(tmp_path, read, values, identifier):
    write(tmp_path / "trans.csv", f'id,w\n{identifier},1\n"{identifier}",2\n')
    assert [row[0] for row in values(read(path="trans.csv"))] == [identifier] * 2


def test_a_bare_carriage_return_ends_a_line_and_what_it_parts_is_refused(tmp_path, read):
    write(tmp_path / "trans.csv", "a;b;c\n1;2;\r0\n")
    with pytest.raises(ContractError, match=r"1 row has another number of fields .* \(line 3: 1 field: 0\)"):
        read(path="trans.csv", delimiter=";")


FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@hypothesis_settings(max_examples=60)
@given(
    table=st.lists(st.lists(FIELD, min_size=3, max_size=3), max_size=12),
    delimiter=st.sampled_from([";", ",", "\t", "|"]),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    chunk=st.sampled_from([3, 50, 1 << 20]),
)
def test_what_a_csv_writer_wrote_is_read_back(table, delimiter, end, quoting, chunk):
    if end == "\n" and any("\r" in value for row in table for value in row):
        quoting = (
            csv.QUOTE_ALL
        )  # a writer that ends lines by \n leaves \r bare, which readers take for the end of a line
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([["a", "b", "c"], *table])
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        patch.setattr(text_module, "CHUNK", chunk)
        write(folder / "t.csv", stream.getvalue())
        source = SourceSettings(static="a test", path="t.csv", delimiter=delimiter)
        rows = read_source("t", source, folder, folder / "cache", lambda *told: None)
        read_back = duckdb.sql(f"FROM {rows.scan()}").fetchall()
    assert read_back == [tuple(value.strip() or None for value in row) for row in table]
