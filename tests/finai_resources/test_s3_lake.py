"""The lake on S3: a real S3 server (moto) on loopback, addressed path-style through dagster-aws' resource."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from dagster_aws.s3 import S3Resource

from finai_resources import objects
from finai_resources.chained_log import ChainedLog
from finai_resources.errors import LakeError
from finai_resources.lake import Lake
from finai_resources.lake_resource import LakeResource
from finai_resources.lake_session import LakeSession
from finai_resources.stored_bytes import every_fault


def test_a_partition_is_written_to_s3_and_read_back(s3_lake: Lake) -> None:
    content = pa.table({"customer_id": np.arange(100), "value": np.random.default_rng(0).random(100)})
    session = LakeSession(s3_lake)
    with session.write("raw/snapshots", "2015-01", code_version="1") as out:
        out.write(content, row_group_size=10)
        out.put("note.json", b"{}")
    assert s3_lake.read("raw/snapshots", "2015-01").equals(content)
    assert s3_lake.partitions("raw/snapshots") == ["2015-01"]
    assert s3_lake.read_bytes("raw/snapshots", "2015-01", "note.json") == b"{}"
    assert s3_lake.read_customers("raw/snapshots", "2015-01", 15, 33)["customer_id"].to_pylist() == list(range(15, 34))
    assert every_fault(s3_lake, s3_lake.manifest("raw/snapshots", "2015-01")) == []


def test_a_failed_write_to_s3_leaves_nothing_to_read(s3_lake: Lake) -> None:
    def interrupted() -> None:
        with s3_lake.write("raw/other", "2015-01") as out:
            out.write(pa.table({"customer_id": [1]}))
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        interrupted()
    assert s3_lake.find("raw/other", "2015-01") is None


def test_a_stored_file_is_fetched_once_for_a_memory_map(s3_lake: Lake, tmp_path: object) -> None:
    with s3_lake.write("teacher/matrix") as out:
        np.save(out.new_file("X.npy"), np.arange(12, dtype=np.float32).reshape(3, 4))
    path = s3_lake.local_path("teacher/matrix", None, "X.npy", cache=tmp_path)  # type: ignore[arg-type]
    assert np.load(path, mmap_mode="r").shape == (3, 4)
    assert s3_lake.local_path("teacher/matrix", None, "X.npy", cache=tmp_path) == path  # type: ignore[arg-type]


def test_a_root_without_a_bucket_is_refused() -> None:
    resource = LakeResource(root="s3://", s3=S3Resource(endpoint_url="http://127.0.0.1:1"))
    with pytest.raises(LakeError, match="names no bucket"):
        resource.open()


def test_the_chained_log_claims_its_numbers_by_conditional_puts(s3_lake: Lake) -> None:
    first, second = ChainedLog(s3_lake, "evidence"), ChainedLog(s3_lake, "evidence")
    for k in range(3):
        first.append({"k": k})
        second.append({"k": k})
    assert [entry.record["k"] for entry in first.entries()] == [0, 0, 1, 1, 2, 2]
    assert not objects.put_if_absent(s3_lake, f"{s3_lake.root}/evidence/000000000.json", b"forged")
    assert second.verify() == []
