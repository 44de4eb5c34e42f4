"""The fixtures of a promotion."""

from bundle_fixtures import bundle_files, made  # noqa: F401
from promotion_fixtures import office  # noqa: F401
from s3_fixtures import endpoint, s3_lake, s3_resource  # noqa: F401
