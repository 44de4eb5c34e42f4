"""Dagster assets of the students: columns, transfer set, one LightGBM student for each available task, what is told of all."""

from collections.abc import Iterator

import dagster as dg

from finai_assets.asset_graph import COLUMNS, EXPLANATIONS, FIDELITY, PREDICTIONS, TEACHER, TRANSFER, student_asset
from finai_assets.automation.specs import chosen_of, entered, spec_of, stored, writing
from finai_assets.platform import Platform
from finai_assets.students.result import from_files, to_files
from finai_assets.teacher.layout import layout_of
from finai_assets.teacher.predictions import load_predictions
from finai_assets.training.matrix import load_matrix
from finai_resources.gates import Gates
from finai_resources.json_text import to_json
from finai_resources.lake_resource import LakeResource
from finai_resources.progress import report_progress


def build_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Return the columns, the transfer set, the students, and what is told of all of them, where there is a teacher."""
    if COLUMNS not in platform.graph:
        return []
    return [_columns(platform), _transfer_set(platform), _students(platform), _fidelity(platform)]


def _columns(platform: Platform) -> dg.AssetsDefinition:
    description = (
        "The columns of every student, chosen together: a copy's on the teacher's output, a direct student's on labels."
    )

    @dg.multi_asset(name="student_columns", specs=[spec_of(platform, COLUMNS, description, {"lightgbm", "json"})])
    def student_columns(lake: LakeResource, gates: dg.ResourceParam[Gates]) -> dg.MaterializeResult:
        from finai_assets.students.columns import FILE, choose_columns, to_file, union_of

        session = entered(lake, gates, platform, COLUMNS)
        matrix = load_matrix(session)
        chosen = choose_columns(
            matrix,
            load_predictions(session.read(PREDICTIONS), matrix.tasks),
            platform.graph.settings_of(COLUMNS),
            displayable=platform.displayable,
            rule_columns=platform.rule_columns,
        )
        with writing(session, platform, COLUMNS) as out:
            out.put(FILE, to_file(chosen))
        return stored(session, COLUMNS, columns=len(union_of(chosen)))

    return student_columns


def _transfer_set(platform: Platform) -> dg.AssetsDefinition:
    months = ", ".join(month.key for month in platform.splits.transfer)
    description = (
        f"Rows of the purged months {months} with the teacher's answers, without labels: copies learn from them too."
    )

    @dg.multi_asset(name="transfer_set", specs=[spec_of(platform, TRANSFER, description, {"pytorch", "numpy"})])
    def transfer_set(lake: LakeResource, gates: dg.ResourceParam[Gates]) -> dg.MaterializeResult:
        from finai_assets.students.columns import FILE, from_file, union_of
        from finai_assets.students.transfer import Answering, transfer_customers, write_transfer_set
        from finai_assets.teacher.store import teacher_from_files

        session = entered(lake, gates, platform, TRANSFER)
        settings, registry = platform.graph.settings_of(TRANSFER), platform.registry
        columns = union_of(from_file(session.read_bytes(COLUMNS, None, FILE)))
        teacher = teacher_from_files(session.read_files(TEACHER), registry, platform.available_tasks, settings)
        customers = transfer_customers(session, settings, registry, platform.splits.transfer)
        answering = Answering(session, settings, registry, teacher, load_matrix(session).tensors)
        with writing(session, platform, TRANSFER) as out:
            rows = write_transfer_set(answering.answered(customers), registry.names, columns, out)
        return stored(session, TRANSFER, columns=len(columns), **rows)

    return transfer_set


def _students(platform: Platform) -> dg.AssetsDefinition:
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
        from finai_assets.students.binned import BinnedCopies
        from finai_assets.students.columns import FILE, from_file
        from finai_assets.students.train import train_student
        from finai_assets.students.transfer import load_transfer_set

        chosen = chosen_of(context, tuple(by_path))
        session = entered(lake, gates, platform, *chosen)
        settings, matrix = platform.graph.settings_of(*chosen), load_matrix(session)
        teacher = load_predictions(session.read(PREDICTIONS), matrix.tasks)
        columns = from_file(session.read_bytes(COLUMNS, None, FILE))
        transfer, binned = load_transfer_set(session, matrix.tasks), BinnedCopies()
        for number, path in enumerate(chosen):
            name = by_path[path].name
            report_progress(f"student of {name}", number, len(chosen))
            result = train_student(
                matrix.task(name),
                matrix,
                teacher[name],
                platform.registry,
                settings,
                columns=columns[name],
                transfer=transfer,
                binned=binned,
            )
            with writing(session, platform, path, model=True) as out:
                for role, content in to_files(result).items():
                    out.put(role, content)
            yield stored(session, path, **result.facts())

    return students


def _fidelity(platform: Platform) -> dg.AssetsDefinition:
    description = (
        "Every student beside its teacher on test rows: route, scores, each figure of fidelity beside its floor and the noise "
        "ceiling, calibration, reasons, size. `fidelity.json` holds the figures, `fidelity.html` is for people."
    )

    @dg.multi_asset(name="students_fidelity", specs=[spec_of(platform, FIDELITY, description, {"lightgbm", "json"})])
    def students_fidelity(lake: LakeResource, gates: dg.ResourceParam[Gates]) -> dg.MaterializeResult:
        from finai_assets.evaluation.explanation.inputs import input_of_columns
        from finai_assets.students.report.explanations import explained_rows
        from finai_assets.students.report.page import fidelity_page, markdown
        from finai_assets.students.report.summary import FILE as SUMMARY
        from finai_assets.students.report.summary import PAGE, Reasons, summarise

        session, settings = entered(lake, gates, platform, FIDELITY), platform.graph.settings_of(FIDELITY)
        matrix = load_matrix(session)
        layout = layout_of(platform.registry, settings, matrix.columns, matrix.tensors)
        summary = summarise(
            {task.name: from_files(session.read_files(student_asset(task.name))) for task in platform.available_tasks},
            matrix,
            load_predictions(session.read(PREDICTIONS), matrix.tasks),
            Reasons(
                explained_rows(session.read(EXPLANATIONS), matrix),
                input_of_columns(layout),
                dict(zip(layout.columns, layout.groups, strict=True)),
            ),
            settings,
            platform.rule_columns,
        )
        with writing(session, platform, FIDELITY) as out:
            out.put(SUMMARY, to_json(summary, indent=1))
            out.put(PAGE, fidelity_page(summary))
        return stored(
            session,
            FIDELITY,
            copies=len(summary["copies"]),
            minimum_copies=summary["minimum_copies"],
            students=dg.MetadataValue.md(markdown(summary)),
        )

    return students_fidelity
