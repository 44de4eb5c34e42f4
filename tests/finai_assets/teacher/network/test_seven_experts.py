"""The configured teacher, all seven experts of it: small enough, whole, and each of them heard."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from panel import make_panel

from finai_assets.features.registry import Registry, build_registry
from finai_assets.settings import Settings, load_settings
from finai_assets.teacher.network.ple import PARAMETER_LIMIT
from finai_assets.teacher.train import predict, teacher_from_files, teacher_to_files, train_teacher
from finai_assets.training.matrix import TrainingMatrix

SEVEN = ("deepfm", "temporal", "hgcn", "perslay", "lightgcn", "causal", "optimal_transport")


@pytest.fixture(scope="module")
def chosen() -> Settings:
    return load_settings("synthetic", "smoke", overrides={"teacher": {"epochs": 1, "batch_rows": 256, "threads": 1}})


@pytest.fixture(scope="module")
def registry(chosen: Settings) -> Registry:
    return build_registry(chosen)


@pytest.fixture(scope="module")
def whole(chosen: Settings, registry: Registry) -> TrainingMatrix:
    return make_panel(chosen, registry)


def test_all_seven_are_configured(chosen: Settings) -> None:
    assert chosen.teacher.experts == SEVEN
    assert load_settings("synthetic", "demo").teacher.experts == SEVEN


@pytest.mark.slow
def test_the_whole_teacher_trains_is_stored_and_hears_every_expert(
    chosen: Settings, registry: Registry, whole: TrainingMatrix
) -> None:
    result = train_teacher(whole, registry, whole.tasks, chosen)
    table = result.parameter_table
    assert table["total"] < PARAMETER_LIMIT
    assert {f"expert {name}" for name in SEVEN} <= set(table)
    assert (
        result.model.experts["causal"].acyclicity().item() < 1e-6
    )  # of the weights that are kept, averaged though they are
    values, gates = predict(result, whole.X, 256, whole.side)
    again, _ = predict(teacher_from_files(teacher_to_files(result)), whole.X, 256, whole.side)
    for task, weights in gates.items():
        np.testing.assert_array_equal(values[task], again[task])
        assert np.isfinite(values[task]).all()
        assert weights.shape == (len(whole), len(SEVEN) + 1)
        np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-5)
        assert (weights > 0).all()
    assert all(slots[:-1] == SEVEN for slots in result.slot_names.values())
    # Silence one expert at a time: the predictions change.
    for name in SEVEN:
        handle = result.model.experts[name].register_forward_hook(lambda _m, _i, output: torch.zeros_like(output))
        silent, _ = predict(result, whole.X[:64], 64, whole.side[:64])
        handle.remove()
        assert any(np.abs(silent[task] - values[task][:64]).max() > 1e-5 for task in values), name
