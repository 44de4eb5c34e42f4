"""Gradient surgery: removes the conflict where tasks pull the shared parameters in opposite directions."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def pcgrad(gradients: Tensor, random: np.random.Generator) -> Tensor:
    """Project conflicting gradients onto each other's normal plane.

    Yu, Kumar, Gupta, Levine, Hausman and Finn: Gradient surgery for multi-task learning (NeurIPS 2020), algorithm 1: each
    task's gradient in turn loses, for every other task's original gradient in random order, the part that opposes it.

    Parameters
    ----------
    gradients : float [tasks, p]
    random : numpy.random.Generator
        Draws the orders.

    Returns
    -------
    float [tasks, p]
        Their sum takes the place of the sum of the gradients.

    Examples
    --------
    >>> pcgrad(torch.tensor([[1.0, 0.0], [-1.0, 1.0]]), np.random.default_rng(0)).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    count = len(gradients)
    gram = (gradients @ gradients.T).double().cpu().numpy()
    # All gradients stay in the span of the originals, so that only coefficients need to be followed.
    coefficients = np.eye(count)
    for task in range(count):
        others = np.array([other for other in range(count) if other != task])
        for other in random.permutation(others):
            along = coefficients[task] @ gram[:, other]
            if along < 0 and gram[other, other] > 0:
                coefficients[task, other] -= along / gram[other, other]
    return torch.from_numpy(coefficients).to(gradients) @ gradients
