"""Links: from a model's raw scores to probabilities or values."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.special import expit, softmax

Link = Literal["sigmoid", "softmax", "identity"]
LINK_OF_KIND: dict[str, Link] = {"binary": "sigmoid", "multiclass": "softmax", "regression": "identity"}


def apply_link(link: Link, raw: np.ndarray) -> np.ndarray:
    """Turn raw scores float [n] or, for softmax, [n, classes] into probabilities or values of the same shape."""
    if link == "softmax":
        return np.asarray(softmax(raw, axis=1))
    return np.asarray(expit(raw)) if link == "sigmoid" else raw
