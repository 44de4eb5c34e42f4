"""The bundle fixtures, for the benchmark that scans a bundle."""

from bundle_fixtures import bundle_files, made  # noqa: F401
