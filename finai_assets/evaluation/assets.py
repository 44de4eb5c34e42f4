"""Dagster assets of the evaluation: the comparison of the teacher with its baselines, and its explanations."""

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg

from finai_assets.asset_graph import BASELINES, EVALUATION, EXPLANATIONS, PREDICTIONS, SOURCE, TEACHER
from finai_assets.automation.specs import entered, spec_of, stored, writing
from finai_assets.evaluation.curves import curves_of
from finai_assets.evaluation.truth import align_truth
from finai_assets.platform import Platform
from finai_assets.teacher.predictions import load_gates, load_predictions
from finai_assets.training.matrix import load_matrix
from finai_resources.errors import LakeError
from finai_resources.gates import Gates
from finai_resources.home_resource import HomeResource
from finai_resources.json_text import plain, to_json
from finai_resources.lake import Lake
from finai_resources.lake_resource import LakeResource

REPORT, FACTS = "report.html", "facts.json"


def build_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Return the evaluation and the explanations, where there is a teacher."""
    if EVALUATION not in platform.graph:
        return []
    return [_baselines(platform), _evaluation(platform), _explanations(platform)]


def _baselines(platform: Platform) -> dg.AssetsDefinition:
    description = (
        "What the teacher is compared with, on validation and test rows: the prior, persistence, LightGBM on raw columns and on "
        "all columns, and a shared-bottom network of its size. None of them reads the teacher; `facts.json` says how each was "
        "made."
    )

    @dg.multi_asset(
        name="baselines", specs=[spec_of(platform, BASELINES, description, {"lightgbm", "pytorch", "parquet"})]
    )
    def baselines(lake: LakeResource, home: HomeResource, gates: dg.ResourceParam[Gates]) -> dg.MaterializeResult:
        from finai_assets.evaluation.baselines import baselines_table, train_baselines

        session, settings = entered(lake, gates, platform, BASELINES), platform.graph.settings_of(BASELINES)
        found = train_baselines(load_matrix(session), platform.registry, settings, checkpoint_dir=home.checkpoints)
        with writing(session, platform, BASELINES) as out:
            out.write(baselines_table(found))
            out.put(FACTS, to_json(plain(found.facts), indent=1))
        return stored(session, BASELINES)

    return baselines


def _evaluation(platform: Platform) -> dg.AssetsDefinition:
    description = (
        "Per task on validation and test months: the teacher beside the prior, persistence, LightGBM on raw columns and on all "
        "columns, a shared-bottom network of its size, and (synthetic data) the true probabilities; with bootstrap intervals by "
        "customer. `report.html` is for people, `curves.json` holds what it draws."
    )

    @dg.multi_asset(
        name="evaluation", specs=[spec_of(platform, EVALUATION, description, {"lightgbm", "pytorch", "json"})]
    )
    def evaluation(lake: LakeResource, gates: dg.ResourceParam[Gates]) -> dg.MaterializeResult:
        from finai_assets.evaluation.baselines import beside_baselines, load_baselines
        from finai_assets.evaluation.comparison import evaluate_all
        from finai_assets.evaluation.report.evaluation_page import evaluation_report

        session, settings = entered(lake, gates, platform, EVALUATION), platform.graph.settings_of(EVALUATION)
        matrix = load_matrix(session)
        predictions = session.read(PREDICTIONS)
        known = (
            {task.name: align_truth(session, matrix, task) for task in matrix.tasks} if SOURCE in platform.graph else {}
        )
        truth = {name: values for name, values in known.items() if values is not None}
        baselines = load_baselines(session.read(BASELINES), session.read_json(BASELINES, None, FACTS), matrix)
        field = beside_baselines(baselines, load_predictions(predictions, matrix.tasks), truth)
        result = evaluate_all(matrix, field, settings)
        card = session.read_json(TEACHER, None, "teacher.json")
        curves = curves_of(matrix, field, load_gates(predictions, matrix.tasks), card, settings)
        with writing(session, platform, EVALUATION) as out:
            out.put("evaluation.json", to_json(plain(result), indent=1, sort_keys=True))
            out.put("curves.json", to_json(plain(curves), sort_keys=True))
            out.put(REPORT, evaluation_report(result, curves))
        page = dg.MetadataValue.path(evaluation_report_path(session.lake))
        return stored(session, EVALUATION, report=page, **_means(result))

    return evaluation


def evaluation_report_path(lake: Lake) -> str:
    """Return the path of the stored evaluation's page.

    Raises
    ------
    LakeError
        No evaluation is stored, or one from before there was a page.
    """
    manifest = lake.manifest(EVALUATION)
    for stored_file in manifest.files:
        if stored_file.role == REPORT:
            return lake.path(manifest, stored_file)
    raise LakeError("the evaluation has no page", where=EVALUATION, fix="materialise it again")


def _means(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Return the mean lift shares on test, to be plotted over materialisations."""
    shares = evaluation["summary"]["test"]["lift_share"]
    return {f"mean_lift_share/{model}": found["mean"] for model, found in shares.items()}


def _explanations(platform: Platform) -> dg.AssetsDefinition:
    description = (
        "What the teacher's predictions of a sample of test customers rest on: integrated gradients by input and by expert, gate "
        "weights, and whether they are faithful (deletion curves, ablation of experts). The table holds each row's first inputs, "
        "`explanations.json` all figures, `explanations.html` is for people."
    )

    @dg.multi_asset(name="explanations", specs=[spec_of(platform, EXPLANATIONS, description, {"pytorch", "json"})])
    def explanations(lake: LakeResource, gates: dg.ResourceParam[Gates]) -> dg.MaterializeResult:
        from finai_assets.evaluation.explanation.explain import explain
        from finai_assets.evaluation.explanation.explanation_page import explanation_page
        from finai_assets.teacher.train import teacher_from_files

        session, settings = entered(lake, gates, platform, EXPLANATIONS), platform.graph.settings_of(EXPLANATIONS)
        matrix = load_matrix(session)
        teacher = teacher_from_files(session.read_files(TEACHER), platform.registry, platform.available_tasks, settings)
        predictions = load_predictions(session.read(PREDICTIONS), matrix.tasks)
        found = explain(teacher, matrix, predictions, settings)
        content = to_json(plain(found.summary), indent=1, sort_keys=True)
        with writing(session, platform, EXPLANATIONS) as out:
            out.write(found.top)
            out.put("explanations.json", content)
            out.put("explanations.html", explanation_page(json.loads(content)))
        return stored(session, EXPLANATIONS, **found.facts())

    return explanations
