"""A program that runs an ablation on the planted panel and dies by SIGKILL: ``ablation_program.py FOLDER WHERE``.

``training``: after the second step of the second epoch of the second run. ``storing``: when the second run's result is written
and not yet in its place.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from planted import planted_panel, planted_settings

from finai_assets.features.registry import build_registry
from finai_resources.progress import watched
from studies.teacher.runs import Runs, run_all, units
from studies.teacher.study import Study
from studies.teacher.variants import chosen_variants

TEACHER = {"epochs": 3, "loop": {"device": "cpu", "checkpoint_steps": 2, "block_rows": 100, "window_blocks": 4}}


def small_study() -> Study:
    settings = planted_settings(**TEACHER)
    registry = build_registry(settings)
    return Study.of(planted_panel(settings, registry, train=320, other=80), registry, settings, content="planted")


def plan(study: Study):
    return units(study, chosen_variants(study.settings, (), ["without_deepfm"]), 1)


def main(folder: Path, where: str) -> None:
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    study = small_study()
    planned = plan(study)

    def watch(label: str, done: int, total: int) -> None:
        if where == "training" and label.startswith(f"{planned[1]}, epoch 2 ") and done == 3:
            die()

    if where == "storing":
        replace = Path.replace

        def interrupted(path: Path, target: Path) -> Path:
            if path.name.startswith(".without_deepfm"):
                die()
            return replace(path, target)

        Path.replace = interrupted
    with watched(watch):
        run_all(study, planned, Runs(folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
