from __future__ import annotations

import json
from dataclasses import replace

import dagster as dg
import numpy as np
import pytest

from finai_assets.definitions import build_definitions
from finai_assets.evaluation.explanation.explain import explain
from finai_assets.evaluation.explanation.explanation_page import explanation_page
from finai_assets.platform import Platform
from finai_assets.settings import load_settings
from finai_cli.plan import main_job
from finai_resources.errors import ConfigError, GateError
from finai_resources.home import Home

TASK = "will_acquire_deposits"


@pytest.fixture(scope="module")
def found(teacher, planted, stored, chosen):
    return explain(teacher, planted, stored, chosen)


def plain(found):
    return json.dumps(found.summary, sort_keys=True, allow_nan=False)


def test_everything_is_told_and_is_plain_json(found, planted):
    summary = json.loads(plain(found))
    assert set(summary["tasks"]) == {task.name for task in planted.tasks}
    assert summary["summary"]["beats_random"] == summary["summary"]["complete"] == 2
    importance = summary["tasks"][TASK]["importance"]
    assert importance["inputs"][0]["name"] == "age"
    assert max(importance["groups"], key=importance["groups"].get) == "demographics"
    experts = summary["tasks"][TASK]["experts"]["experts"]
    assert max(experts, key=experts.get) == "deepfm"
    assert sum(importance["groups"].values()) == pytest.approx(importance["total"])


def test_the_same_input_gives_the_same_bytes(found, teacher, planted, stored, chosen):
    again = explain(teacher, planted, stored, chosen)
    assert plain(again) == plain(found)
    assert again.top.equals(found.top)
    assert explanation_page(again.summary) == explanation_page(found.summary)


def test_test_labels_and_test_rows_reach_neither_baseline_nor_attributions(found, teacher, planted, stored, chosen):
    labels = {name: values.copy() for name, values in planted.labels.items()}
    for values in labels.values():
        values[planted.rows("test")] = np.nan
    blind = explain(teacher, replace(planted, labels=labels), stored, chosen)
    assert blind.top.equals(found.top)
    task = blind.summary["tasks"][TASK]["deletion"]
    assert task["change"] == found.summary["tasks"][TASK]["deletion"]["change"]
    assert task["verdict_skill"] == "does not beat random", "without labels there is no skill to lose"
    explanation_page(json.loads(plain(blind)))


def test_each_row_lists_its_first_inputs_in_order(found, chosen):
    table = found.top.to_pandas()
    assert len(table) == 2 * found.summary["sample"]["rows"] * chosen.explanations.top
    sizes = table["attribution"].abs().to_numpy().reshape(-1, chosen.explanations.top)
    assert (np.diff(sizes, axis=1) <= 0).all()
    assert (table["rank"].to_numpy().reshape(sizes.shape) == np.arange(1, 6)).all()
    first = table[(table["task"] == TASK) & (table["rank"] == 1)]
    assert (first["input"] == "age").mean() > 0.8


def test_predictions_of_another_teacher_are_refused(teacher, planted, stored, chosen):
    other = {name: values + np.float32(0.01) for name, values in stored.items()}
    with pytest.raises(GateError, match="differ from the stored ones"):
        explain(teacher, planted, other, chosen)


def test_the_page_says_so_where_nothing_is_faithful(constant, planted, chosen):
    said = {}
    for task in constant.model.tasks:
        logit = np.full((len(planted), 1), constant.model.towers[task.name].head.bias.item())
        scaled = logit * task.scale + task.location
        said[task.name] = constant.calibration[task.name].apply(scaled)
    found = explain(constant, planted, said, chosen)
    assert found.summary["summary"]["beats_random"] == 0
    page = " ".join(explanation_page(json.loads(plain(found))).decode().split())
    assert "more than masking at random in 0 of 2 tasks" in page
    assert "A weight must not be read as the importance of an expert." in page
    assert "does not beat random" in page
    assert ">beats random<" not in page


def test_the_asset_reads_the_teacher_and_is_part_of_the_main_job(tmp_path):
    settings = load_settings("synthetic", "smoke")
    built = build_definitions(settings=settings, home=Home.at(tmp_path))
    spec = next(s for s in built.resolve_all_asset_specs() if s.key == dg.AssetKey(["teacher", "explanations"]))
    read = {"/".join(dep.asset_key.path) for dep in spec.deps}
    assert read == {"teacher/training_matrix", "teacher/ple", "teacher/predictions"}
    assert spec.key in built.resolve_job_def("train").asset_layer.executable_asset_keys
    units = [unit for stage in main_job(Platform.of(settings)) for unit in stage.units if unit.job == "train"]
    assert "teacher/explanations" in units[0].assets


def test_shares_must_ascend():
    with pytest.raises(ConfigError, match="explanations"):
        load_settings("synthetic", "smoke", overrides={"explanations": {"shares": [0.1, 0.05]}})
