"""The bundle fixtures."""

from bundle_fixtures import bundle_files, made  # noqa: F401
