"""The plain network of the teacher's size: it has that size, reads the whole row, learns, and can be taken up again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from panel import only, with_labels

from finai_assets.evaluation.shared_bottom import (
    SharedBottom,
    input_width,
    predict_shared_bottom,
    train_shared_bottom,
    widths_for,
)
from finai_assets.scoring.metrics import evaluate
from finai_assets.teacher.layout import WITHHELD
from finai_assets.teacher.network.ple import PLE, parameter_table
from finai_assets.teacher.network.router import make_route
from finai_resources.errors import GateError
from finai_resources.progress import watched

NAMES = ("churn_signal", "next_mcc", "cross_sell_count")


@pytest.fixture(scope="module")
def three(panel):
    return only(panel, *NAMES)


@pytest.fixture(scope="module")
def result(three, registry, small):
    return train_shared_bottom(three, registry, three.tasks, small)


@pytest.fixture(scope="module")
def route(registry, normaliser):
    return make_route(tuple(group.name for group in registry.groups), normaliser)


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def weights(result):
    return {name: value.numpy().tobytes() for name, value in result.model.state_dict().items()}


def test_it_has_the_teacher_s_number_of_parameters(result, small, three):
    assert result.parameters == count(result.model)
    teacher = PLE(result.normaliser, result.model.tasks, small.teacher)
    assert result.teacher_parameters == parameter_table(teacher)["total"]
    assert abs(result.parameters / result.teacher_parameters - 1) < 0.02


@pytest.mark.parametrize("target", [80_000, 250_000, 1_131_048])
def test_the_widths_are_solved_from_the_count(target, route, teacher_tasks, small):
    first, second = widths_for(target, route, teacher_tasks, small.teacher)
    found = count(SharedBottom(route, teacher_tasks, small.teacher, hidden=(first, second)))
    assert 0.98 * target <= found <= target
    assert second >= first


def test_a_teacher_too_small_to_match_is_refused(route, teacher_tasks, small):
    with pytest.raises(GateError, match="smallest size"):
        widths_for(1_000, route, teacher_tasks, small.teacher)


def test_it_reads_every_value_of_the_row(route, teacher_tasks, small, normaliser, panel):
    torch.manual_seed(0)
    model = SharedBottom(route, teacher_tasks, small.teacher, hidden=(8, 8)).eval()
    rows = torch.from_numpy(normaliser.transform(panel.X[:64], None if panel.side is None else panel.side[:64]))
    in_sequences = {p for slots in route.sequences for channel in (*slots.scalars, *slots.codes) for p in channel}
    lengths = [slots.length for slots in route.sequences]
    tensors = [range(slots.first, slots.first + int(np.prod(slots.shape))) for slots in route.tensors]
    read = {*route.scalars, *route.codes, *in_sequences, *lengths, *(p for span in tensors for p in span)}
    layout = normaliser.layout
    withheld = {position for position, group in enumerate(layout.groups) if group == WITHHELD}
    assert read == set(range(normaliser.width)) - withheld
    assert model.bottom[0][0].in_features == input_width(route, small.teacher.field_dim)
    steps = [slots.scalars[0][150] for slots in route.sequences]  # a late step: nothing is cut off
    for position in (route.scalars[0], route.codes[0], lengths[0], steps[0], *(span[-1] for span in tensors)):
        changed = rows.clone()
        changed[:, position] = 1.0 - changed[:, position].clamp(0, 1)
        assert not torch.equal(model(changed).logits["churn_signal"], model(rows).logits["churn_signal"]), position


def test_it_beats_the_prior_on_held_out_rows(panel, registry, small):
    at = registry.positions(("txn_rolling_stats",))
    values = np.nan_to_num(panel.X[:, at])
    score = ((values - values.mean(0)) / (values.std(0) + 1e-6)).sum(1)  # many columns tell a little each
    score = (score / score.std() + 0.3 * np.random.default_rng(0).normal(size=len(score))).astype(np.float32)
    easy = only(panel, "churn_signal", "cross_sell_count", "segment_prediction")
    easy = with_labels(
        easy,
        churn_signal=(score > 0.8).astype(np.float32),
        cross_sell_count=score,
        segment_prediction=np.clip(np.round(score + 1.5), 0, 3),
    )
    test = easy.rows("test")
    result = train_shared_bottom(easy, registry, easy.tasks, small)
    found = predict_shared_bottom(result, easy.X[test], None if easy.side is None else easy.side[test], small)

    def measured(task, metric):
        label, customer, kind = easy.labels[task][test], easy.customer[test], easy.task(task)
        return evaluate(kind.kind, label, found[task], customer, classes=kind.classes, settings=small.metrics, seed=1)[
            metric
        ]

    assert measured("churn_signal", "auc").low > 0.7, "the prior's is 0.5"
    assert measured("cross_sell_count", "r2").low > 0.05, "the prior's is 0"
    share = np.bincount(easy.labels["segment_prediction"][test].astype(int)) / (test.stop - test.start)
    assert measured("segment_prediction", "log_loss").high < -(share * np.log(share)).sum(), "no constant is below that"
    np.testing.assert_allclose(found["segment_prediction"].sum(1), 1, rtol=1e-5)


def test_two_trainings_are_equal_and_test_labels_do_not_matter(result, three, registry, small):
    labels = {name: value.copy() for name, value in three.labels.items()}
    for value in labels.values():
        value[three.rows("test")] = np.nan
    again = train_shared_bottom(replace(three, labels=labels), registry, three.tasks, small)
    assert weights(again) == weights(result)
    assert again.calibration == result.calibration


class StopError(Exception):
    pass


def test_a_run_that_was_stopped_ends_as_one_that_never_was(result, three, registry, small, tmp_path):
    seen, resumed = [], []

    def stop(label, done, total):
        seen.append(label)
        if len(seen) == total + 2:  # in the second epoch
            raise StopError

    with watched(stop), pytest.raises(StopError):
        train_shared_bottom(three, registry, three.tasks, small, tmp_path)
    (stored,) = tmp_path.iterdir()
    assert stored.name.startswith("shared-bottom-")
    with watched(lambda *step: resumed.append(step[0])):
        again = train_shared_bottom(three, registry, three.tasks, small, tmp_path)
    assert seen[0] == "shared bottom, epoch 1 of 4, batch"
    assert resumed[0].startswith("shared bottom, epoch 2 of 4, best score ")
    assert weights(again) == weights(result)
    assert list(tmp_path.iterdir()) == []
