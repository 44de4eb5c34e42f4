"""The noise ceiling is what teachers of other seeds do to each other, and is stored where the settings are read."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit

from benchmarks.students import ceiling
from benchmarks.students.ceiling import (
    load_stored,
    measure_ceiling,
    render,
    save_predictions,
    seed_of,
    teachers_of,
    write_ceiling,
)
from finai_assets.settings import CONFIG_FOLDER, Settings, load_settings
from finai_resources.errors import ConfigError


def test_two_equal_teachers_have_no_noise_and_are_perfect_copies(made: Any, chosen: Settings) -> None:
    found = measure_ceiling(made.matrix, {1: made.predictions, 2: made.predictions}, chosen)
    assert found.seeds == (1, 2)
    assert found.rows == 300
    assert set(found.tasks) == {"churn", "family", "spend"}
    for measured in found.tasks.values():
        assert measured.noise == 0
        assert measured.figures["explained_variance"] == 1
        assert measured.figures["kl"] == 0
    assert found.tasks["churn"].figures["agreement"] == 1
    for task in ("churn", "spend"):
        figures = found.tasks[task].figures
        assert (figures["pair_order"], figures["decile_overlap"], figures["rank_correlation"]) == (1, 1, 1)


def test_the_noise_is_the_deviation_between_seeds(made: Any, chosen: Settings) -> None:
    rng = np.random.default_rng(0)
    truth = made.predictions

    def another() -> dict[str, np.ndarray]:
        return {
            **truth,
            "churn": expit(logit(truth["churn"]) + rng.normal(0, 0.4, len(truth["churn"]))),
            "spend": truth["spend"] + rng.normal(0, 0.4, len(truth["spend"])),
        }

    found = measure_ceiling(made.matrix, {seed: another() for seed in range(6)}, chosen)
    spread = truth["spend"][made.matrix.rows("test")].var() + 0.16
    for task in ("churn", "spend"):
        assert found.tasks[task].noise == pytest.approx(0.4, rel=0.05)
        figures = found.tasks[task].figures
        assert figures["pair_order"] > figures["rank_correlation"] - 0.05
        assert 0.3 < figures["decile_overlap"] < 1
    assert found.tasks["spend"].figures["explained_variance"] == pytest.approx(1 - 2 * 0.16 / spread, abs=0.03)


def test_figures_that_are_not_defined_are_left_out(made: Any, chosen: Settings) -> None:
    labels = {**made.matrix.labels, "spend": np.full(len(made.matrix), np.nan, np.float32)}
    unlabelled = replace(made.matrix, labels=labels)
    figures = measure_ceiling(unlabelled, {1: made.predictions, 2: made.predictions}, chosen).tasks["spend"].figures
    assert "mae_gap" not in figures
    assert "explained_variance" in figures


def test_one_teacher_or_one_of_other_rows_is_refused(made: Any, chosen: Settings) -> None:
    with pytest.raises(ConfigError, match="one teacher"):
        measure_ceiling(made.matrix, {1: made.predictions}, chosen)
    shorter = {task: values[:-1] for task, values in made.predictions.items()}
    with pytest.raises(ConfigError, match="seed 2 predicts churn"):
        measure_ceiling(made.matrix, {1: made.predictions, 2: shorter}, chosen)


def test_a_written_ceiling_is_what_the_settings_read(made: Any, chosen: Settings, tmp_path: Path) -> None:
    configs = tmp_path / "configs"
    shutil.copytree(CONFIG_FOLDER, configs)
    found = measure_ceiling(made.matrix, {1: made.predictions, 2: made.predictions}, chosen)
    written = write_ceiling(found, chosen, configs / "noise_ceilings")
    assert written.name == "synthetic-smoke.yaml"
    assert load_settings("synthetic", "smoke", folder=configs).students.noise_ceiling == found
    assert render(found).row_count == 3


def test_stored_predictions_carry_their_seed_in_the_name(made: Any, tmp_path: Path) -> None:
    path = save_predictions(tmp_path / "kept" / "teacher.npz", 7, made.predictions)
    assert (path.name, seed_of(path)) == ("teacher_7.npz", 7)
    stored = load_stored(path)
    assert set(stored) == set(made.predictions)
    assert np.array_equal(stored["family"], made.predictions["family"])
    with pytest.raises(ConfigError, match="_<seed>"):
        seed_of(tmp_path / "teacher.npz")
    (tmp_path / "broken_1.npz").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_stored(tmp_path / "broken_1.npz")


def test_other_teachers_differ_in_the_seed_alone_and_are_kept(
    made: Any, chosen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def train(matrix: Any, registry: Any, tasks: Any, settings: Settings) -> Settings:
        trained.append(settings)
        return settings

    monkeypatch.setattr(ceiling, "train_teacher", train)
    monkeypatch.setattr(ceiling, "predict", lambda teacher, *_: ({"spend": np.full(3, teacher.seed)}, {}))
    home: Any = SimpleNamespace(
        settings=chosen,
        matrix=made.matrix,
        predictions=made.predictions,
        teacher=SimpleNamespace(seed=5),
        platform=SimpleNamespace(registry=None, available_tasks=()),
    )
    stored = save_predictions(tmp_path / "old.npz", 6, made.predictions)
    found = teachers_of(home, [7, 8], [stored], 1, tmp_path / "new.npz")
    assert list(found) == [5, 6, 7, 8]
    assert (found[8]["spend"] == 8).all()
    assert [settings.seed for settings in trained] == [7, 8]
    assert trained[0].teacher == chosen.teacher.model_copy(update={"threads": 1})
    assert {path.name for path in tmp_path.iterdir()} == {"old_6.npz", "new_7.npz", "new_8.npz"}
    with pytest.raises(ConfigError, match="another teacher of seed 5"):
        teachers_of(home, [], [save_predictions(tmp_path / "old.npz", 5, made.predictions)], None, None)
