"""An S3 server on loopback for the tests of a remote lake."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from dagster_aws.s3 import S3Resource
from moto.server import ThreadedMotoServer

from finai_resources.lake import Lake
from finai_resources.lake_resource import LakeResource

BUCKET = "finai-test"
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_resource(endpoint: str, request: pytest.FixtureRequest) -> LakeResource:
    """Return a lake of the test's own below the bucket."""
    boto3.client("s3", endpoint_url=endpoint, **KEYS).create_bucket(Bucket=BUCKET)
    return LakeResource(root=f"s3://{BUCKET}/{request.node.name}", s3=S3Resource(endpoint_url=endpoint, **KEYS))


@pytest.fixture
def s3_lake(s3_resource: LakeResource) -> Lake:
    return s3_resource.open()
