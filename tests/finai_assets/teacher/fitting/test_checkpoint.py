from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import training_program
from panel import only
from safetensors.torch import load_file

from finai_assets.teacher.data import TeacherData
from finai_assets.teacher.fitting.checkpoint import Checkpoint
from finai_assets.teacher.fitting.loop import Run
from finai_assets.teacher.fitting.process_group import ProcessGroup
from finai_assets.teacher.network.ple import PLE
from finai_assets.teacher.train import teacher_to_files, train_teacher
from finai_resources.progress import watched

PROGRAM = Path(training_program.__file__)


def train(folder: Path, *death: int) -> int:
    folder.mkdir(exist_ok=True)
    words = [sys.executable, str(PROGRAM), str(folder), *map(str, death)]
    return subprocess.run(words, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300).returncode


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "files").iterdir()}


@pytest.mark.slow
def test_a_run_killed_in_mid_epoch_ends_bit_equal_to_one_that_never_was(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert train(whole) == 0
    assert train(cut, 1, 5) == -signal.SIGKILL  # before the first epoch is over
    assert not (cut / "files").exists()
    (stored,) = (cut / "checkpoints").glob("*.safetensors")
    assert "random/0" in load_file(stored)
    assert train(cut, 2, 7) == -signal.SIGKILL  # and again, in the second
    assert train(cut) == 0
    assert files(cut) == files(whole)
    assert list((cut / "checkpoints").iterdir()) == []


@pytest.fixture
def runs(panel, normaliser, small):
    """Make runs of the same training."""
    loop = small.teacher.loop.model_copy(update={"checkpoint_steps": 1})
    settings = small.model_copy(update={"teacher": small.teacher.model_copy(update={"loop": loop, "dropout": 0.3})})
    alone = only(panel, "churn_signal", "product_stability")

    def make():
        torch.manual_seed(0)
        data = TeacherData.of(alone, alone.tasks, settings)
        return Run(PLE(normaliser, data.tasks, settings.teacher), normaliser, data, settings)

    return make


class StopError(Exception):
    pass


def stop_after(step):
    def watch(label, done, total):
        if done == step:
            raise StopError

    return watch


def test_a_checkpoint_holds_position_random_state_and_optimiser(runs, tmp_path):
    run, checkpoint = runs(), Checkpoint(tmp_path, "it")
    with watched(stop_after(3)), pytest.raises(StopError):
        run.epoch(lambda: checkpoint.save(run))
    random = torch.get_rng_state()
    again = runs()
    assert checkpoint.restore(again)
    assert (again.done, again.history) == (3, [])
    assert again.sums == run.sums
    assert torch.equal(again.random[0], random)
    for one, two in zip(run.stepper.parameters, again.stepper.parameters, strict=True):
        assert torch.equal(one, two)
        for name, value in run.optimiser.state[one].items():
            assert torch.equal(value, again.optimiser.state[two][name]), name


def test_an_epoch_taken_up_after_a_step_has_the_weights_and_losses_of_the_whole(runs, tmp_path):
    whole = runs()
    expected = whole.epoch()
    run, checkpoint = runs(), Checkpoint(tmp_path, "it")
    with watched(stop_after(4)), pytest.raises(StopError):
        run.epoch(lambda: checkpoint.save(run))
    torch.manual_seed(12345)
    again = runs()
    checkpoint.restore(again)
    found = again.epoch()
    assert (found.train, found.validation) == (expected.train, expected.validation)
    assert all(torch.equal(v, whole.model.state_dict()[name]) for name, v in again.model.state_dict().items())


def test_a_file_that_was_not_finished_is_not_read(runs, tmp_path):
    run, checkpoint = runs(), Checkpoint(tmp_path, "it")
    run.epoch()
    checkpoint.save(run)
    whole = checkpoint.path.read_bytes()
    (tmp_path / ".it.safetensors.0123.partial").write_bytes(whole[: len(whole) // 2])
    again = runs()
    assert checkpoint.restore(again)
    assert len(again.history) == 1
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["it.safetensors"]


def test_a_finished_run_has_its_result_without_training(panel, registry, small, tmp_path):
    alone = only(panel, "churn_signal")
    first = train_teacher(
        alone, registry, alone.tasks, small, checkpoint_dir=tmp_path, processes=ProcessGroup(torch.device("cpu"))
    )
    assert len(list(tmp_path.iterdir())) == 1
    steps = []
    with watched(lambda *step: steps.append(step)):
        again = train_teacher(alone, registry, alone.tasks, small, checkpoint_dir=tmp_path)
    assert steps == []
    assert teacher_to_files(again) == teacher_to_files(first)
    assert list(tmp_path.iterdir()) == []
