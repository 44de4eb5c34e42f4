from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from panel import only, small_settings
from rich.console import Console

from finai_assets.evaluation.baselines import (
    baselines_table,
    beside_baselines,
    lightgbm,
    load_baselines,
    persistence,
    prior,
    train_baselines,
    train_rows,
)
from finai_assets.evaluation.comparison import evaluate_all, render
from finai_assets.evaluation.truth import align_truth
from finai_assets.training.matrix import MatrixTask
from finai_resources.errors import GateError
from finai_resources.lake_session import LakeSession
from finai_resources.progress import watched

BINARY = MatrixTask("churn_signal", "binary", 1, (), 1.0, None, "lifecycle")
REAL = MatrixTask("product_stability", "regression", 1, (), 1.0, None, "lifecycle")
MULTI = MatrixTask("segment_prediction", "multiclass", 3, ("a", "b", "c"), 1.0, None, "lifecycle")
NAN = np.nan
TASKS = ("churn_signal", "next_mcc", "cross_sell_count")


@pytest.fixture(scope="module")
def three(panel):
    return only(panel, *TASKS)


@pytest.fixture(scope="module")
def teacher(three):
    """Say what the planted columns say, with noise on it."""
    random = np.random.default_rng(0)
    predictions = {}
    for task in three.tasks:
        label = np.nan_to_num(three.labels[task.name])
        if task.kind == "binary":
            predictions[task.name] = (0.1 + 0.6 * label + 0.2 * random.random(len(label))).astype(np.float32)
        elif task.kind == "regression":
            predictions[task.name] = (label + random.normal(0, 0.2, len(label))).astype(np.float32)
        else:
            p = np.full((len(label), task.classes), 0.05)
            p[np.arange(len(label)), label.astype(int)] += 1 - 0.05 * task.classes
            predictions[task.name] = p.astype(np.float32)
    return predictions


@pytest.fixture(scope="module")
def evaluation(three, teacher, registry, small, predicted_by):
    truth = {"churn_signal": np.where(np.isnan(three.labels["churn_signal"]), 0.5, three.labels["churn_signal"])}
    return evaluate_all(three, predicted_by(three, teacher, truth, registry, small), small)


@pytest.fixture(scope="module")
def predicted_by():
    """Let all models predict, and train the baselines once."""
    trained = {}

    def predicted(matrix, teacher, truth, registry, settings):
        key = tuple(task.name for task in matrix.tasks)
        if key not in trained:
            trained[key] = train_baselines(matrix, registry, settings)
        return beside_baselines(trained[key], teacher, truth)

    return predicted


def test_the_prior_is_the_train_average_of_the_labelled_rows():
    assert prior(BINARY, np.array([1, 0, 0, NAN]), 2) == pytest.approx([1 / 3, 1 / 3])
    found = prior(MULTI, np.array([0, 0, 0, 1, NAN]), 1)
    np.testing.assert_allclose(found, [[4 / 7, 2 / 7, 1 / 7]], rtol=1e-6)


def test_persistence_of_a_class_is_what_followed_it_in_train():
    current = np.repeat([0.0, 1.0], 1000)
    label = np.r_[np.repeat([0.0, 1.0], [900, 100]), np.ones(1000)]
    found = persistence(MULTI, current, label, np.array([0.0, 1.0, NAN]))
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)
    assert found[0, 0] == pytest.approx(0.9, abs=0.01)
    assert found[1, 1] > 0.98
    np.testing.assert_allclose(found[2], prior(MULTI, label, 1)[0])
    assert (found > 0).all()


def test_a_class_never_seen_as_current_is_answered_by_the_prior():
    label = np.array([0.0, 1.0, 2.0, 2.0])
    found = persistence(MULTI, np.zeros(4), label, np.array([1.0]))
    np.testing.assert_allclose(found[0], prior(MULTI, label, 1)[0], rtol=1e-6)


def test_persistence_of_a_value_is_the_value():
    found = persistence(REAL, np.ones(3), np.array([0.5, 1.0, NAN]), np.array([1.0, NAN]))
    assert found.tolist() == [1.0, 0.75]


def test_trees_find_the_planted_signal_and_see_no_test_label(three, registry, small):
    test = three.rows("test")
    columns = registry.positions(small.baselines.raw_groups)
    found = lightgbm(three, columns, test, small)
    label = three.labels["churn_signal"][test]
    assert found["churn_signal"][label == 1].mean() > found["churn_signal"][label == 0].mean() + 0.1
    np.testing.assert_allclose(found["next_mcc"].sum(1), 1, rtol=1e-5)
    labels = {name: value.copy() for name, value in three.labels.items()}
    for value in labels.values():
        value[test] = NAN
    again = lightgbm(replace(three, labels=labels), columns, test, small)
    for name, value in found.items():
        np.testing.assert_array_equal(again[name], value)


def test_a_tasks_own_share_of_the_columns_alters_its_trees_alone(three, registry, small):
    def trees(**shares: float) -> dict[str, np.ndarray]:
        baselines = small.baselines.model_copy(update={"column_share_of": shares})
        columns = registry.positions(small.baselines.raw_groups)
        settings = small.model_copy(update={"baselines": baselines})
        return lightgbm(three, columns, three.rows("test"), settings, whole=False)

    one, two = trees(), trees(next_mcc=0.05)
    assert {name for name in one if not np.array_equal(one[name], two[name])} == {"next_mcc"}


def test_trees_do_not_change_with_columns_that_they_were_not_given(three, registry, small):
    test = three.rows("test")
    columns = registry.positions(("product_holdings",))
    X = three.X.copy()
    others = np.setdiff1d(np.arange(X.shape[1]), columns)
    X[:, others] = 0
    one, two = (lightgbm(matrix, columns, test, small) for matrix in (three, replace(three, X=X)))
    np.testing.assert_array_equal(one["churn_signal"], two["churn_signal"])


def test_an_evaluation_is_json_and_holds_every_model_with_intervals_on_both_splits(evaluation, three):
    text = json.dumps(evaluation, allow_nan=False)
    assert json.loads(text) == evaluation
    for split in ("validation", "test"):
        churn = evaluation["tasks"]["churn_signal"][split]
        models = {"teacher", "prior", "lightgbm_raw", "lightgbm_all", "shared_bottom", "ceiling"}
        assert set(churn["metrics"]) == models
        auc = churn["metrics"]["teacher"]["auc"]
        assert auc["low"] <= auc["value"] <= auc["high"]
        assert churn["n"] == int(np.isfinite(three.labels["churn_signal"][three.rows(split)]).sum())
    assert "persistence" in evaluation["tasks"]["next_mcc"]["test"]["metrics"]


def test_the_lift_share_is_the_way_from_trivial_to_ceiling(evaluation):
    found = evaluation["tasks"]["churn_signal"]["test"]
    value = {model: metrics["auc"]["value"] for model, metrics in found["metrics"].items()}
    assert value["ceiling"] == 1
    share = found["lift_share"]["lightgbm_all"]
    assert share["value"] == pytest.approx((value["lightgbm_all"] - 0.5) / 0.5)
    assert share["low"] <= share["value"] <= share["high"]
    assert evaluation["tasks"]["cross_sell_count"]["test"]["lift_share"] == {}
    assert evaluation["summary"]["test"]["lift_share"]["teacher"]["tasks"] == 1


def test_a_ceiling_that_is_no_better_than_the_trivial_gives_no_lift_share(
    three, teacher, registry, small, predicted_by
):
    truth = {"churn_signal": np.full(len(three.X), 0.5, np.float32)}
    alone = only(three, "churn_signal")
    models = predicted_by(alone, teacher, truth, registry, small)
    whole = evaluate_all(alone, models, small)
    found = whole["tasks"]["churn_signal"]["test"]
    assert whole["summary"]["test"]["lift_share"] == {}
    assert set(found["lift_share"].values()) == {None}


def test_persistence_is_the_trivial_baseline_where_validation_says_that_it_is_better(evaluation):
    mcc = evaluation["tasks"]["next_mcc"]
    losses = {model: metrics["log_loss"]["value"] for model, metrics in mcc["validation"]["metrics"].items()}
    assert losses["persistence"] < losses["prior"]
    assert mcc["test"]["trivial"] == "persistence"
    assert mcc["lower_is_better"]
    assert mcc["test"]["teacher_minus"]["trivial"]["verdict"] == "better"


def test_verdicts_are_counted_over_tasks(evaluation):
    for counts in evaluation["summary"]["test"]["teacher_against"].values():
        assert sum(counts.values()) == len(TASKS)
    assert evaluation["summary"]["test"]["teacher_against"]["trivial"]["better"] == len(TASKS)
    assert set(evaluation["summary"]["test"]["teacher_against"]) == {
        "trivial", "lightgbm_raw", "lightgbm_all", "shared_bottom",
    }  # fmt: skip


def test_every_model_learns_from_the_same_train_rows_and_says_how_many(three, teacher, registry):
    capped = small_settings(max_train_rows=1200, epochs=1)
    models = train_baselines(three, registry, capped)
    learned = train_rows(three, capped)
    assert len(learned) == 1200
    rows = {name: fact["train_rows"] for name, fact in models.facts.items()}
    assert rows == dict.fromkeys(
        ("prior", "persistence", "lightgbm_raw", "lightgbm_all", "shared_bottom", "teacher"), 1200
    )
    forgotten = {name: value.copy() for name, value in three.labels.items()}
    for value in forgotten.values():
        value[np.setdiff1d(np.arange(three.rows("train").stop), learned)[:50]] = (
            NAN  # rows that no model may learn from
        )
    again = train_baselines(replace(three, labels=forgotten), registry, capped)
    for name in ("prior", "lightgbm_all"):
        for task in TASKS:
            np.testing.assert_array_equal(again.predictions[name][task], models.predictions[name][task])


def test_baselines_are_read_as_they_were_stored(three, registry):
    trained = train_baselines(three, registry, small_settings(epochs=1))
    read = load_baselines(baselines_table(trained), json.loads(json.dumps(trained.facts)), three)
    assert read.span == trained.span
    assert read.facts == trained.facts
    assert {model: set(found) for model, found in read.predictions.items()} == {
        model: set(found) for model, found in trained.predictions.items()
    }
    assert "persistence" in read.predictions
    assert set(read.predictions["persistence"]) < set(
        TASKS
    )  # a regression and a class have a present value, a churn has none
    for model, found in trained.predictions.items():
        for task, values in found.items():
            np.testing.assert_array_equal(read.predictions[model][task], values.astype(np.float32))


def test_no_baseline_reads_a_withheld_column(three, teacher, registry, small):
    assert small.inputs.withheld
    withheld = [place for place, name in enumerate(three.columns) if small.inputs.withholds(name)]
    assert withheld
    X = three.X.copy()
    X[:, withheld] = np.where(np.isnan(X[:, withheld]), X[:, withheld], X[::-1, withheld])
    one, two = (train_baselines(m, registry, small_settings(epochs=1)) for m in (three, replace(three, X=X)))
    for name, found in one.predictions.items():
        for task, value in found.items():
            np.testing.assert_array_equal(two.predictions[name][task], value, err_msg=f"{name} {task}")


def test_progress_is_told_by_model(three, teacher, registry):
    told = []
    with watched(lambda *step: told.append(step)):
        train_baselines(three, registry, small_settings(epochs=1))
    assert ("lightgbm_raw: task", 3, 3) in told
    assert ("lightgbm_all: task", 1, 3) in told
    assert any(label.startswith("shared bottom, epoch 1 of 1") for label, _, _ in told)


def test_the_table_names_every_task_and_shows_a_dash_where_there_is_nothing(evaluation):
    console = Console(width=220, record=True, file=io.StringIO())
    console.print(render(evaluation))
    text = console.export_text()
    assert all(name in text for name in TASKS)
    assert "–" in text


def test_the_truth_is_aligned_by_month_and_customer_whatever_its_order(lake, three):
    task = three.task("churn_signal")
    session = LakeSession(lake)
    assert align_truth(session, three, task) is None
    for month in sorted(set(three.month)):
        customer = three.customer[three.month == month]
        ids = np.unique(customer)[::-1]
        with session.write("truth/churn_signal", str(month), code_version="1") as out:
            out.write(pa.table({"customer_id": ids, "p": (ids % 97 / 97).astype(np.float32)}))
    found = align_truth(session, three, task)
    np.testing.assert_allclose(found, three.customer % 97 / 97, rtol=1e-6)


def truth_matrix(three, task):
    return replace(three, tasks=(task,), month=np.full(4, "2015-01"), customer=np.array([1, 2, 3, 9]))


def test_codes_outside_the_vocabulary_add_up_to_other_and_a_missing_customer_is_nan(lake, three):
    task = MatrixTask("next_mcc", "multiclass", 3, ("5411", "5812", "other"), 1.0, None, "engagement")
    session = LakeSession(lake)
    columns = {
        "p_5812": [0.5, 0.1, 0.0],
        "p_4111": [0.1, 0.2, 0.0],
        "p_5411": [0.2, 0.3, 1.0],
        "p_7995": [0.2, 0.4, 0.0],
    }
    with session.write("truth/next_mcc", "2015-01", code_version="1") as out:
        out.write(pa.table({"customer_id": [1, 2, 3], **{k: pa.array(v, pa.float32()) for k, v in columns.items()}}))
    found = align_truth(session, truth_matrix(three, task), task)
    np.testing.assert_allclose(found[:3], [[0.2, 0.5, 0.3], [0.3, 0.1, 0.6], [1, 0, 0]], atol=1e-6)
    assert np.isnan(found[3]).all()


def test_a_truth_that_lacks_a_class_is_refused(lake, three):
    task = MatrixTask("next_mcc", "multiclass", 3, ("5411", "5812", "other"), 1.0, None, "engagement")
    session = LakeSession(lake)
    with session.write("truth/next_mcc", "2015-01", code_version="1") as out:
        out.write(pa.table({"customer_id": [1], "p_5411": pa.array([1.0], pa.float32())}))
    with pytest.raises(GateError, match="5812"):
        align_truth(session, truth_matrix(three, task), task)


def test_classes_numbered_by_position_keep_their_order(lake, three):
    session = LakeSession(lake)
    with session.write("truth/segment_prediction", "2015-01", code_version="1") as out:
        out.write(
            pa.table(
                {"customer_id": [1, 2, 3, 9], **{f"p_{k}": pa.array([p] * 4) for k, p in enumerate((0.2, 0.3, 0.5))}}
            )
        )
    found = align_truth(session, truth_matrix(three, MULTI), MULTI)
    np.testing.assert_allclose(found[0], [0.2, 0.3, 0.5], rtol=1e-6)
