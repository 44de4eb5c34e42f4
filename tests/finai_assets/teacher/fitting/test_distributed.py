"""Two processes with gloo against one, through the program that a person starts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest
from panel import SMALL, make_panel

from finai_assets.definitions import default_resources
from finai_assets.platform import Platform
from finai_assets.settings import load_settings
from finai_assets.teacher.train import train_teacher
from finai_assets.training.matrix import ASSET, load_matrix
from finai_resources.home import Home
from finai_resources.lake_session import LakeSession
from finai_resources.progress import watched

TASKS = ("churn_signal", "next_mcc", "nba_primary", "cross_sell_count", "mcc_diversity_trend")
CHANGES = {"dropout": 0.0, "input_dropout": 0.0, "batch_rows": 160, "epochs": 3, "learning_rate": 0.003}


def store(panel, lake) -> None:
    """Write a panel as the training matrix of a lake."""
    with LakeSession(lake).write(ASSET, code_version="test") as out:
        np.save(out.new_file("X.npy"), panel.X)
        keys = {"customer_id": panel.customer, "month": panel.month, "split": panel.split}
        labels = {f"label:{name}": values for name, values in panel.labels.items()}
        out.write(pa.table({**keys, **labels}))
        description = {"columns": list(panel.columns), "tasks": [asdict(task) for task in panel.tasks]}
        out.put("matrix.json", json.dumps(description).encode())


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Return a home whose lake holds a panel as its training matrix, the settings, and what overrides those of the profile."""
    every = load_settings("synthetic", "smoke", overrides=SMALL)
    others = {task.name: "not in this panel" for task in Platform.of(every).tasks if task.name not in TASKS}
    override = {**SMALL, "teacher": {**SMALL["teacher"], **CHANGES}, "dataset": {"unavailable_tasks": others}}
    settings = load_settings("synthetic", "smoke", overrides=override)
    home, platform = Home.at(tmp_path_factory.mktemp("home")), Platform.of(settings)
    lake = default_resources(settings, home)["lake"].open()
    store(make_panel(settings, platform.registry, train=700, other=150), lake)
    return home, platform, load_matrix(lake), override


def torchrun(processes, home, override):
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    words += ["-m", "finai_assets.teacher.fitting.distributed", "--home", str(home.root), "--profile", "smoke"]
    words += ["--override", json.dumps(override)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, check=True, capture_output=True, text=True, env=environment, timeout=500).stdout


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one_and_leave_their_run_to_it(stored):
    home, platform, matrix, override = stored
    registry, settings, tasks = platform.registry, platform.settings, platform.available_tasks
    alone = train_teacher(matrix, registry, tasks, settings)
    told = torchrun(2, home, override)
    assert re.findall(r"epoch (\d) of 3", told) == ["1", "2", "3"], "one process reports"
    steps = []
    with watched(lambda *step: steps.append(step)):
        shared = train_teacher(matrix, registry, tasks, settings, checkpoint_dir=home.root / "checkpoints")
    assert steps == [], "the finished run is taken up"
    for one, two in zip(alone.history, shared.history, strict=True):
        assert two.score == pytest.approx(one.score, abs=1e-4)
        for name in TASKS:
            assert two.train[name] == pytest.approx(one.train[name], rel=1e-4, abs=1e-5)
            assert two.validation[name] == pytest.approx(one.validation[name], rel=1e-4, abs=1e-5)
    assert alone.history[-1].score > alone.history[0].score
