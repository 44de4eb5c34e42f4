from __future__ import annotations

import numpy as np
import pytest
import torch

from finai_assets.teacher.fitting.surgery import pcgrad


def written_out(gradients, random):
    """Algorithm 1 of the paper, as it stands there."""
    found = []
    for task, gradient in enumerate(gradients):
        projected = gradient.clone()
        for other in random.permutation([other for other in range(len(gradients)) if other != task]):
            along = projected @ gradients[other]
            if along < 0:
                projected = projected - along / gradients[other].square().sum() * gradients[other]
        found.append(projected)
    return torch.stack(found)


def test_two_gradients_that_conflict_no_longer_do():
    torch.manual_seed(0)
    conflicts = 0
    for seed in range(50):
        gradients = torch.randn(2, 6, dtype=torch.float64)
        projected = pcgrad(gradients, np.random.default_rng(seed))
        if gradients[0] @ gradients[1] < 0:
            conflicts += 1
            assert projected[0] @ gradients[1] == pytest.approx(0, abs=1e-12)
            assert projected[1] @ gradients[0] == pytest.approx(0, abs=1e-12)
        else:
            torch.testing.assert_close(projected, gradients)
    assert conflicts > 10


def test_many_gradients_are_projected_as_the_paper_says():
    torch.manual_seed(1)
    gradients = torch.randn(7, 40, dtype=torch.float64)
    found = pcgrad(gradients, np.random.default_rng(5))
    torch.testing.assert_close(found, written_out(gradients, np.random.default_rng(5)))
    assert not torch.allclose(found, gradients)


def test_a_gradient_of_zero_changes_nothing():
    gradients = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    torch.testing.assert_close(pcgrad(gradients, np.random.default_rng(0)), gradients)
