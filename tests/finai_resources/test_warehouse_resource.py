"""The warehouse in Dagster: dagster-duckdb's resource, whose connections show the lake and hold nothing."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import duckdb
import pyarrow as pa
import pytest
from dagster_aws.s3 import S3Resource
from dagster_duckdb import DuckDBResource

from finai_resources.errors import LakeError
from finai_resources.lake import Lake
from finai_resources.lake_resource import LakeResource
from finai_resources.warehouse_resource import WarehouseResource


@pytest.fixture
def resource(lake: Lake) -> WarehouseResource:
    for month, rows in (("2015-01", 3), ("2015-02", 4)):
        with lake.write("raw/snapshots", month) as out:
            out.write(pa.table({"customer_id": list(range(rows))}))
    return WarehouseResource(lake=LakeResource(root=lake.root, s3=S3Resource()))


def test_it_is_dagsters_own_resource_and_shows_every_table(resource: WarehouseResource) -> None:
    assert isinstance(resource, DuckDBResource)
    with resource.get_connection() as connection:
        found = connection.sql("SELECT month, count(*) FROM raw.snapshots GROUP BY month ORDER BY month").fetchall()
    assert found == [("2015-01", 3), ("2015-02", 4)]


def test_each_connection_is_a_database_of_its_own(resource: WarehouseResource) -> None:
    with resource.get_connection() as one, resource.get_connection() as two:
        one.execute("CREATE TABLE mine (x INTEGER)")
        with pytest.raises(duckdb.CatalogException, match="mine"):
            two.sql("SELECT * FROM mine")


def test_a_variable_of_python_is_no_table(resource: WarehouseResource) -> None:
    secret = pa.table({"x": [1]})
    with resource.get_connection() as connection, pytest.raises(duckdb.CatalogException, match="secret does not exist"):
        connection.sql("SELECT * FROM secret")
    assert secret.num_rows == 1


def test_a_connection_is_closed_when_its_block_raises(resource: WarehouseResource) -> None:
    held = []
    with pytest.raises(RuntimeError, match="stopped"), resource.get_connection() as connection:  # noqa: PT012
        held.append(connection)
        raise RuntimeError("stopped")
    with pytest.raises(duckdb.ConnectionException):
        held[0].execute("SELECT 1")


def test_an_asset_that_asks_records_what_it_was_made_from(resource: WarehouseResource) -> None:
    @dg.asset
    def report(lake: LakeResource, warehouse: WarehouseResource) -> dg.MaterializeResult:
        session = lake.session()
        question = "SELECT count(*) AS customers FROM raw.snapshots"
        answer = warehouse.over(session).query(question, reads={"raw/snapshots": ["2015-02"]})
        with session.write("report/customers", code_version="1") as out:
            out.write(answer)
        return dg.MaterializeResult(metadata={"customers": answer["customers"][0].as_py()})

    ran = dg.materialize([report], resources={"lake": resource.lake, "warehouse": resource})
    assert ran.asset_materializations_for_node("report")[0].metadata["customers"].value == 4
    assert set(resource.lake.open().manifest("report/customers").upstream) == {"raw/snapshots@2015-02"}


def test_a_lake_that_is_not_there_is_not_made_by_asking(tmp_path: Path) -> None:
    absent = tmp_path / "nowhere"
    resource = WarehouseResource(lake=LakeResource(root=str(absent), s3=S3Resource()))
    with pytest.raises(LakeError, match="there is no lake here"), resource.get_connection():
        pass
    with pytest.raises(LakeError, match="finai run"):
        resource.over()
    assert not absent.exists()
