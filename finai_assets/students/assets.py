"""The door of the students: one LightGBM student for each available task, distilled from the teacher."""

from collections.abc import Iterator

import dagster as dg

from finai_assets.asset_graph import STUDENTS, facts
from finai_assets.labels.task import Task
from finai_assets.made_with import EXTRA as MADE_WITH
from finai_assets.made_with import made_with
from finai_assets.platform import Platform
from finai_assets.students.result import to_files
from finai_assets.students.train import bin_train, train_student
from finai_assets.teacher.assets import MATRIX_ASSET, PREDICTIONS_ASSET, TEACHER_ASSET
from finai_assets.teacher.predictions import load_predictions
from finai_assets.training.matrix import load_matrix
from finai_resources.gates import Gates
from finai_resources.lake_resource import LakeResource
from finai_resources.progress import progress


def student_asset(task: Task) -> str:
    """Return the path of a task's student."""
    return f"students/{task.name}"


def build_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Return the students."""
    settings, tasks = platform.settings, platform.available_tasks

    @dg.multi_asset(
        name="students",
        can_subset=True,
        specs=[
            dg.AssetSpec(
                student_asset(task).split("/"),
                group_name="students",
                deps=[MATRIX_ASSET.split("/"), PREDICTIONS_ASSET.split("/")],
                skippable=True,
                kinds={"lightgbm"},
                code_version=STUDENTS.code_version,
                description=f"The student of {task.name}: its route, trees, calibration, and fidelity on test rows.",
            )
            for task in tasks
        ],
    )
    def students(
        context: dg.AssetExecutionContext, lake: LakeResource, gates: dg.ResourceParam[Gates]
    ) -> Iterator[dg.MaterializeResult]:
        session = lake.session()
        gates.demand(session.lake, [(MATRIX_ASSET, None), (TEACHER_ASSET, None)])
        matrix = load_matrix(session)
        teacher = load_predictions(session.read(PREDICTIONS_ASSET), matrix.tasks)
        chosen = [t for t in tasks if dg.AssetKey(student_asset(t).split("/")) in context.selected_asset_keys]
        probe, report, made = bin_train(matrix, settings), progress("student"), {MADE_WITH: made_with(settings.seed)}
        for number, task in enumerate(chosen):
            report(number, len(chosen))
            result = train_student(
                matrix.task(task.name), matrix, teacher[task.name], platform.registry, settings, probe=probe
            )
            with session.write(
                student_asset(task),
                code_version=STUDENTS.code_version,
                config_hash=STUDENTS.config_hash(settings),
                extra=made,
            ) as out:
                for name, content in to_files(result).items():
                    out.put(name, content)
            assert out.manifest is not None  # noqa: S101 - set by the commit above
            yield dg.MaterializeResult(
                asset_key=student_asset(task).split("/"),
                metadata={**facts(out.manifest), **result.facts()},
                data_version=dg.DataVersion(out.manifest.content_hash),
            )

    return [students]
