"""Anchors in a bucket with an object lock: a real S3 server (moto) on loopback keeps them from whoever may write there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from finai_resources.anchors import Anchors
from finai_resources.chained_log import ChainedLog
from finai_resources.lake import Lake
from tests.helpers.s3_fixtures import KEYS

LOCKED = "finai-anchors"
KEY = bytes(range(32))


@pytest.fixture
def client(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    made = boto3.client("s3", endpoint_url=endpoint, **KEYS)
    if LOCKED not in {bucket["Name"] for bucket in made.list_buckets()["Buckets"]}:
        made.create_bucket(Bucket=LOCKED, ObjectLockEnabledForBucket=True)
    monkeypatch.setenv("FINAI_ANCHORS", f"s3://{LOCKED}/{request.node.name}")
    monkeypatch.setenv("FINAI_ANCHOR_DAYS", "30")
    return made


def _log(lake: Lake) -> ChainedLog:
    return ChainedLog(lake, "evidence", key=KEY, anchors=Anchors.of(lake), anchor_every=2)


def _versions(client: Any, prefix: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.list_object_versions(Bucket=LOCKED, Prefix=prefix).get("Versions", [])
    return found


def test_an_anchor_is_locked_for_its_days_and_nobody_deletes_it_before(
    s3_lake: Lake, client: Any, request: pytest.FixtureRequest
) -> None:
    _log(s3_lake).append_all({"k": k} for k in range(4))
    versions = _versions(client, request.node.name)
    assert len(versions) == 1
    held = client.head_object(Bucket=LOCKED, Key=versions[0]["Key"])
    assert held["ObjectLockMode"] == "COMPLIANCE"
    assert timedelta(days=29) < held["ObjectLockRetainUntilDate"] - datetime.now(UTC) <= timedelta(days=30)
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(
            Bucket=LOCKED,
            Key=versions[0]["Key"],
            VersionId=versions[0]["VersionId"],
            BypassGovernanceRetention=True,
        )
    assert len(_versions(client, request.node.name)) == 1


def test_a_log_that_was_written_anew_is_found_by_anchors_that_its_writer_cannot_change(
    s3_lake: Lake, client: Any
) -> None:
    _log(s3_lake).append_all({"k": k, "passed": False} for k in range(4))
    assert _log(s3_lake).verify() == []
    s3_lake.fs.delete_dir(f"{s3_lake.root}/evidence")
    ChainedLog(s3_lake, "evidence", key=KEY).append_all({"k": k, "passed": True} for k in range(4))
    faults = _log(s3_lake).verify()
    assert any("anchor" in fault.what for fault in faults), faults


def test_an_anchor_is_never_written_over(s3_lake: Lake, client: Any, request: pytest.FixtureRequest) -> None:
    anchors = Anchors.of(s3_lake)
    assert anchors is not None
    anchors.write("evidence", 3, "first")
    anchors.write("evidence", 3, "second")
    assert [anchor.digest for anchor in anchors.kept("evidence")] == ["first"]
    assert len(_versions(client, request.node.name)) == 1
