"""The bundle fixtures, shared by three rooms' tests."""

from bundle_fixtures import (  # noqa: F401
    bundle,
    bundle_files,
    bundle_folder,
    made,
    request_for,
    serving,
    shipped,
    shipped_files,
    shipped_folder,
)
from month_fixtures import month  # noqa: F401
