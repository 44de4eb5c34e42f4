from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from panel import make_panel, only, with_labels

from finai_assets.features.registry import build_registry
from finai_assets.features.sampling import sample_customers
from finai_assets.scoring.metrics import evaluate
from finai_assets.teacher.fitting import steps
from finai_assets.teacher.train import predict, teacher_from_files, teacher_to_files, train_teacher
from finai_resources.errors import GateError


@pytest.fixture(scope="module")
def result(panel, registry, small):
    return train_teacher(panel, registry, panel.tasks, small)


def weights(result):
    return teacher_to_files(result)["weights.safetensors"]


def test_a_planted_signal_is_learned_on_held_out_rows(result, panel, small):
    predictions, _ = predict(result, panel.X, 512)
    test = panel.rows("test")

    def score(task, metric):
        found = panel.task(task)
        label = panel.labels[task][test]
        return evaluate(found.kind, label, predictions[task][test], panel.customer[test], classes=found.classes,
                        settings=small.metrics, seed=1)[metric]  # fmt: skip

    assert score("will_acquire_deposits", "auc").low > 0.7
    assert score("cross_sell_count", "r2").low > 0.1
    prior = -np.log(1 / 4)
    assert score("segment_prediction", "log_loss").high < prior


def test_the_last_merchant_of_the_sequence_is_learned(panel, registry, small):
    chosen = small.model_copy(update={"teacher": small.teacher.model_copy(update={"epochs": 10, "patience": 10})})
    alone = only(panel, "next_mcc")
    found = train_teacher(alone, registry, alone.tasks, chosen)
    test = panel.rows("test")
    predictions, _ = predict(found, panel.X[test], 512)
    label = panel.labels["next_mcc"][test]
    known = np.isfinite(label)
    accuracy = (predictions["next_mcc"].argmax(1) == label)[known].mean()
    assert accuracy > 0.3, "the prior's accuracy is about 1/8"


def test_predictions_are_probabilities_and_gates_add_up_to_one(result, panel):
    predictions, gates = predict(result, panel.X[:300], 128)
    for task in panel.tasks:
        values = predictions[task.name]
        assert values.dtype == np.float32
        if task.kind == "multiclass":
            assert values.shape == (300, task.classes)
            np.testing.assert_allclose(values.sum(1), 1, rtol=1e-5)
        else:
            assert values.shape == (300,)
        if task.kind == "binary":
            assert ((values > 0) & (values < 1)).all()
        assert gates[task.name].shape == (300, len(result.slot_names[task.name]))
        np.testing.assert_allclose(gates[task.name].sum(1), 1, rtol=1e-5)


def test_binary_predictions_have_the_validation_prevalence_despite_focal_loss(result, panel):
    rows = panel.rows("validation")
    predictions, _ = predict(result, panel.X[rows], 512)
    for task in panel.tasks:
        if task.kind == "binary":
            label = panel.labels[task.name][rows]
            known = np.isfinite(label)
            assert predictions[task.name][known].mean() == pytest.approx(label[known].mean(), abs=0.02), task.name


def test_predictions_do_not_depend_on_the_batch(result, panel):
    one, _ = predict(result, panel.X[:200], 200)
    two, _ = predict(result, panel.X[:200], 33)
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(result, panel, registry, small):
    torch.manual_seed(99)
    again = train_teacher(panel, registry, panel.tasks, small)
    assert teacher_to_files(again) == teacher_to_files(result)
    other = train_teacher(panel, registry, panel.tasks, small.model_copy(update={"seed": 7}))
    assert weights(other) != weights(result)


def test_training_leaves_torchs_global_state_alone(panel, registry, small):
    alone = only(panel, "churn_signal")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    train_teacher(alone, registry, alone.tasks, small)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("killed_after", [1, 2])
def test_a_run_killed_after_an_epoch_resumes_to_bit_equal_weights(
    result, panel, registry, small, tmp_path, killed_after
):
    class KilledError(Exception):
        pass

    def kill(record):
        if record.epoch == killed_after:
            raise KilledError

    with pytest.raises(KilledError):
        train_teacher(panel, registry, panel.tasks, small, after_epoch=kill, checkpoint_dir=tmp_path)
    seen = []
    resumed = train_teacher(
        panel,
        registry,
        panel.tasks,
        small,
        after_epoch=lambda record: seen.append(record.epoch),
        checkpoint_dir=tmp_path,
    )
    assert seen == list(range(killed_after + 1, small.teacher.epochs + 1))
    assert teacher_to_files(resumed) == teacher_to_files(result)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_other_labels_is_not_taken_up(panel, registry, small, tmp_path):
    alone = only(panel, "churn_signal")

    def stop(record):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        train_teacher(alone, registry, alone.tasks, small, after_epoch=stop, checkpoint_dir=tmp_path)
    flipped = with_labels(alone, churn_signal=1 - alone.labels["churn_signal"])
    seen = []
    train_teacher(
        flipped,
        registry,
        alone.tasks,
        small,
        after_epoch=lambda record: seen.append(record.epoch),
        checkpoint_dir=tmp_path,
    )
    assert seen[0] == 1


def test_test_rows_do_not_reach_the_teacher(result, panel, registry, small):
    test = panel.rows("test")
    X = panel.X.copy()
    X[test] = 1e9
    labels = {name: value.copy() for name, value in panel.labels.items()}
    for value in labels.values():
        value[test] = 0
    garbage = replace(panel, X=X, labels=labels)
    assert teacher_to_files(train_teacher(garbage, registry, panel.tasks, small)) == teacher_to_files(result)


def test_the_best_epoch_is_restored(panel, registry, small):
    eager = small.teacher.model_copy(update={"learning_rate": 0.3, "warmup_share": 0.0, "epochs": 4, "patience": 4})
    alone = only(panel, "mcc_diversity_trend")
    found = train_teacher(alone, registry, alone.tasks, small.model_copy(update={"teacher": eager}))
    scores = [record.score for record in found.history]
    assert found.best_epoch == int(np.argmax(scores)) + 1


def test_patience_ends_a_run_that_does_not_improve(panel, registry, small):
    random = np.random.default_rng(71)  # not the panel's seed, which would draw a column of it once more
    noise = only(
        with_labels(panel, cross_sell_count=random.normal(0, 1, len(panel.X)).astype(np.float32)), "cross_sell_count"
    )
    eager = small.teacher.model_copy(update={"epochs": 30, "patience": 2, "learning_rate": 0.02})
    found = train_teacher(noise, registry, noise.tasks, small.model_copy(update={"teacher": eager}))
    assert len(found.history) == found.best_epoch + 2 < 30


def test_a_loss_that_is_not_finite_names_task_and_batch_and_stops(panel, registry, small, monkeypatch):
    real = steps.row_losses
    monkeypatch.setattr(
        steps,
        "row_losses",
        lambda task, *rest: real(task, *rest) * (float("nan") if task.name == "top_mcc_shift" else 1.0),
    )
    with pytest.raises(GateError, match=r"'top_mcc_shift' is nan in epoch 1, batch 1 of 8"):
        train_teacher(panel, registry, panel.tasks, small)


def test_an_empty_split_and_a_task_without_labels_are_refused(panel, registry, small):
    missing = replace(panel, split=np.where(panel.split == "validation", "test", panel.split))
    with pytest.raises(GateError, match="validation split has no rows"):
        train_teacher(missing, registry, panel.tasks, small)
    blank = with_labels(panel, churn_signal=np.full(len(panel.X), np.nan, np.float32))
    with pytest.raises(GateError, match="churn_signal"):
        train_teacher(blank, registry, panel.tasks, small)


def test_a_stored_teacher_predicts_the_same_bytes(result, panel, registry, small):
    files = teacher_to_files(result)
    assert not any(content.startswith(b"\x80") for content in files.values()), "no pickle"
    loaded = teacher_from_files(files, registry, panel.tasks, small)
    for one, two in zip(predict(result, panel.X[:100], 64), predict(loaded, panel.X[:100], 64), strict=True):
        for name, values in one.items():
            np.testing.assert_array_equal(two[name], values)
    assert teacher_to_files(loaded) == files
    assert loaded.facts()["parameters"] == result.parameter_table["total"]


def test_a_teacher_for_other_tasks_or_with_a_missing_file_is_refused(result, panel, registry, small):
    files = teacher_to_files(result)
    with pytest.raises(GateError, match="churn_signal"):
        teacher_from_files(files, registry, [task for task in panel.tasks if task.name != "churn_signal"], small)
    with pytest.raises(GateError, match=r"normaliser\.npz"):
        teacher_from_files({name: value for name, value in files.items() if name != "normaliser.npz"})


def test_the_card_tells_tasks_slots_history_and_calibration(result):
    card = json.loads(teacher_to_files(result)["teacher.json"])
    assert card["slot_names"]["churn_signal"] == ["deepfm", "task_mlp"]
    assert len(card["history"]) == 4
    assert card["calibration"]["churn_signal"]["rows"] > 0
    assert "seconds" not in card["history"][0]


def test_whole_customers_are_sampled_up_to_the_limit_whatever_their_order():
    customer = np.repeat(np.arange(100), 5)
    found = sample_customers(customer, slice(0, 500), 203, seed=3)
    assert len(found) == 200
    assert np.unique(customer[found], return_counts=True)[1].tolist() == [5] * 40
    order = np.random.default_rng(0).permutation(500)
    again = sample_customers(customer[order], slice(0, 500), 203, seed=3)
    assert set(customer[order][again]) == set(customer[found])
    assert set(customer[sample_customers(customer, slice(0, 500), 203, seed=4)]) != set(customer[found])
    assert len(sample_customers(customer, slice(0, 500), 500, seed=3)) == 500


@pytest.fixture(scope="module")
def shaped(small):
    """Settings whose DeepFM is routed to groups with tensors, and a panel that holds them."""
    routing = {**small.teacher.routing, "deepfm": ("product_holdings", "merchant_hierarchy", "tda_global")}
    chosen = small.teacher.model_copy(update={"routing": routing, "epochs": 1})
    settings = small.model_copy(update={"teacher": chosen})
    registry = build_registry(settings)
    return settings, registry, make_panel(settings, registry, train=400, other=100)


def test_tensors_and_structure_travel_from_the_matrix_through_training_into_the_stored_teacher(shaped):
    settings, registry, panel = shaped
    alone = only(panel, "churn_signal")
    found = train_teacher(alone, registry, alone.tasks, settings)
    assert found.normaliser.layout.tensors == panel.tensors
    train = panel.rows("train")
    held = panel.X[train][:, registry.positions(("product_holdings",))]
    latest = held[np.append(np.diff(panel.customer[train]) > 0, True)]
    np.testing.assert_array_equal(found.structure.degree, latest.sum(0))
    assert found.structure.tree.shape == (3, len(settings.merchant_categories))
    loaded = teacher_from_files(teacher_to_files(found), registry, alone.tasks, settings)
    assert loaded.structure.to_bytes() == found.structure.to_bytes()
    assert teacher_to_files(loaded) == teacher_to_files(found)
    predictions, _ = predict(found, panel.X[:50], 20, panel.side[:50])
    again, _ = predict(loaded, panel.X[:50], 50, panel.side[:50])
    np.testing.assert_allclose(predictions["churn_signal"], again["churn_signal"], rtol=1e-5)
    with pytest.raises(GateError, match="side"):
        predict(found, panel.X[:50], 20)
