from __future__ import annotations

import pytest
import torch

from finai_assets.teacher.fitting.affinity import TaskAffinity

EVERY = torch.ones(3, dtype=torch.bool)


def test_tasks_that_pull_the_same_way_lend_to_each_other_and_opposed_ones_do_not():
    affinity = TaskAffinity(3, decay=0.9, strength=0.5)
    affinity.measure(torch.tensor([[1.0, 0.0], [3.0, 3.0], [-1.0, 0.0]]), EVERY)
    mixing = affinity.mixing()
    torch.testing.assert_close(mixing.diagonal(), torch.ones(3))
    assert mixing[0, 1].item() == pytest.approx(0.5)
    assert mixing[1, 0].item() == pytest.approx(0.5)
    assert mixing[2].tolist() == [0, 0, 1]
    assert mixing[:, 2].tolist() == [0, 0, 1]


def test_what_a_task_borrows_is_shared_out_by_agreement_and_adds_up_to_the_strength():
    affinity = TaskAffinity(3, decay=0.9, strength=0.2)
    affinity.measure(torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.4, 0.0, 0.84**0.5]]), EVERY)
    borrowed = affinity.mixing()[0, 1:]
    assert borrowed.sum().item() == pytest.approx(0.2)
    assert (borrowed[0] / borrowed[1]).item() == pytest.approx(0.8 / 0.4, rel=1e-4)


def test_before_any_measurement_and_without_strength_losses_stay_as_they_are():
    fresh = TaskAffinity(3, decay=0.9, strength=0.5)
    torch.testing.assert_close(fresh.mixing(), torch.eye(3))
    measured = TaskAffinity(3, decay=0.9, strength=0.0)
    measured.measure(torch.ones(3, 2), EVERY)
    torch.testing.assert_close(measured.mixing(), torch.eye(3))


def test_a_task_without_labels_says_nothing_and_the_past_fades():
    affinity = TaskAffinity(2, decay=0.5, strength=1.0)
    agree, oppose = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    affinity.measure(agree, torch.tensor([True, False]))
    assert affinity.cosine[0, 1] == 0
    affinity.measure(agree, torch.tensor([True, True]))
    assert affinity.cosine[0, 1] == 1
    for expected in (0.0, -0.5, -0.75):
        affinity.measure(oppose, torch.tensor([True, True]))
        assert affinity.cosine[0, 1].item() == pytest.approx(expected)
