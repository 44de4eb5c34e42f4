"""A training run on disk after each epoch: weights, optimiser, best weights, history; safetensors, no pickle.

Random state needs no place in it: an epoch's order and dropout are seeded by its number.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file, save

from finai_assets.teacher.data import TeacherData
from finai_assets.teacher.normalise import Normaliser
from finai_assets.teacher.result import EpochRecord

if TYPE_CHECKING:
    from finai_assets.settings import Settings
    from finai_assets.teacher.train import Run

_SAMPLED_ROWS = 512


def fingerprint(data: TeacherData, normaliser: Normaliser, settings: Settings) -> str:
    """Return a name for exactly this training: configuration, threads, columns, rows, labels, and feature statistics."""
    digest = hashlib.sha256(settings.digest("teacher", "seed").encode())
    digest.update(normaliser.to_bytes())
    digest.update(repr(data.tasks).encode())
    digest.update(np.ascontiguousarray(data.train).tobytes())
    for name in sorted(data.labels):
        digest.update(name.encode() + data.labels[name].tobytes())
    sampled = np.linspace(0, len(data.X) - 1, min(_SAMPLED_ROWS, len(data.X))).astype(np.int64)
    digest.update(np.ascontiguousarray(data.X[sampled]).tobytes())
    return digest.hexdigest()[:24]


class Checkpoint:
    """One file in a folder, replaced whole after each epoch. A run of anything else has another name and is not seen.

    Parameters
    ----------
    folder : Path
    name : str
        From :func:`fingerprint`.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.safetensors"

    def save(self, run: Run) -> None:
        """Write the run; a reader sees the old file or the new one."""
        tensors = {f"model/{name}": value for name, value in run.model.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in run.best.items()}
        tensors |= {f"balance/{name}": value for name, value in run.balance.state_dict().items()}
        for index, state in run.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{index}/{name}": value for name, value in state.items()}
        notes = {"history": json.dumps([asdict(record) for record in run.history]), "best_epoch": str(run.best_epoch)}
        content = save({name: value.detach().clone().contiguous() for name, value in tensors.items()}, notes)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_bytes(content)
        partial.replace(self.path)

    def restore(self, run: Run) -> bool:
        """Bring a fresh run to where the file left off; tell whether there was one."""
        if not self.path.exists():
            return False
        tensors = load_file(self.path)
        run.model.load_state_dict(_below("model/", tensors))
        run.balance.load_state_dict(_below("balance/", tensors))
        run.best = _below("best/", tensors)
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in _below("optimiser/", tensors).items():
            index, name = key.split("/")
            state.setdefault(int(index), {})[name] = value
        run.optimiser.load_state_dict({**run.optimiser.state_dict(), "state": state})
        notes = _notes(self.path)
        run.history = [EpochRecord(**record) for record in json.loads(notes["history"])]
        run.best_epoch = int(notes["best_epoch"])
        return True

    def remove(self) -> None:
        """Remove the file: the run is complete."""
        self.path.unlink(missing_ok=True)


def _below(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _notes(path: Path) -> dict[str, str]:
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        notes: dict[str, str] = json.loads(stream.read(size))["__metadata__"]
    return notes
