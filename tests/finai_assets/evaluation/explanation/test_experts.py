from __future__ import annotations

import numpy as np
import pytest
import torch

from finai_assets.evaluation.explanation.ablation_of_experts import (
    CLOSED,
    REPLACED,
    Ablation,
    ablate,
    closed,
    mean_views,
    views_of,
    without,
)
from finai_assets.evaluation.explanation.gate_faithfulness import across_cells, of_task
from finai_assets.evaluation.explanation.rows import ExplainedRows, scales

TASK = "will_acquire_deposits"


@pytest.fixture(scope="module")
def rows(teacher, planted):
    return ExplainedRows.sample(planted, teacher, "test", 400, 1)


@pytest.fixture(scope="module")
def views(teacher, rows):
    return views_of(teacher.model, rows.x, 128)


@pytest.fixture(scope="module")
def means(teacher, planted):
    train = ExplainedRows.sample(planted, teacher, "train", 600, 1)
    return mean_views(views_of(teacher.model, train.x, 128))


@pytest.fixture(scope="module")
def ablation(teacher, planted, rows, views, means):
    return ablate(teacher, views, means, rows, scales(planted), 128)


@pytest.mark.parametrize("way", [REPLACED, CLOSED])
def test_the_expert_that_carries_the_signal_is_missed_most(ablation, way, rows, chosen):
    found = of_task(ablation, TASK, rows.customer, chosen.metrics, 1)["slots"]
    key = "loss_increase" if way == REPLACED else "loss_increase_gate_closed"
    missed = {slot: entry[key]["value"] for slot, entry in found.items()}
    assert max(missed, key=missed.get) == "deepfm", "it alone reads the planted column"
    assert found["deepfm"][key]["low"] > 0
    assert missed["deepfm"] > 5 * max(abs(missed["causal"]), abs(missed["task_mlp"]))


def test_the_model_reads_its_own_views_as_it_reads_rows(teacher, rows, views):
    with torch.no_grad():
        whole, read = teacher.model(torch.from_numpy(rows.x)), teacher.model.read(views)
    torch.testing.assert_close(read.logits[TASK], whole.logits[TASK])
    torch.testing.assert_close(read.gates[TASK], whole.gates[TASK])


def test_a_closed_gate_shares_its_weight_out_and_opens_again(teacher, views):
    with torch.no_grad():
        before = teacher.model.read(views).gates
        with closed(teacher.model, 0, 0):
            shut = teacher.model.read(views).gates
        last = len(teacher.model.experts)
        with closed(teacher.model, last, 1):
            own = teacher.model.read(views).gates
        after = teacher.model.read(views).gates
    names = [task.name for task in teacher.model.tasks]
    for name in names:
        assert not shut[name][:, 0].any()
        torch.testing.assert_close(shut[name][:, 1:], before[name][:, 1:] / before[name][:, 1:].sum(1, keepdim=True))
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)
    torch.testing.assert_close(own[names[0]], before[names[0]])
    assert not own[names[1]][:, last].any()


def test_taking_out_an_own_expert_leaves_the_others(views, means):
    changed = without(views, means, len(views.shared), 1)
    torch.testing.assert_close(changed.own[0], views.own[0])
    torch.testing.assert_close(changed.own[1], means.own[1].expand_as(views.own[1]))
    assert changed.shared is views.shared


def made(gates, losses):
    tasks = tuple(f"t{index}" for index in range(len(gates)))
    return Ablation(tasks, ("a", "b", "c"), gates, dict.fromkeys((REPLACED, CLOSED), losses),
                    {w: np.abs(losses) for w in (REPLACED, CLOSED)})  # fmt: skip


def test_weights_that_tell_the_worth_correlate_and_others_do_not(chosen):
    random = np.random.default_rng(0)
    customer, trivial = np.arange(300) // 2, dict.fromkeys(("t0", "t1", "t2", "t3"), 2.0)
    level = np.sort(random.random((4, 3)))
    gates = np.repeat(level[:, :, None], 300, axis=2) + 0.01 * random.random((4, 3, 300))
    told = across_cells(made(gates, 2 * gates), trivial, customer, chosen.metrics, 1)[REPLACED]["loss"]
    assert told["over_all"]["value"] > 0.99
    assert told["within_tasks"]["low"] > 0.99
    against = across_cells(made(gates, -gates), trivial, customer, chosen.metrics, 1)[REPLACED]["loss"]
    assert against["within_tasks"]["high"] < -0.99
    noise = random.normal(size=gates.shape)
    nothing = across_cells(made(gates, noise), trivial, customer, chosen.metrics, 1)[REPLACED]["loss"]
    assert nothing["over_all"]["low"] < 0.5
    assert nothing["within_tasks"]["low"] < 0 or nothing["within_tasks"]["high"] < 0.9


def test_gates_that_are_all_alike_have_no_correlation_instead_of_a_number(chosen):
    gates = np.full((2, 3, 40), 1 / 3)
    losses = np.random.default_rng(0).normal(size=gates.shape)
    found = across_cells(made(gates, losses), {"t0": 1.0, "t1": 1.0}, np.arange(40), chosen.metrics, 1)
    assert found[REPLACED]["loss"]["over_all"]["value"] is None
    assert of_task(made(gates, losses), "t0", np.arange(40), chosen.metrics, 1)["order_in_row"]["loss"]["value"] is None


def test_the_top_expert_is_judged_against_the_mean_expert(chosen):
    customer = np.arange(200)
    gates = np.repeat(np.array([0.6, 0.3, 0.1])[:, None], 200, axis=1)[None]
    right = np.repeat(np.array([1.0, 0.1, 0.1])[:, None], 200, axis=1)[None]
    verdicts = [
        of_task(made(gates, losses), "t0", customer, chosen.metrics, 1)["top_expert"][REPLACED]["verdict"]
        for losses in (right, right[:, ::-1], np.zeros_like(right))
    ]
    assert verdicts == ["beats random", "loses to random", "does not beat random"]
