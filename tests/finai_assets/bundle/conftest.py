"""The bundle fixtures, shared by three rooms' tests, and the S3 server."""

from bundle_fixtures import bundle, bundle_files, bundle_folder, made, request_for, serving  # noqa: F401
from s3_fixtures import endpoint, s3_lake, s3_resource  # noqa: F401
