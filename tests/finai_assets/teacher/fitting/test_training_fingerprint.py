"""The fingerprint of a training is that of its own first steps, and of no other training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from finai_assets.teacher.fitting.loop import Run
from finai_assets.teacher.fitting.training_fingerprint import _digest, training_fingerprint
from finai_assets.teacher.network.ple import PLE
from finai_assets.teacher.result import TrainingFingerprint, deterministic
from finai_assets.teacher.store import teacher_from_files, teacher_to_files
from finai_assets.teacher.train import prepare, train_teacher
from finai_resources.progress import watched

STEPS = 3


@pytest.fixture(scope="module")
def prepared(panel, registry, small):
    return prepare(panel, registry, panel.tasks, small)


def fingerprint(prepared, registry, settings, steps=STEPS):
    groups = [group.name for group in registry.groups]
    return training_fingerprint(*prepared, settings, known_groups=groups, steps=steps)


def test_the_training_passes_through_its_fingerprint(prepared, registry, small):
    data, normaliser, structure = prepared
    seen = {}
    with deterministic(small.teacher.threads, small.seed):
        model = PLE(normaliser, data.tasks, small.teacher, structure=structure)
        run = Run(model, normaliser, data, small)

        def note(_label, done, _batches):
            seen[done] = _digest(model, normaliser, structure)

        with watched(note):
            run.epoch()
    assert len(seen) > STEPS
    assert fingerprint(prepared, registry, small) == TrainingFingerprint(STEPS, seen[STEPS])
    assert len(set(seen.values())) == len(seen)


def test_it_does_not_depend_on_what_was_drawn_before_and_leaves_the_random_numbers_alone(prepared, registry, small):
    first = fingerprint(prepared, registry, small)
    torch.manual_seed(5)
    before = torch.get_rng_state().clone()
    assert fingerprint(prepared, registry, small) == first
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("change", ["seed", "row", "label"])
def test_another_seed_row_or_label_is_another_fingerprint(prepared, panel, registry, small, change):
    first = fingerprint(prepared, registry, small)
    matrix, settings = panel, small
    if change == "seed":
        settings = small.model_copy(update={"seed": small.seed + 1})
    elif change == "row":
        X = np.array(panel.X)
        X[:5] = X[5:10]
        matrix = replace(panel, X=X)
    else:
        name = panel.tasks[0].name
        labels = {**panel.labels, name: np.roll(panel.labels[name], 1)}
        matrix = replace(panel, labels=labels)
    other = fingerprint(prepare(matrix, registry, matrix.tasks, settings), registry, settings)
    assert other.steps == first.steps
    assert other.digest != first.digest


def test_more_steps_than_an_epoch_has_are_the_epoch(prepared, registry, small):
    data = prepared[0]
    batches = -(-len(data.train) // small.teacher.batch_rows)
    found = fingerprint(prepared, registry, small, steps=10_000)
    assert found == fingerprint(prepared, registry, small, steps=batches)
    assert found.steps == batches


def test_a_teacher_stores_its_fingerprint(panel, registry, small):
    short = small.model_copy(update={"teacher": small.teacher.model_copy(update={"epochs": 1})})
    trained = train_teacher(panel, registry, panel.tasks, short)
    assert trained.training_fingerprint is not None
    assert trained.training_fingerprint.steps == short.checks.reproducible.fingerprint_steps
    assert teacher_from_files(teacher_to_files(trained)).training_fingerprint == trained.training_fingerprint
