"""The door of the teacher: training matrix, the trained PLE, its predictions, and its evaluation beside honest baselines."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from finai_assets.asset_graph import EVALUATION, EXPLANATIONS, MATRIX, TEACHER, facts
from finai_assets.evaluation.baselines import predict_all_models
from finai_assets.evaluation.comparison import evaluate_all
from finai_assets.evaluation.curves import curves_of
from finai_assets.evaluation.explanation.explain import explain
from finai_assets.evaluation.explanation.explanation_page import explanation_page
from finai_assets.evaluation.report.evaluation_page import evaluation_report
from finai_assets.evaluation.truth import align_truth
from finai_assets.features.assets import column_key, state_asset
from finai_assets.features.inputs import CATEGORIES, PRODUCTS
from finai_assets.labels.assets import SPLITS_ASSET
from finai_assets.labels.splits import Splits
from finai_assets.made_with import EXTRA as MADE_WITH
from finai_assets.made_with import made_with
from finai_assets.partitions import partition_keys
from finai_assets.platform import Platform
from finai_assets.teacher.predictions import load_gates, load_predictions, predictions_table
from finai_assets.teacher.train import predict, teacher_from_files, teacher_to_files, train_teacher
from finai_assets.training.matrix import build_matrix, load_matrix
from finai_resources.errors import LakeError
from finai_resources.gates import Gates
from finai_resources.home_resource import HomeResource
from finai_resources.lake import Lake
from finai_resources.lake_resource import LakeResource
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.progress import stages

MATRIX_ASSET = "teacher/training_matrix"
TEACHER_ASSET = "teacher/ple"
PREDICTIONS_ASSET = "teacher/predictions"
EVALUATION_ASSET = "teacher/evaluation"
EXPLANATIONS_ASSET = "teacher/explanations"
REPORT = "report.html"


def build_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Return the teacher's assets."""
    return [_matrix(platform), _ple(platform), _predictions(platform), _evaluation(platform), _explanations(platform)]


def split_months(splits: Splits) -> dg.SpecificPartitionsPartitionMapping:
    """Return the months that training, validation and test read; purged months are not among them."""
    return dg.SpecificPartitionsPartitionMapping(
        partition_keys(sorted([*splits.train, *splits.validation, *splits.test]))
    )


def _matrix(platform: Platform) -> dg.AssetsDefinition:
    settings, registry = platform.settings, platform.registry
    mapping = split_months(platform.splits)
    groups = [dg.AssetDep(group.asset.split("/"), partition_mapping=mapping) for group in registry.available]
    columns = [dg.AssetDep(column_key(column), partition_mapping=mapping) for column in registry.columns]
    labels = [dg.AssetDep(task.asset.split("/"), partition_mapping=mapping) for task in platform.available_tasks]

    @dg.asset(
        key=MATRIX_ASSET.split("/"),
        group_name="teacher",
        deps=[*groups, *columns, *labels, *(path.split("/") for path in (SPLITS_ASSET, PRODUCTS, CATEGORIES))],
        kinds={"numpy"},
        code_version=MATRIX.code_version,
        description="Feature columns and labels of the train, validation and test months, row by row, memory-mapped.",
    )
    def training_matrix(
        context: dg.AssetExecutionContext, lake: LakeResource, gates: dg.ResourceParam[Gates]
    ) -> dg.MaterializeResult:
        session = lake.session()
        session.manifest(SPLITS_ASSET)
        gates.demand(session.lake, _behind(platform))
        with session.write(
            MATRIX_ASSET, code_version=MATRIX.code_version, config_hash=MATRIX.config_hash(settings)
        ) as out:
            tasks = platform.available_tasks
            months: dict[str, Sequence[Month]] = dict(platform.splits)
            summary = build_matrix(session, settings, registry, tasks, months, out, stages())
        assert out.manifest is not None  # noqa: S101 - set by the commit above
        context.log.info("training matrix: %s", summary)
        return dg.MaterializeResult(
            metadata={**facts(out.manifest), **summary}, data_version=dg.DataVersion(out.manifest.content_hash)
        )

    return training_matrix


def _behind(platform: Platform) -> Iterator[tuple[str, str | None]]:
    """Yield what the matrix is made of, whose blocking checks must have passed."""
    splits = platform.splits
    yield SPLITS_ASSET, None
    for group in platform.registry.available:
        yield state_asset(group), None
        yield from ((group.asset, month.key) for month in (*splits.train, *splits.validation, *splits.test))


def _ple(platform: Platform) -> dg.AssetsDefinition:
    settings = platform.settings

    @dg.asset(
        key=TEACHER_ASSET.split("/"),
        group_name="teacher",
        deps=[MATRIX_ASSET.split("/")],
        kinds={"pytorch"},
        code_version=TEACHER.code_version,
        description=f"Progressive layered extraction over the experts {', '.join(settings.teacher.experts)} and one MLP "
        "for each task; normaliser and calibration included.",
    )
    def ple(lake: LakeResource, home: HomeResource, gates: dg.ResourceParam[Gates]) -> dg.MaterializeResult:
        session = lake.session()
        gates.demand(session.lake, [(MATRIX_ASSET, None)])
        matrix = load_matrix(session)
        result = train_teacher(
            matrix,
            platform.registry,
            platform.available_tasks,
            settings,
            checkpoint_dir=home.checkpoints,
            watch=stages(),
        )
        with session.write(
            TEACHER_ASSET,
            code_version=TEACHER.code_version,
            config_hash=TEACHER.config_hash(settings),
            extra={MADE_WITH: made_with(settings.seed)},
        ) as out:
            for name, content in teacher_to_files(result).items():
                out.put(name, content)
        assert out.manifest is not None  # noqa: S101 - set by the commit above
        return dg.MaterializeResult(
            metadata={**facts(out.manifest), **result.facts()}, data_version=dg.DataVersion(out.manifest.content_hash)
        )

    return ple


def read_files(session: LakeSession, asset: str) -> dict[str, bytes]:
    """Return every stored file of an unpartitioned asset, by role."""
    return {stored.role: session.read_bytes(asset, None, stored.role) for stored in session.manifest(asset).files}


def _predictions(platform: Platform) -> dg.AssetsDefinition:
    settings = platform.settings

    @dg.asset(
        key=PREDICTIONS_ASSET.split("/"),
        group_name="teacher",
        deps=[MATRIX_ASSET.split("/"), TEACHER_ASSET.split("/")],
        kinds={"pytorch", "parquet"},
        code_version=TEACHER.code_version,
        description="The teacher's predictions for every row of the training matrix, with the weights of its named gates.",
    )
    def predictions(lake: LakeResource) -> dg.MaterializeResult:
        session = lake.session()
        matrix = load_matrix(session)
        teacher = teacher_from_files(
            read_files(session, TEACHER_ASSET), platform.registry, platform.available_tasks, settings
        )
        values, gates = predict(teacher, matrix.X, settings.teacher.batch_rows, matrix.side)
        with session.write(
            PREDICTIONS_ASSET, code_version=TEACHER.code_version, config_hash=TEACHER.config_hash(settings)
        ) as out:
            out.write(predictions_table(values, gates, teacher.slot_names))
        assert out.manifest is not None  # noqa: S101 - set by the commit above
        return dg.MaterializeResult(
            metadata=facts(out.manifest), data_version=dg.DataVersion(out.manifest.content_hash)
        )

    return predictions


def _evaluation(platform: Platform) -> dg.AssetsDefinition:
    settings = platform.settings

    @dg.asset(
        key=EVALUATION_ASSET.split("/"),
        group_name="teacher",
        deps=[MATRIX_ASSET.split("/"), TEACHER_ASSET.split("/"), PREDICTIONS_ASSET.split("/")],
        kinds={"lightgbm", "pytorch", "json"},
        code_version=EVALUATION.code_version,
        description="Per task on validation and test months: the teacher beside the prior, persistence, LightGBM on raw "
        "columns and on all columns, a shared-bottom network of its size, and (synthetic data) the true probabilities; with "
        "bootstrap intervals by customer. `report.html` is for people, `curves.json` holds what it draws.",
    )
    def evaluation(lake: LakeResource, home: HomeResource) -> dg.MaterializeResult:
        session = lake.session()
        matrix = load_matrix(session)
        stored = session.read(PREDICTIONS_ASSET)
        teacher = load_predictions(stored, matrix.tasks)
        truth = {}
        if settings.dataset.adapter == "synthetic":
            for task in matrix.tasks:
                aligned = align_truth(session, matrix, task)
                if aligned is not None:
                    truth[task.name] = aligned
        field = predict_all_models(
            matrix,
            teacher,
            truth,
            platform.registry,
            settings,
            checkpoint_dir=home.checkpoints,
            watch=stages(),
        )
        result = evaluate_all(matrix, field, settings)
        card = session.read_json(TEACHER_ASSET, None, "teacher.json")
        curves = curves_of(matrix, field, load_gates(stored, matrix.tasks), card, settings)
        with session.write(
            EVALUATION_ASSET, code_version=EVALUATION.code_version, config_hash=EVALUATION.config_hash(settings)
        ) as out:
            out.put("evaluation.json", json.dumps(result, indent=1, sort_keys=True, ensure_ascii=False).encode())
            out.put("curves.json", json.dumps(curves, sort_keys=True, ensure_ascii=False).encode())
            out.put(REPORT, evaluation_report(result, curves))
        assert out.manifest is not None  # noqa: S101 - set by the commit above
        return dg.MaterializeResult(
            metadata={
                **facts(out.manifest),
                "report": dg.MetadataValue.path(evaluation_report_path(session.lake)),
                **_means(result),
            },
            data_version=dg.DataVersion(out.manifest.content_hash),
        )

    return evaluation


def evaluation_report_path(lake: Lake) -> str:
    """Return where the page of the stored evaluation lies.

    Raises
    ------
    LakeError
        No evaluation is stored, or one from before there was a page.
    """
    manifest = lake.manifest(EVALUATION_ASSET)
    for stored in manifest.files:
        if stored.role == REPORT:
            return lake.path(manifest, stored)
    raise LakeError("the evaluation has no page", where=EVALUATION_ASSET, fix="materialise it again")


def _means(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Return the mean lift shares on test, to be plotted over materialisations."""
    shares = evaluation["summary"]["test"]["lift_share"]
    return {f"mean_lift_share/{model}": found["mean"] for model, found in shares.items()}


def _explanations(platform: Platform) -> dg.AssetsDefinition:
    settings = platform.settings

    @dg.asset(
        key=EXPLANATIONS_ASSET.split("/"),
        group_name="teacher",
        deps=[MATRIX_ASSET.split("/"), TEACHER_ASSET.split("/"), PREDICTIONS_ASSET.split("/")],
        kinds={"pytorch", "json"},
        code_version=EXPLANATIONS.code_version,
        description="What the teacher's predictions of a sample of test customers rest on: integrated gradients by input and by "
        "expert, gate weights, and whether they are faithful (deletion curves, ablation of experts). The table holds each "
        "row's first inputs, `explanations.json` all figures, `explanations.html` is for people.",
    )
    def explanations(lake: LakeResource) -> dg.MaterializeResult:
        session = lake.session()
        matrix = load_matrix(session)
        teacher = teacher_from_files(
            read_files(session, TEACHER_ASSET), platform.registry, platform.available_tasks, settings
        )
        stored = load_predictions(session.read(PREDICTIONS_ASSET), matrix.tasks)
        found = explain(teacher, matrix, stored, settings, stages())
        content = json.dumps(found.summary, indent=1, sort_keys=True, ensure_ascii=False).encode()
        with session.write(
            EXPLANATIONS_ASSET, code_version=EXPLANATIONS.code_version, config_hash=EXPLANATIONS.config_hash(settings)
        ) as out:
            out.write(found.top)
            out.put("explanations.json", content)
            out.put("explanations.html", explanation_page(json.loads(content)))
        assert out.manifest is not None  # noqa: S101 - set by the commit above
        return dg.MaterializeResult(
            metadata={**facts(out.manifest), **found.facts()}, data_version=dg.DataVersion(out.manifest.content_hash)
        )

    return explanations
