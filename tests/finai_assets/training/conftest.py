"""The world of customers with every group's features, which the training matrix is built from too."""

from tests.finai_assets.features.conftest import kernel_world, month, new_lake, panel, registry, small, world  # noqa: F401
