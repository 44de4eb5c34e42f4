"""Dagster assets of the students: one LightGBM student for each available task, distilled from the teacher."""

from collections.abc import Iterator

import dagster as dg

from finai_assets.asset_graph import PREDICTIONS, student_asset
from finai_assets.automation.specs import chosen_of, spec_of, stored, writing
from finai_assets.platform import Platform
from finai_assets.students.result import to_files
from finai_assets.students.train import bin_train, train_student
from finai_assets.teacher.predictions import load_predictions
from finai_assets.training.matrix import load_matrix
from finai_resources.gates import Gates
from finai_resources.lake_resource import LakeResource
from finai_resources.progress import report_progress


def build_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Return the students."""
    by_path = {student_asset(task.name): task for task in platform.available_tasks}
    specs = [
        spec_of(
            platform,
            path,
            f"The student of {task.name}: its route, trees, calibration, and fidelity on test rows.",
            {"lightgbm"},
            skippable=True,
        )
        for path, task in by_path.items()
    ]

    @dg.multi_asset(name="students", can_subset=True, specs=specs)
    def students(
        context: dg.AssetExecutionContext, lake: LakeResource, gates: dg.ResourceParam[Gates]
    ) -> Iterator[dg.MaterializeResult]:
        session, chosen = lake.session(), chosen_of(context, tuple(by_path))
        gates.demand(session.lake, platform.graph.asked(chosen[0]))
        settings, matrix = platform.graph.settings_of(*chosen), load_matrix(session)
        teacher = load_predictions(session.read(PREDICTIONS), matrix.tasks)
        probe = bin_train(matrix, settings)
        for number, path in enumerate(chosen):
            name = by_path[path].name
            report_progress(f"student of {name}", number, len(chosen))
            result = train_student(matrix.task(name), matrix, teacher[name], platform.registry, settings, probe=probe)
            with writing(session, platform, path, model=True) as out:
                for role, content in to_files(result).items():
                    out.put(role, content)
            yield stored(session, path, **result.facts())

    return [students]
