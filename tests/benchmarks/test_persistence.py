"""The benchmark of engines times either of them, and says how many times one takes what the other does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import persistence
from finai_assets.features.block import Block
from finai_assets.features.registry import Group, Params
from finai_assets.settings import Settings, load_settings

Transformed = tuple[np.ndarray, dict[str, np.ndarray]]


def test_another_engine_is_of_one_group_alone() -> None:
    settings = load_settings("synthetic", "smoke")
    changed = persistence.with_engine(settings, "tda_local", "gudhi").feature_groups
    assert changed.tda_local == settings.feature_groups.tda_local.model_copy(update={"engine": "gudhi"})
    assert changed.tda_global == settings.feature_groups.tda_global


@pytest.mark.slow
def test_a_ratio_is_that_of_the_medians(tmp_path: Path) -> None:
    found = persistence.benchmark(customers=40, repeats=3, events_a_month=20.0, folder=tmp_path)
    assert list(found) == ["tda_global", "tda_local"]
    for figures in found.values():
        assert figures["customers"] == 40
        for clock in ("wall", "cpu"):
            ratio = figures[f"gudhi_{clock}_us"] / figures[f"kernel_{clock}_us"]
            assert figures[f"ratio_{clock}"] == pytest.approx(ratio)
        assert figures["ratio_cpu"] > 1


@pytest.mark.slow
def test_engines_that_differ_are_not_compared_in_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = persistence.transform_group

    def transform(group: Group, view: Block, params: Params, settings: Settings) -> Transformed:
        values, tensors = honest(group, view, params, settings)
        if getattr(settings.feature_groups, group.name).engine == "gudhi":
            values[0, 0] += 1
        return values, tensors

    monkeypatch.setattr(persistence, "transform_group", transform)
    with pytest.raises(AssertionError, match="not equal"):
        persistence.benchmark(customers=10, repeats=1, events_a_month=20.0, folder=tmp_path)
