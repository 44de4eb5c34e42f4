"""The bundle fixtures, for the checks that read a bundle."""

from bundle_fixtures import bundle_files, made  # noqa: F401
