"""Which files a path means."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finai_resources.errors import ConfigError, ContractError


def csv(path: Path, *ids: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("id,w\n" + "".join(f"{i},x\n" for i in ids))
    return path


def parquet(path: Path, *ids: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": list(ids)}), path)
    return path


@pytest.mark.parametrize("name", ["trans.csv", "TRANS.CSV", "Trans.Csv", "trans.txt", "TRANS.ASC"])
@pytest.mark.parametrize("path", ["trans", "Trans", None])
def test_a_name_is_found_whatever_its_case_and_with_or_without_its_suffix(tmp_path, read, values, name, path):
    csv(tmp_path / name, 1)
    rows = read(path=path or name.lower())
    assert rows.files.keys() == {name}
    assert len(values(rows)) == 1


def test_the_spelling_that_is_there_is_preferred_and_two_that_could_be_meant_are_told(tmp_path, read):
    csv(tmp_path / "trans.csv", 1)
    csv(tmp_path / "TRANS.csv", 2)
    assert read(path="TRANS.csv").files.keys() == {"TRANS.csv"}
    with pytest.raises(ContractError, match=r"'Trans.csv' could be 2 files: TRANS.csv, trans.csv"):
        read(path="Trans.csv")
    with pytest.raises(ContractError, match=r"'trans' could be 2 files"):
        read(path="trans")


def test_a_missing_file_is_told_with_what_is_there_and_what_is_near(tmp_path, read):
    csv(tmp_path / "transactions.csv", 1)
    with pytest.raises(
        ContractError, match=r"no file 'transaktions.csv'.*holds .*transactions.csv.*did you mean transactions.csv"
    ):
        read(path="transaktions.csv")
    with pytest.raises(ContractError, match="there is no folder"):
        read(tmp_path / "nowhere", path="trans.csv")
    with pytest.raises(ConfigError, match=r"relative, and no folder(.|\n)*--source FOLDER"):
        read(None, path="trans.csv")


def test_a_pattern_means_all_files_that_it_matches_in_order(tmp_path, read, values):
    for month in ("1993-02", "1993-01", "1993-10"):
        csv(tmp_path / f"Trans_{month}.csv", int(month[-2:]))
    csv(tmp_path / "other.csv", 99)
    csv(tmp_path / "deep" / "a" / "trans_x.csv", 5)
    assert [row[0] for row in values(read(path="trans_*.csv"))] == ["1", "2", "10"]
    assert [row[0] for row in values(read(path="trans_1993-0[12].csv"))] == ["1", "2"]
    assert [row[0] for row in values(read(path="**/trans_x.csv"))] == ["5"]
    assert [row[0] for row in values(read(path=["other.csv", "deep/A/trans_x.csv"]))] == ["99", "5"]
    assert [row[0] for row in values(read(None, path=str(tmp_path / "trans_*.csv")))] == ["1", "2", "10"]
    assert read(path="trans_*.csv").counts == {f"Trans_{m}.csv": 1 for m in ("1993-01", "1993-02", "1993-10")}
    assert "(3 files)" in read(path="trans_*.csv").shown


@pytest.mark.parametrize(
    "name", ["a[1].csv", "[red].csv", "it's; DROP.csv", "a b%20.csv", "홍.csv", "x*.csv", "new\nline.csv"]
)
def test_a_name_is_taken_to_the_letter_where_such_a_file_is_there(tmp_path, read, values, name):
    csv(tmp_path / name, 7)
    csv(tmp_path / "a1.csv", 8)
    rows = read(path=name)
    assert values(rows) == [("7", "x")]
    assert rows.files.keys() == {name}
    parquet(tmp_path / f"{name}.parquet", 9)
    assert values(read(path=f"{name}.parquet")) == [(9,)]


def test_a_name_that_is_no_text_is_read_and_shown(tmp_path, read, values):
    raw = os.fsencode(tmp_path) + b"/caf\xe9.csv"
    Path(os.fsdecode(raw)).write_text("id,w\n1\n")
    with pytest.raises(ContractError, match=re.escape("caf\\udce9.csv")):
        read(path="*.csv")
    Path(os.fsdecode(raw)).write_text("id,w\n1,a\n")
    assert values(read(path="*.csv")) == [("1", "a")]


def test_a_spark_folder_is_its_part_files(tmp_path, read, values):
    folder = tmp_path / "trans.parquet"
    for part in (1, 0):
        parquet(folder / f"part-0000{part}.snappy.parquet", part)
    (folder / "_SUCCESS").touch()
    (folder / ".part-00000.snappy.parquet.crc").write_bytes(b"crc")
    assert values(read(path="trans.parquet")) == [(0,), (1,)]
    assert values(read(path="TRANS")) == [(0,), (1,)]


def test_folders_may_state_values_of_columns(tmp_path, read, values):
    folder = tmp_path / "trans"
    parquet(folder / "month=1993-01" / "bank=a%2Fb" / "part-0.parquet", 1)
    parquet(folder / "month=1993-02" / "bank=__HIVE_DEFAULT_PARTITION__" / "part-0.parquet", 2)
    rows = read(path="trans")
    assert rows.schema == {"id": "int64", "bank": "string", "month": "string"}
    assert values(rows) == [(1, "a/b", "1993-01"), (2, None, "1993-02")]
    csv(tmp_path / "text" / "month=1993-01" / "part-0.csv", 5)
    assert values(read(path="text")) == [("5", "x", "1993-01")]


@pytest.mark.parametrize(
    ("mark", "said"),
    [("_delta_log/0.json", "a Delta Lake table"), (".hoodie/x", "a Hudi table"),
     ("metadata/v1.metadata.json", "an Iceberg table"), ("_temporary/0/x", "not written to its end")],
)  # fmt: skip
def test_a_folder_whose_files_are_not_all_of_the_table_is_refused(tmp_path, read, mark, said):
    parquet(tmp_path / "trans" / "part-0.parquet", 1)
    (tmp_path / "trans" / mark).parent.mkdir(parents=True)
    (tmp_path / "trans" / mark).write_text("{}")
    with pytest.raises(ContractError, match=said):
        read(path="trans")


def test_an_empty_folder_is_told(tmp_path, read):
    (tmp_path / "trans").mkdir()
    (tmp_path / "trans" / "_SUCCESS").touch()
    with pytest.raises(ContractError, match="there is no file 'trans'"):
        read(path="trans")


def test_the_same_files_elsewhere_are_the_same_source(tmp_path, read):
    for place in ("one", "two/deep"):
        csv(tmp_path / place / "trans.csv", 1)
        csv(tmp_path / place / "parts" / "a.csv", 1)
    first, second = read(tmp_path / "one", path="trans.csv"), read(tmp_path / "two/deep", path="trans.csv")
    absolute = read(None, path=str(tmp_path / "one" / "trans.csv"))
    assert first.files == second.files == absolute.files
    assert first.parquet == second.parquet == absolute.parquet
    assert read(tmp_path / "one", path="parts").files == read(tmp_path, path="two/deep/parts/*.csv").files
