"""The panel of the ablation's tests: the label follows from columns of persistent homology, which PersLay alone reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from panel import make_panel, only, small_settings

from finai_assets.features.registry import Registry
from finai_assets.settings import Settings
from finai_assets.training.matrix import TrainingMatrix

TASK = "churn_signal"
OTHER = "cross_sell_count"


def planted_settings(**teacher: Any) -> Settings:
    """Return settings with two experts, of which one is enough."""
    values = {"experts": ["deepfm", "perslay"], "batch_rows": 64, "epochs": 3, "patience": 3, **teacher}
    settings = small_settings(**values)
    ablation = settings.ablation.model_copy(update={"seeds": 3, "resamples": 40})
    return settings.model_copy(update={"ablation": ablation})


def planted_panel(settings: Settings, registry: Registry, *, train: int = 480, other: int = 160) -> TrainingMatrix:
    """Return two tasks: one that PersLay's input carries, one whose label is what anyone may read."""
    panel = only(make_panel(settings, registry, train=train, other=other), TASK, OTHER)
    X = panel.X.copy()
    told = np.random.default_rng(3).normal(0, 1, len(X)).astype(np.float32)
    for column in registry.positions(("tda_global",))[:4]:  # of 32 that PersLay reads, so that few epochs are enough
        X[:, column] = told
    return replace(panel, X=X, labels={**panel.labels, TASK: (told > 0).astype(np.float32)})
