"""The fixtures of a promotion."""

from bundle_fixtures import bundle_files, made  # noqa: F401
from promotion_fixtures import office  # noqa: F401
