"""The lake as a Dagster resource: a folder by default, S3 (or MinIO, Ceph) by its root and dagster-aws' ``S3Resource``."""

import os
from typing import Any

import dagster as dg
import pyarrow.fs as pafs
from dagster_aws.s3 import S3Resource

from finai_resources.errors import LakeError
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession


class LakeResource(dg.ConfigurableResource[None]):
    """Opens the lake at ``root``.

    Attributes
    ----------
    root : str
        A folder, or ``s3://bucket/prefix``.
    s3 : S3Resource
        Credentials, region and endpoint for an S3 root; unused for a folder.
    """

    root: str
    compression: str = "zstd"
    compression_level: int = 1
    s3: S3Resource  # nested resources are found by their real annotation: no postponed evaluation in this module

    def open(self) -> Lake:
        """Return the lake."""
        if not self.root.startswith("s3://"):
            return Lake.on_disk(self.root, compression=self.compression, compression_level=self.compression_level)
        location = self.root.removeprefix("s3://").strip("/")
        if not location:
            raise LakeError("the root names no bucket", where=self.root, fix="write s3://bucket/prefix")
        filesystem = s3_filesystem(self.s3)
        return Lake(
            filesystem,
            location,
            compression=self.compression,
            compression_level=self.compression_level,
            s3_client=self.s3.get_client(),
        )

    def session(self) -> LakeSession:
        """Return a new session on the lake, which records what is read through it."""
        return LakeSession(self.open())


def lake_of_home(home: Home, **options: Any) -> LakeResource:
    """Return the lake of a home; one in S3 at the endpoint and in the region that the environment names.

    Parameters
    ----------
    options
        How it is written: ``compression``, ``compression_level``.
    """
    s3 = S3Resource(
        endpoint_url=os.environ.get("FINAI_S3_ENDPOINT"), region_name=os.environ.get("AWS_REGION", "us-east-1")
    )
    return LakeResource(root=home.lake_root, s3=s3, **options)


def s3_filesystem(s3: S3Resource) -> pafs.S3FileSystem:
    """Return pyarrow's S3 file system with settings and credentials from dagster-aws' ``S3Resource``.

    A custom endpoint (MinIO, Ceph, a test server) is addressed path-style.
    """
    client = s3.get_client()
    credentials = client._request_signer._credentials  # the resource offers no other way to them
    if credentials is None:
        raise LakeError(
            "no S3 credentials were found", where="S3Resource", fix="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    frozen = credentials.get_frozen_credentials()
    endpoint = s3.endpoint_url
    options = {}
    if endpoint:
        scheme, _, host = endpoint.partition("://")
        options = {"scheme": scheme, "endpoint_override": host.rstrip("/")}
    return pafs.S3FileSystem(
        access_key=frozen.access_key,
        secret_key=frozen.secret_key,
        session_token=frozen.token,
        region=client.meta.region_name or "us-east-1",
        force_virtual_addressing=False,
        **options,
    )
