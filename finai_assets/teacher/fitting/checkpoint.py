"""The checkpoint of a training run: everything that its next step depends on, as safetensors without pickle.

It holds weights and their average, optimiser, weights between losses, best weights, random state, the loss scale of half
precision, history, and the position: epochs done, and batches done of the next one. Learning rate and order of rows follow from
the position.
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
from finai_assets.teacher.structure import Structure
from finai_resources.errors import GateError
from finai_resources.whole_file import remove_file, replace_file

if TYPE_CHECKING:
    from finai_assets.settings import Settings
    from finai_assets.teacher.fitting.loop import Run

_SAMPLED_ROWS = 512


def fingerprint(data: TeacherData, normaliser: Normaliser, structure: Structure, settings: Settings) -> str:
    """Return the hash that identifies a training: configuration, threads, columns, rows, labels, statistics, and structure."""
    digest = hashlib.sha256(settings.digest("teacher", "seed").encode())
    digest.update(normaliser.to_bytes())
    digest.update(structure.to_bytes())
    digest.update(repr(data.tasks).encode())
    digest.update(np.ascontiguousarray(data.train).tobytes())
    for name in sorted(data.labels):
        digest.update(name.encode() + data.labels[name].tobytes())
    sampled = np.linspace(0, len(data.X) - 1, min(_SAMPLED_ROWS, len(data.X))).astype(np.int64)
    for array in (data.X, data.side):
        if array is not None:
            digest.update(np.ascontiguousarray(array[sampled]).tobytes())
    return digest.hexdigest()[:24]


class Checkpoint:
    """The checkpoint file of one training, replaced whole; another training has a file of another name.

    Parameters
    ----------
    folder : Path
        Where several processes train together, all of them see it.
    name : str
        From :func:`fingerprint`.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.safetensors"

    def save(self, run: Run) -> None:
        """Write the run; a reader sees the old file or the new one. All processes call it, the first one writes."""
        random = run.random_state()
        if not run.processes.leads:
            return
        tensors = {f"model/{name}": value for name, value in run.model.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in run.best.items()}
        tensors |= {f"average/{name}": value for name, value in run.average.values.items()}
        tensors |= {f"balance/{name}": value for name, value in run.balance.state_dict().items()}
        tensors |= {f"random/{rank}": state for rank, state in enumerate(random)}
        for index, state in run.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{index}/{name}": value for name, value in state.items()}
        notes = {
            "history": [asdict(record) for record in run.history],
            "best_epoch": run.best_epoch,
            "done": run.done,
            "sums": run.sums,
            "precision": run.precision.state(),
        }
        content = save(
            {name: value.detach().clone().cpu().contiguous() for name, value in tensors.items()},
            {name: json.dumps(value) for name, value in notes.items()},
        )
        replace_file(self.path, content)

    def restore(self, run: Run) -> bool:
        """Restore a fresh run from the file; return whether there was one.

        Raises
        ------
        GateError
            The processes that train together do not see the same file.
        """
        there = self.path.exists()
        self._agree(run, there)
        if not there:
            return False
        tensors = load_file(self.path)
        run.model.load_state_dict(_below("model/", tensors))
        averaged = _below("average/", tensors)
        run.average.values = {name: averaged[name].to(run.processes.device) for name in run.average.values}
        run.balance.load_state_dict(_below("balance/", tensors))
        run.best = {name: value.to(run.processes.device) for name, value in _below("best/", tensors).items()}
        by_rank = _below("random/", tensors)
        run.random = [by_rank[str(rank)] for rank in range(len(by_rank))]
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in _below("optimiser/", tensors).items():
            index, name = key.split("/")
            state.setdefault(int(index), {})[name] = value
        run.optimiser.load_state_dict({**run.optimiser.state_dict(), "state": state})
        notes = {name: json.loads(text) for name, text in _notes(self.path).items()}
        run.history = [EpochRecord(**record) for record in notes["history"]]
        run.best_epoch, run.done = notes["best_epoch"], notes["done"]
        run.sums = {name: (total, count) for name, (total, count) in notes["sums"].items()}
        run.precision.restore(notes["precision"])
        return True

    def _agree(self, run: Run, there: bool) -> None:
        seen = int(run.processes.add(torch.tensor([float(there)], device=run.processes.device)))
        if seen not in (0, run.processes.size):
            raise GateError(
                f"{seen} of {run.processes.size} processes see the checkpoint",
                where=str(self.path),
                fix="give all machines the same folder of checkpoints",
            )

    def remove(self) -> None:
        """Remove the file: the run is complete."""
        remove_file(self.path)


def _below(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _notes(path: Path) -> dict[str, str]:
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        notes: dict[str, str] = json.loads(stream.read(size))["__metadata__"]
    return notes
