"""Files as users deliver them, whole and broken in every way that is known."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finai_assets.ingest.files import (
    find_file,
    parse_numbers,
    read_file,
    schema_hash,
    source_columns,
    source_folder,
)
from finai_resources.errors import ConfigError, ContractError


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_a_csv_is_read_as_trimmed_text_and_blanks_are_null(tmp_path):
    path = write(tmp_path / "loan.asc", '"id";"word"\n1;"PREVOD; NA UCET"\n2;" "\n3;\n')
    table = read_file(path, ["word", "id"])
    assert table.to_pylist() == [
        {"word": "PREVOD; NA UCET", "id": "1"},
        {"word": None, "id": "2"},
        {"word": None, "id": "3"},
    ]
    assert source_columns(path) == {"id": "string", "word": "string"}


def test_a_wrong_delimiter_is_named(tmp_path):
    path = write(tmp_path / "loan.csv", "id,word\n1,a\n")
    with pytest.raises(ContractError, match=r"loan.csv.*wrong delimiter ',', not ';'"):
        read_file(path, ["id"])


def test_a_wrong_encoding_is_named_with_its_rows(tmp_path):
    path = write(tmp_path / "client.csv", "id;town\n1;Plzeň\n2;Brno\n3;Žďár\n", "cp1250")
    with pytest.raises(
        ContractError, match=r"column town: wrong encoding: 2 of 3 rows are not utf-8, for example b'Plze"
    ):
        read_file(path, ["id", "town"])
    assert read_file(path, ["town"], encoding="cp1250")["town"].to_pylist() == ["Plzeň", "Brno", "Žďár"]


def test_a_header_in_another_encoding_is_named(tmp_path):
    path = write(tmp_path / "client.csv", "id;město\n1;Brno\n", "cp1250")
    with pytest.raises(ContractError, match="wrong encoding: the header is not utf-8"):
        read_file(path, ["id"])


def test_uneven_lines_are_counted_and_shown(tmp_path):
    path = write(tmp_path / "loan.csv", "id;word\n1;a\n2\n3;b;c\n4;d;e\n5;f\n")
    with pytest.raises(
        ContractError, match=r"3 rows have another number of fields than the header's 2.*\(row 3: 1 fields: 2\)"
    ):
        read_file(path, ["id"])


def test_a_truncated_parquet_is_refused_wherever_it_is_cut(tmp_path):
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"id": list(range(5000)), "word": [str(i) for i in range(5000)]}), whole)
    content = whole.read_bytes()
    for share in (0.0, 0.01, 0.5, 0.999):
        path = tmp_path / "trans.parquet"
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(ContractError, match=r"trans.parquet.*truncated or damaged"):
            read_file(path, ["id"])
    holed = bytearray(content)
    holed[200:400] = bytes(200)
    path.write_bytes(bytes(holed))
    with pytest.raises(ContractError, match=r"trans.parquet.*truncated or damaged"):
        read_file(path, ["id", "word"])


def test_a_missing_column_is_named_with_what_is_there(tmp_path):
    path = tmp_path / "loan.parquet"
    pq.write_table(pa.table({"id": [1, 2]}), path)
    with pytest.raises(ContractError, match=r"column duration: missing column \(2 rows\): duration; the file has id"):
        read_file(path, ["id", "duration"])
    with pytest.raises(ContractError, match="missing column"):
        read_file(write(tmp_path / "card.csv", "id;a\n1;2\n"), ["id", "duration"])


def test_a_table_must_stand_in_exactly_one_file(tmp_path):
    with pytest.raises(ContractError, match="there is no file for table loan"):
        find_file(tmp_path, "loan")
    write(tmp_path / "loan.csv", "id;a\n")
    assert find_file(tmp_path, "loan").name == "loan.csv"
    write(tmp_path / "loan.asc", "id;a\n")
    with pytest.raises(ContractError, match=r"2 files: loan.csv, loan.asc"):
        find_file(tmp_path, "loan")


def test_a_source_that_is_not_named_or_not_there_says_how_to_name_it(tmp_path):
    for source in (None, str(tmp_path / "nowhere")):
        with pytest.raises(ConfigError, match=r"--source FOLDER.*FINAI_SOURCE"):
            source_folder(source)
    assert source_folder(str(tmp_path)) == tmp_path


def test_numbers_are_parsed_from_text_and_what_is_none_is_counted():
    text = pa.chunked_array([pa.array(["12", "-3.0", "+4", " ", None])])
    assert parse_numbers(text, pa.int64(), source="f", name="n").to_pylist() == [12, -3, 4, None, None]
    assert parse_numbers(text, pa.float64(), source="f", name="n").to_pylist() == [12.0, -3.0, 4.0, None, None]
    assert parse_numbers(pa.chunked_array([[1.0, 2.0]]), pa.int64(), source="f", name="n").to_pylist() == [1, 2]
    bad = pa.chunked_array([["1", "1,5", "x", "2.5"]])
    with pytest.raises(ContractError, match=r"f, column n: wrong type: not int64: 3 rows.*\(row 2: '1,5'\)"):
        parse_numbers(bad, pa.int64(), source="f", name="n")
    with pytest.raises(ContractError, match=r"wrong type: not double: 2 rows"):
        parse_numbers(bad, pa.float64(), source="f", name="n")


def test_the_schema_hash_ignores_order_and_sees_every_change():
    one = {"loan": {"id": "int64", "date": "int64"}, "card": {"id": "int64"}}
    turned = {"card": {"id": "int64"}, "loan": {"date": "int64", "id": "int64"}}
    assert schema_hash(one) == schema_hash(turned)
    changed = [
        {**one, "loan": {"id": "int64", "date": "string"}},
        {**one, "loan": {"id": "int64"}},
        {**one, "loan": {**one["loan"], "x": "int64"}},
    ]
    assert len({schema_hash(one), *map(schema_hash, changed)}) == 4
