"""Text in any encoding and compression: decoded strictly, and what is not of the encoding is told with its place."""

from __future__ import annotations

import bz2
import gzip
import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from finai_assets.ingest.tables.reading import read_source
from finai_assets.ingest.tables.reading import text as text_module
from finai_assets.settings.tables import SourceSettings
from finai_resources.errors import ConfigError, ContractError

PACKED = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": lambda data: pa.Codec("zstd").compress(data, asbytes=True),
    ".lz4": lambda data: pa.Codec("lz4").compress(data, asbytes=True),
}
WORDS = {
    "utf-8": "Plzeň 고객 €",
    "utf-8-sig": "Plzeň",
    "cp949": "홍길동 예금",
    "euc-kr": "홍길동",
    "utf-16": "Plzeň 고객 𝄞",
    "utf-16-le": "고객",
    "utf-16-be": "고객",
    "utf-32": "고객",
    "iso-8859-2": "Žďár nad Sázavou",
    "cp1250": "Žďár",
    "latin-1": "Zürich",
    "shift_jis": "東京",
    "gb18030": "北京 €",
    "cp500": "Zurich",
}


@pytest.mark.parametrize("encoding", sorted(WORDS))
def test_a_declared_encoding_is_read(tmp_path, read, values, encoding):
    (tmp_path / "trans.csv").write_bytes(f"id;město\n1;{WORDS[encoding]}\n".replace("ě", "e").encode(encoding))
    rows = read(path="trans.csv", encoding=encoding, delimiter=";")
    assert (list(rows.schema), values(rows)) == (["id", "mesto"], [("1", WORDS[encoding])])


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path, read, mark):
    (tmp_path / "trans.csv").write_bytes("id;w\n1;a\n".encode(mark))
    declared = "utf-8" if mark == "utf-8-sig" else mark
    assert list(read(path="trans.csv", encoding=declared).schema) == ["id", "w"]


@pytest.mark.parametrize(
    ("text", "written", "declared", "line", "suggested", "reads"),
    [
        ("id;town\n1;Brno\n2;Plzeň\n", "cp1250", "utf-8", 3, "cp1250", "2;Plzeň"),
        ("id;name\n1;홍길동\n", "cp949", "utf-8", 2, "cp949", "1;홍길동"),
        ("id;이름\n1;홍길동\n", "utf-8", "ascii", 1, "utf-8", "id;이름"),
        ("id;w\n1;a\n", "utf-16", "utf-8", 1, "utf-16", "id;w"),
    ],
)
def test_a_wrong_encoding_is_told_with_line_position_and_what_would_read_it(
    tmp_path, read, text, written, declared, line, suggested, reads
):
    data = text.encode(written)
    (tmp_path / "trans.csv").write_bytes(data)
    with pytest.raises(UnicodeDecodeError) as wrong:
        data.decode(declared)
    with pytest.raises(ContractError) as caught:
        read(path="trans.csv", encoding=declared, delimiter=";")
    told = str(caught.value)
    assert f"trans.csv, line {line}: wrong encoding" in told
    assert f"at position {wrong.value.start} (line {line})" in told
    assert f"as {suggested} the line reads {reads!r}" in told


def test_the_place_of_a_wrong_byte_is_right_wherever_the_chunks_of_reading_end(tmp_path, read, monkeypatch):
    data = ("id;w\n" + "1;고객\n" * 40).encode() + b"2;\xff\n"
    (tmp_path / "trans.csv").write_bytes(data)
    for size in (1, 2, 3, 5, 64):
        monkeypatch.setattr(text_module, "CHUNK", size)
        with pytest.raises(ContractError, match=rf"position {len(data) - 2:,} \(line 42\)"):
            read(path="trans.csv")


@pytest.mark.parametrize("name", ["klingon", "rot13", "base64", "zip", "hex"])
def test_what_is_no_encoding_of_text_is_refused_by_name(tmp_path, read, name):
    with pytest.raises(ConfigError, match=rf"tables.sources.trans.encoding: unknown encoding '{name}'"):
        read(path="trans.csv", encoding=name)


def test_utf_16_without_a_mark_is_not_taken_for_utf_8(tmp_path, read):
    (tmp_path / "trans.csv").write_bytes("id;w\n1;a\n".encode("utf-16-le"))
    with pytest.raises(ContractError, match=r"NUL characters, the first in line 1"):
        read(path="trans.csv")
    with pytest.raises(ContractError, match=r"does not start with BOM(.|\n)*utf-16-le"):
        read(path="trans.csv", encoding="utf-16")


@pytest.mark.parametrize("suffix", sorted(PACKED))
def test_a_compressed_file_is_read_and_one_that_is_cut_off_is_refused(tmp_path, read, values, suffix):
    text = "id;w\n" + "".join(f"{i};{i * i}\n" for i in range(20_000))
    whole = PACKED[suffix](text.encode())
    (tmp_path / f"trans.csv{suffix}").write_bytes(whole)
    (tmp_path / f"misnamed{suffix}.csv").write_bytes(whole)
    assert values(read(path="trans")) == values(read(path=f"misnamed{suffix}.csv"))
    assert len(values(read(path="trans"))) == 20_000
    for share in (0.2, 0.9, 0.9999):
        (tmp_path / f"cut.csv{suffix}").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ContractError, match=r"cut.csv.*cut off or damaged"):
            read(path="cut")
    assert not list((tmp_path / "cache").glob("*.partial"))


def test_a_file_that_two_compressors_wrote_one_after_the_other_is_read_whole(tmp_path, read, values):
    (tmp_path / "trans.csv.gz").write_bytes(gzip.compress(b"id;w\n1;a\n") + gzip.compress(b"2;b\n"))
    assert values(read(path="trans.csv.gz")) == [("1", "a"), ("2", "b")]


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"PK\x03\x04" + bytes(20), "a zip archive or an Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook"),
        (b"SQLite format 3\x00" + bytes(20), "an SQLite database"),
    ],
)
def test_a_file_of_another_kind_is_called_by_its_name(tmp_path, read, head, said):
    (tmp_path / "trans.csv").write_bytes(head)
    with pytest.raises(ContractError, match=rf"trans.csv: this is {said}, not a text file"):
        read(path="trans.csv")


LETTERS = {
    "cp949": st.characters(codec="cp949"),
    "iso-8859-2": st.characters(codec="iso-8859-2", min_codepoint=32),
    "utf-16": st.characters(codec="utf-8"),
    "gb18030": st.characters(codec="gb18030", exclude_categories=("Co",)),
}


@hypothesis_settings(max_examples=60)
@given(data=st.data(), encoding=st.sampled_from(sorted(LETTERS)), chunk=st.sampled_from([1, 2, 7, 1 << 20]))
def test_any_text_that_an_encoding_has_is_read_back(data, encoding, chunk):
    words = data.draw(st.lists(st.text(LETTERS[encoding], max_size=6), max_size=8))
    clean = ["".join(letter for letter in word if letter.isprintable() and letter not in '|"') for word in words]
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        patch.setattr(text_module, "CHUNK", chunk)
        (folder / "t.csv").write_bytes(
            ("id|w\n" + "".join(f"{i}|{word}\n" for i, word in enumerate(clean))).encode(encoding)
        )
        source = SourceSettings(static="a test", path="t.csv", delimiter="|", encoding=encoding)
        rows = read_source("t", source, folder, folder / "cache", lambda *told: None)
        assert duckdb.sql(f"FROM {rows.scan()}").fetchall() == [
            (str(i), word.strip() or None) for i, word in enumerate(clean)
        ]
