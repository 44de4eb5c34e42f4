"""How a text file is written is told from its first lines."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finai_assets.ingest.tables.guess.sniff import encoding_of, has_header, sniff
from finai_resources.errors import ContractError

ROWS = [
    ["customer", "day", "amount"],
    ["C1", "2015-01-05", "10.5"],
    ["C2", "2015-01-06", "-3"],
    ["C3", "2015-01-07", "4"],
]


def written(path: Path, delimiter: str, encoding: str = "utf-8", *, header: bool = True, above: str = "") -> Path:
    text = above + "".join(delimiter.join(row) + "\n" for row in ROWS[0 if header else 1 :])
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_the_delimiter_and_the_encoding_are_told(tmp_path: Path, delimiter: str, encoding: str) -> None:
    found = sniff(written(tmp_path / "a.csv", delimiter, encoding))
    assert found.keys["delimiter"] == delimiter
    assert found.keys.get("encoding", "utf-8") == encoding.removesuffix("-sig")
    assert (found.columns, found.keys["header"], found.questions) == (("customer", "day", "amount"), True, ())


def test_a_compressed_file_is_looked_into(tmp_path: Path) -> None:
    assert sniff(written(tmp_path / "a.csv.gz", ";")).columns == ("customer", "day", "amount")


def test_a_file_without_a_header_is_told_and_its_columns_are_asked(tmp_path: Path) -> None:
    found = sniff(written(tmp_path / "a.csv", ",", header=False))
    assert found.keys["header"] is False
    assert found.keys["columns"] == ["column_1", "column_2", "column_3"]
    assert "no header" in found.questions[0]


def test_columns_that_blanks_align_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(
        " 00001 19970101  1   11.77\n 00002 19970112  1   12.00\n 00002 19970112  5   77.00\n", encoding="utf-8"
    )
    found = sniff(path)
    assert found.keys["delimiter"] == "whitespace"
    assert len(found.columns) == 4


def test_an_empty_file_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"")
    with pytest.raises(ContractError, match=r"a\.csv: the file is empty"):
        sniff(tmp_path / "a.csv")


@pytest.mark.parametrize("cut", range(4))
def test_korean_text_is_told_from_other_byte_tables_wherever_it_is_cut(cut: int) -> None:
    data = ("고객번호,거래일자,금액\n" * 30).encode("cp949")
    assert encoding_of(data[: len(data) - cut]) == ("cp949", "")


def test_a_western_byte_table_is_asked() -> None:
    codec, question = encoding_of("Müller;Straße;naïve café\n".encode("cp1252") * 10)
    assert codec == "cp1252"
    assert "cannot be told" in question


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=200))
def test_whatever_is_written_as_utf_8_is_read_as_utf_8(text: str) -> None:
    assert encoding_of(text.encode()) == ("utf-8", "")


def test_a_header_above_text_alone_is_told_where_no_value_is_its_own_name() -> None:
    assert has_header([["name", "city"], ["Anna", "Brno"], ["Jan", "Praha"]])
    assert not has_header([["Anna", "Brno"], ["Anna", "Brno"], ["Jan", "Brno"]])
    assert not has_header([["1", "Brno"], ["2", "Praha"]])
