"""Dagster assets of the teacher: the trained PLE and its predictions."""

import dagster as dg

from finai_assets.asset_graph import PREDICTIONS, TEACHER
from finai_assets.automation.specs import entered, spec_of, stored, writing
from finai_assets.platform import Platform
from finai_assets.teacher.predictions import predictions_table
from finai_assets.training.matrix import load_matrix
from finai_resources.gates import Gates
from finai_resources.home_resource import HomeResource
from finai_resources.lake_resource import LakeResource


def build_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Return the teacher's assets, where there is a task to learn."""
    if TEACHER not in platform.graph:
        return []
    return [_ple(platform), _predictions(platform)]


def _ple(platform: Platform) -> dg.AssetsDefinition:
    experts = ", ".join(platform.settings.teacher.experts)
    description = (
        f"Progressive layered extraction over the experts {experts} and one MLP for each task; normaliser and calibration "
        "included."
    )

    @dg.multi_asset(name="ple", specs=[spec_of(platform, TEACHER, description, {"pytorch"})])
    def ple(lake: LakeResource, home: HomeResource, gates: dg.ResourceParam[Gates]) -> dg.MaterializeResult:
        from finai_assets.teacher.train import teacher_to_files, train_teacher

        session = entered(lake, gates, platform, TEACHER)
        result = train_teacher(
            load_matrix(session),
            platform.registry,
            platform.available_tasks,
            platform.graph.settings_of(TEACHER),
            checkpoint_dir=home.checkpoints,
        )
        with writing(session, platform, TEACHER, model=True) as out:
            for name, content in teacher_to_files(result).items():
                out.put(name, content)
        return stored(session, TEACHER, **result.facts())

    return ple


def _predictions(platform: Platform) -> dg.AssetsDefinition:
    description = "The teacher's predictions for every row of the training matrix, with the weights of its named gates."

    @dg.multi_asset(name="predictions", specs=[spec_of(platform, PREDICTIONS, description, {"pytorch", "parquet"})])
    def predictions(lake: LakeResource, gates: dg.ResourceParam[Gates]) -> dg.MaterializeResult:
        from finai_assets.teacher.train import predict, teacher_from_files

        session, settings = entered(lake, gates, platform, PREDICTIONS), platform.graph.settings_of(PREDICTIONS)
        matrix = load_matrix(session)
        teacher = teacher_from_files(session.read_files(TEACHER), platform.registry, platform.available_tasks, settings)
        values, weights = predict(teacher, matrix.X, settings.teacher.batch_rows, matrix.side)
        with writing(session, platform, PREDICTIONS) as out:
            out.write(predictions_table(values, weights, teacher.slot_names))
        return stored(session, PREDICTIONS)

    return predictions
