"""The Dagster asset of training: the matrix that every model learns from."""

from collections.abc import Sequence

import dagster as dg

from finai_assets.asset_graph import MATRIX, SPLITS
from finai_assets.automation.specs import entered, spec_of, stored, writing
from finai_assets.platform import Platform
from finai_assets.training.matrix import build_matrix
from finai_resources.gates import Gates
from finai_resources.lake_resource import LakeResource
from finai_resources.months import Month


def build_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Return the training matrix, where there is a task to learn."""
    if MATRIX not in platform.graph:
        return []
    description = "Feature columns and labels of the train, validation and test months, row by row, memory-mapped."

    @dg.multi_asset(name="training_matrix", specs=[spec_of(platform, MATRIX, description, {"numpy"})])
    def training_matrix(
        context: dg.AssetExecutionContext, lake: LakeResource, gates: dg.ResourceParam[Gates]
    ) -> dg.MaterializeResult:
        session = entered(lake, gates, platform, MATRIX)
        session.manifest(SPLITS)
        settings, months = platform.graph.settings_of(MATRIX), dict[str, Sequence[Month]](platform.splits)
        with writing(session, platform, MATRIX) as out:
            summary = build_matrix(session, settings, platform.registry, platform.available_tasks, months, out)
        context.log.info("training matrix: %s", summary)
        return stored(session, MATRIX, **summary)

    return [training_matrix]
