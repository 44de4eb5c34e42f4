"""A program that trains on the panel, for tests that kill it: ``training_program.py FOLDER [EPOCH STEP]``.

Writes the teacher's files to ``FOLDER/files`` when it is done; dies by SIGKILL after the given step of the given epoch.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from panel import make_panel, only, small_settings

from finai_assets.features.registry import build_registry
from finai_assets.teacher.train import teacher_to_files, train_teacher
from finai_resources.progress import watched

TASKS = ("churn_signal", "next_mcc", "nba_primary", "cross_sell_count")


def main(folder: Path, *death: int) -> None:
    loop = {"device": "cpu", "checkpoint_steps": 2, "block_rows": 100, "window_blocks": 4}
    settings = small_settings(batch_rows=128, epochs=3, loop=loop)
    registry = build_registry(settings)
    panel = only(make_panel(settings, registry, train=1000, other=200), *TASKS)

    def watch(label: str, done: int, total: int) -> None:
        if death and label.startswith(f"epoch {death[0]} ") and done == death[1]:
            os.kill(os.getpid(), signal.SIGKILL)

    with watched(watch):
        found = train_teacher(panel, registry, panel.tasks, settings, checkpoint_dir=folder / "checkpoints")
    (folder / "files").mkdir()
    for name, content in teacher_to_files(found).items():
        (folder / "files" / name).write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
