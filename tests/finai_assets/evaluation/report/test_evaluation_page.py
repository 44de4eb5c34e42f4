"""The evaluation report: made of the stored figures alone, whole with and without a ceiling, and plain about who wins."""

from __future__ import annotations

import copy
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from panel import make_panel, only, small_settings

from finai_assets.evaluation.baselines import beside_baselines, train_baselines
from finai_assets.evaluation.comparison import evaluate_all
from finai_assets.evaluation.curves import curves_of
from finai_assets.evaluation.report.evaluation_page import evaluation_report
from finai_assets.teacher.predictions import load_gates, load_predictions, predictions_table
from finai_assets.teacher.train import predict, teacher_to_files, train_teacher

TASKS = ("churn_signal", "segment_prediction", "cross_sell_count")


class Text(HTMLParser):
    """The text of a page, and its figures apart."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_data(self, data):
        self.words.append(data)


def text_of(html: bytes) -> str:
    reader = Text()
    reader.feed(re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", html.decode(), flags=re.DOTALL))
    return " ".join(" ".join(reader.words).split())


@pytest.fixture(scope="module")
def stored(registry):
    """Return evaluation and curves as they are read back from JSON, of a panel with a truth for two of three tasks."""
    settings = small_settings(epochs=2)
    three = only(make_panel(settings, registry, train=800, other=300), *TASKS)
    result = train_teacher(three, registry, three.tasks, settings)
    table = predictions_table(*predict(result, three.X, 512, three.side), result.slot_names)
    teacher, gates = load_predictions(table, three.tasks), load_gates(table, three.tasks)
    random = np.random.default_rng(0)
    label = np.nan_to_num(three.labels["churn_signal"])
    truth = {
        "churn_signal": (0.05 + 0.85 * label + 0.1 * random.random(len(label))).astype(np.float32),
        "cross_sell_count": np.nan_to_num(three.labels["cross_sell_count"]),
    }
    models = beside_baselines(train_baselines(three, registry, settings), teacher, truth)
    card = json.loads(teacher_to_files(result)["teacher.json"])
    evaluation, curves = evaluate_all(three, models, settings), curves_of(three, models, gates, card, settings)
    return json.loads(json.dumps([evaluation, curves], allow_nan=False))


@pytest.fixture(scope="module")
def page(stored):
    return evaluation_report(*stored)


def test_the_same_figures_give_the_same_bytes(stored, page):
    assert evaluation_report(*copy.deepcopy(stored)) == page


def test_it_says_what_was_measured_and_beside_what(stored, page):
    text, data = text_of(page), stored[0]["data"]
    assert "synthetic, profile smoke" in text
    for split, found in data["splits"].items():
        assert f"{split} {found['months'][0]} {found['rows']:,} {found['customers']:,}" in text
    for name in ("prior", "persistence", "LightGBM raw", "LightGBM all", "shared bottom", "teacher", "ceiling"):
        assert name in text
    assert "no observer can reach the ceiling" in text
    assert text.count(f"{data['splits']['train']['rows']:,}") >= 6, "each model tells the rows that it learned from"


def test_every_figure_of_the_table_is_that_of_the_evaluation(stored, page):
    html = page.decode()
    for name, task in stored[0]["tasks"].items():
        row = re.search(rf'<th scope="row">{name}</th>.*?</tr>', html, flags=re.DOTALL)[0]
        found = task["test"]
        assert f"{found['n']:,}" in row
        for model in ("teacher", "lightgbm_all", "shared_bottom"):
            value = found["metrics"][model][task["metric"]]
            shown = [f"{value[key]:.3f}".replace("-", "−") for key in ("value", "low", "high")]
            shown = [figure.removeprefix("−") if not float(figure.replace("−", "-")) else figure for figure in shown]
            assert f">{shown[0]}\n{shown[1]} to {shown[2]}<" in row, (name, model)


def test_it_names_the_tasks_in_which_trees_win(stored, page):
    evaluation = stored[0]
    losing = [
        name
        for name, task in evaluation["tasks"].items()
        if "worse"
        in {task["test"]["teacher_minus"][baseline]["verdict"] for baseline in ("lightgbm_raw", "lightgbm_all")}
    ]
    assert losing
    assert f"Trees win in {len(losing)} of 3 tasks: {', '.join(losing)}." in text_of(page)
    won = copy.deepcopy(evaluation)
    for task in won["tasks"].values():
        for found in task["test"]["teacher_minus"].values():
            found["verdict"] = "better"
    text = text_of(evaluation_report(won, stored[1]))
    assert "Trees win in no task." in text
    assert "In no task are trees clearly better" in text


def test_a_gain_is_positive_where_the_teacher_is_better_whatever_the_metric(stored, page):
    task = stored[0]["tasks"]["segment_prediction"]
    found = task["test"]["teacher_minus"]["shared_bottom"]
    assert task["lower_is_better"]
    sign = "+" if found["value"] < 0 else "−"
    assert f"{sign}{abs(found['value']):.3f} {found['verdict']}" in page.decode()


def test_its_figures_are_well_formed_labelled_and_of_their_own_ids(page):
    drawn = re.findall(r"<svg.*?</svg>", page.decode(), flags=re.DOTALL)
    assert len(drawn) == 7  # lift share, ROC, precision-recall, calibration, recall, gates, learning
    assert all(ET.fromstring(each).attrib["aria-label"] for each in drawn)
    ids = [name for each in drawn for name in set(re.findall(r' id="([^"]+)"', each))]
    assert len(ids) == len(set(ids))
    for name in TASKS:
        assert all(f">{name}</text>" in drawn[at] for at in (3, 5, 6))
    assert ">deepfm</text>" in drawn[5]


def test_without_a_ceiling_there_is_no_word_of_one(stored):
    evaluation, curves = copy.deepcopy(stored)
    del evaluation["models"]["ceiling"]
    for task in evaluation["tasks"].values():
        for split in ("validation", "test"):
            task[split]["metrics"].pop("ceiling", None)
            task[split]["lift_share"] = {}
    evaluation["summary"]["test"].update(lift_share={}, teacher_minus_lift_share={})
    for task in curves["tasks"].values():
        task["models"].pop("ceiling", None)
    html = evaluation_report(evaluation, curves)
    assert "ceiling" not in text_of(html)
    assert "Lift share" not in text_of(html)
    assert "Results by task" in text_of(html)


def test_a_task_without_rows_on_test_leaves_dashes(stored):
    evaluation, curves = copy.deepcopy(stored)
    found = evaluation["tasks"]["churn_signal"]["test"]
    for metrics in found["metrics"].values():
        for value in metrics.values():
            value.update(value=None, low=None, high=None, n=0)
    for difference in found["teacher_minus"].values():
        difference.update(value=None, low=None, high=None, verdict="unclear")
    found.update(n=0, positives=0, lift_share={})
    curves["tasks"]["churn_signal"]["models"] = {key: {} for key in curves["tasks"]["churn_signal"]["models"]}
    assert "churn_signal AUC 0 0 positive – prior – – – – –" in text_of(evaluation_report(evaluation, curves))
