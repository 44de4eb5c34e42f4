"""The bundle fixtures, shared by three rooms' tests."""

from bundle_fixtures import bundle, bundle_files, bundle_folder, made, request_for, serving  # noqa: F401
