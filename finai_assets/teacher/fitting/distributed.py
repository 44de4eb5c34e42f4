"""Trains the teacher in several processes, one per GPU.

Start it by ``torchrun --nproc-per-node 2 -m finai_assets.teacher.fitting.distributed --home HOME``.

Reads the training matrix of a home, trains with the batches shared out among the processes, and leaves the finished run as a
checkpoint in the home. The asset ``teacher/ple`` then resumes it, and only calibrates and stores.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from finai_assets.platform import Platform
from finai_assets.settings import load_settings
from finai_assets.teacher.fitting.process_group import ProcessGroup
from finai_assets.teacher.result import EpochRecord
from finai_assets.teacher.train import train_teacher
from finai_assets.training.matrix import load_matrix
from finai_resources.home import Home
from finai_resources.lake import Lake


def main(arguments: Sequence[str] | None = None) -> None:
    """Train in the processes that ``torchrun`` has started."""
    order = _parser().parse_args(arguments)
    settings = load_settings(order.dataset, order.profile, overrides=json.loads(order.override))
    home, platform = Home.choose(order.dataset, order.profile, order.home), Platform.of(settings)
    processes = ProcessGroup.join(settings.teacher.loop.device)
    try:
        train_teacher(
            load_matrix(_lake(platform, home)),
            platform.registry,
            platform.available_tasks,
            settings,
            after_epoch=_report(settings.teacher.epochs) if processes.leads else None,
            checkpoint_dir=home.root / "checkpoints",
            processes=processes,
        )
    finally:
        processes.leave()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, help="FINAI_HOME, or .finai/<dataset>-<profile>, by default")
    parser.add_argument("--dataset", default="synthetic")
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--override", default="{}", help="settings in JSON, laid over those of the profile")
    return parser


def _lake(platform: Platform, home: Home) -> Lake:
    from finai_assets.definitions import default_resources  # noqa: PLC0415 - heavy, and this module is a program

    lake: Lake = default_resources(platform.settings, home)["lake"].open()  # type: ignore[attr-defined]
    return lake


def _report(epochs: int) -> Callable[[EpochRecord], None]:
    def report(record: EpochRecord) -> None:
        losses = ", ".join(f"{name} {loss:.4g}" for name, loss in record.validation.items())
        sys.stdout.write(f"epoch {record.epoch} of {epochs}: score {record.score:.4f}; validation losses {losses}\n")
        sys.stdout.flush()

    return report


if __name__ == "__main__":
    main()
