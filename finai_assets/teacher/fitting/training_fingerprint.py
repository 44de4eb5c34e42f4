"""The fingerprint of a training: a hash of the weights after its first steps, with all that was fitted before them.

The training stores it, so that whoever has the data, the code and the lock file can see whether they train the same teacher
without training it to the end: what is fitted on train, the first weights, the order of rows and every kernel of a step take
part, and every later step is the same function again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import torch

from finai_assets.teacher.fitting.loop import Run
from finai_assets.teacher.fitting.process_group import ProcessGroup
from finai_assets.teacher.network.ple import PLE
from finai_assets.teacher.result import TrainingFingerprint, deterministic

if TYPE_CHECKING:
    from finai_assets.settings import Settings
    from finai_assets.teacher.data import TeacherData
    from finai_assets.teacher.network.protocol import Network
    from finai_assets.teacher.normalise import Normaliser
    from finai_assets.teacher.structure import Structure


def training_fingerprint(
    data: TeacherData,
    normaliser: Normaliser,
    structure: Structure,
    settings: Settings,
    *,
    known_groups: Sequence[str],
    steps: int,
) -> TrainingFingerprint:
    """Train a fresh network for some steps, and hash its weights with what was fitted before them.

    On the CPU whatever the training computes on: a GPU's sums have no fixed order. The caller's random state stays as it is.

    Parameters
    ----------
    data, normaliser, structure
        From :func:`finai_assets.teacher.train.prepare`.
    known_groups
        Names of all feature groups.
    steps
        At most an epoch's.
    """
    chosen = settings.teacher
    with deterministic(chosen.threads, settings.seed):
        model = PLE(normaliser, data.tasks, chosen, structure=structure, known_groups=tuple(known_groups))
        run = Run(model, normaliser, data, settings, ProcessGroup(torch.device("cpu")))
        last = min(steps, run.feed.batches)
        with closing(run.steps()) as trained:
            for done in trained:
                if done == last:  # before the epoch ends, which is more than a step
                    break
    return TrainingFingerprint(last, _digest(model, normaliser, structure))


def _digest(model: Network, normaliser: Normaliser, structure: Structure) -> str:
    digest = hashlib.sha256(normaliser.to_bytes() + structure.to_bytes())
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode() + value.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()
