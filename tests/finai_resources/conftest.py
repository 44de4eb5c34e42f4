"""The S3 server of the tests."""

from s3_fixtures import endpoint, s3_lake, s3_resource  # noqa: F401
