"""A lake in S3 is asked as one on a disk is, without an extension of DuckDB: a real S3 server (moto) on loopback."""

from __future__ import annotations

import time

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from finai_resources import warehouse_views
from finai_resources.chained_log import ChainedLog
from finai_resources.errors import LakeError, QueryError
from finai_resources.lake import Lake
from finai_resources.lake_resource import LakeResource
from finai_resources.lake_session import LakeSession
from finai_resources.warehouse import SETTINGS, Warehouse, rebuild
from finai_resources.warehouse_resource import WarehouseResource
from finai_resources.warehouse_views import EVIDENCE, use_httpfs

MONTHS = ("2015-01", "2015-02", "2015-03")
ASSET = "features/demographics"
HAS_HTTPFS = duckdb.execute("SELECT installed FROM duckdb_extensions() WHERE extension_name = 'httpfs'").fetchall()[0][
    0
]
needs_httpfs = pytest.mark.skipif(not HAS_HTTPFS, reason="httpfs is not installed on this machine")


def features(month: str) -> pa.Table:
    values = np.random.default_rng(MONTHS.index(month)).normal(size=50).astype(np.float32)
    values[:5] = np.nan
    return pa.table({"customer_id": pa.array(range(50), pa.int64()), "age": values})


def fill(lake: Lake) -> None:
    for month in MONTHS:
        with lake.write(ASSET, month) as out:
            out.write(features(month), row_group_size=20)
    with lake.write("raw/products") as out:
        out.write(pa.table({"product_id": [0, 1], "held": [[1, 2], None]}))
    ChainedLog(lake, EVIDENCE).append_all([{"check": "C05", "passed": True}, {"check": "C17", "passed": False}])


@pytest.fixture(params=["arrow", pytest.param("httpfs", marks=needs_httpfs)])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def by_arrow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask through Arrow, also on a machine that has httpfs, unless a test asks for that."""
    if "way" not in request.fixturenames or request.getfixturevalue("way") == "arrow":
        monkeypatch.setattr(warehouse_views, "use_httpfs", lambda _connection, _lake: False)


@pytest.fixture
def filled(s3_lake: Lake) -> Lake:
    fill(s3_lake)
    return s3_lake


@pytest.mark.usefixtures("way")
def test_tables_values_and_the_evidence_log_are_those_of_the_same_lake_on_disk(filled: Lake, lake: Lake) -> None:
    fill(lake)
    remote, local = Warehouse(LakeSession(filled)), Warehouse(LakeSession(lake))
    assert [(t.name, t.rows, t.months) for t in remote.tables()] == [(t.name, t.rows, t.months) for t in local.tables()]
    for question in (
        "SELECT * REPLACE (age::VARCHAR AS age) FROM features.demographics ORDER BY month, customer_id",
        "SELECT month, count(*) AS n, sum(age) FILTER (NOT isnan(age)) AS total FROM features.demographics "
        "WHERE month >= '2015-02' AND customer_id < 30 GROUP BY month ORDER BY month",
        "SELECT product_id, len(held) AS held FROM raw.products ORDER BY product_id",
        "SELECT sequence, record->>'check' AS name FROM evidence.log ORDER BY sequence",
        "DESCRIBE features.demographics",
    ):
        assert remote.query(question).to_pylist() == local.query(question).to_pylist(), question
    assert remote.session.seen == local.session.seen


def test_a_table_of_which_one_month_is_gone_is_refused(filled: Lake) -> None:
    gone = filled.manifest(ASSET, "2015-03")
    filled.fs.delete_file(filled.path(gone, gone.files[0]))
    for _ in range(2):
        with pytest.raises(LakeError, match="is gone"):
            Warehouse(LakeSession(filled)).query("SELECT sum(customer_id) FROM features.demographics")


def test_months_with_other_columns_are_joined_by_name(filled: Lake) -> None:
    with filled.write(ASSET, "2015-02") as out:
        out.write(features("2015-02").select(["age", "customer_id"]).append_column("income", pa.array(range(50))))
    found = Warehouse(LakeSession(filled)).query(
        "SELECT month, sum(customer_id) AS ids, count(income) AS incomes FROM features.demographics GROUP BY ALL ORDER BY ALL"
    )
    assert found["ids"].to_pylist() == [1225] * 3
    assert found["incomes"].to_pylist() == [0, 50, 0]


def test_a_missing_extension_is_told_from_an_installed_one_without_a_download(filled: Lake) -> None:
    started = time.monotonic()
    with duckdb.connect(config=SETTINGS) as connection:
        assert use_httpfs(connection, filled) is HAS_HTTPFS
    assert time.monotonic() - started < 5


@pytest.mark.usefixtures("way")
def test_no_other_place_is_read(filled: Lake) -> None:
    for place in ("s3://elsewhere/x.parquet", "https://127.0.0.1:9/x.parquet"):
        with pytest.raises(QueryError, match="nothing else"):
            Warehouse(LakeSession(filled)).query(f"SELECT * FROM raw.products, read_parquet('{place}')")


def test_a_bucket_that_is_empty_or_absent_holds_no_table(s3_resource: LakeResource) -> None:
    with pytest.raises(LakeError, match="holds no table"):
        WarehouseResource(lake=s3_resource).over().tables()
    absent = LakeResource(root="s3://finai-no-such-bucket/lake", s3=s3_resource.s3)
    with pytest.raises(LakeError, match="finai-no-such-bucket"):
        WarehouseResource(lake=absent).over().tables()


def test_a_connection_of_the_resource_shows_every_table(filled: Lake, s3_resource: LakeResource) -> None:
    with WarehouseResource(lake=s3_resource).get_connection() as connection:
        found = connection.sql("SELECT count(*), max(month) FROM features.demographics").fetchall()
        logged = connection.sql("SELECT count(*) FROM evidence.log").fetchall()
    assert found == [(150, "2015-03")]
    assert logged == [(2,)]
    assert filled.assets() == [ASSET, "raw/products"]


def test_a_file_of_views_is_refused_with_the_way_out(filled: Lake, tmp_path: object) -> None:
    with pytest.raises(LakeError, match="finai sql"):
        rebuild(filled, tmp_path / "finai.duckdb")  # type: ignore[operator]
