"""C28: a stored model records what it was made with, and the teacher's training and predictions are reproduced bit for bit.

The record says what to begin with; the replay shows that it leads to the stored teacher. In two fresh processes, which share
nothing with the training or with each other, the first steps of the training are run again from the stored matrix (what is fitted
on train, the first weights, the first steps; every later step is the same function again), and batches of the stored predictions
from the stored weights. The first alone would not notice stored weights of another training; the second alone would say nothing
of the training.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from finai_assets.asset_graph import PREDICTIONS, TEACHER
from finai_assets.features.registry import Registry
from finai_assets.made_with import LIBRARIES
from finai_assets.settings import Settings
from finai_assets.teacher.fitting.training_fingerprint import training_fingerprint
from finai_assets.teacher.predictions import predictions_table
from finai_assets.teacher.result import TrainingFingerprint, deterministic, predict
from finai_assets.teacher.store import teacher_from_files
from finai_assets.teacher.train import prepare
from finai_assets.training.matrix import load_matrix
from finai_checks.framework.check import CheckOutcome
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession

PROCESSES = 2
_NAMED = 5
_NEEDED = ("python", *LIBRARIES)


# ---- the record of what a model was made with


def reproducible(
    made: Mapping[str, Mapping[str, Any] | None], *, seed: int, sources: Mapping[str, bool], **observed: Any
) -> CheckOutcome:
    """Return whether the models record everything that they were made with, and the code was a clean commit.

    Parameters
    ----------
    made
        The record of each model (:func:`finai_assets.made_with.made_with`), by asset; None where its manifest holds none.
    seed
        The seed of the configuration.
    sources
        Partitions that they must have been made from, and whether each is recorded and still stored unchanged.

    Returns
    -------
    CheckOutcome
        ``n`` counts the facts that are recorded rightly.
    """
    if not made:
        return CheckOutcome.no_evidence(**observed)
    facts = [fact for asset, record in made.items() for fact in _facts(asset, record, seed)]
    facts += [
        (source, "" if there else f"{source} is not recorded, or has changed since")
        for source, there in sources.items()
    ]
    reasons = list(dict.fromkeys(fault for _, fault in facts if fault))
    more = f"; and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
    records = [record for record in made.values() if record]
    observed = {
        "commits": sorted({str(record.get("commit")) for record in records}),
        "lock": sorted({str(record.get("lock")) for record in records}),
        "versions": records[0].get("versions") if records else None,
        "machine": records[0].get("machine") if records else None,
        "models": len(made),
        **observed,
    }
    table = [{"fact": name, "passed": not fault, "fault": fault} for name, fault in facts]
    return CheckOutcome(
        not reasons, "; ".join(reasons[:_NAMED]) + more, sum(not fault for _, fault in facts), observed, table
    )


def _facts(asset: str, record: Mapping[str, Any] | None, seed: int) -> list[tuple[str, str]]:
    """Return the facts that a model must record, each with its fault, which is empty where there is none."""
    if record is None:
        return [(f"{asset}: record", f"{asset} does not say what it was made with")]
    source_fault = record.get("source_fault") or "the commit is unknown"
    versions, machine = record.get("versions") or {}, record.get("machine") or {}
    absent = [name for name in _NEEDED if not versions.get(name)]
    commit, clean = record.get("commit"), record.get("clean") is True
    return [
        (f"{asset}: commit", "" if commit else f"{asset}: the commit is unknown ({source_fault})"),
        (f"{asset}: clean tree", "" if clean or not commit else f"{asset}: made from an unclean tree ({source_fault})"),
        (f"{asset}: lock file", "" if record.get("lock") else f"{asset}: no hash of a lock file"),
        (f"{asset}: seed", "" if record.get("seed") == seed
         else f"{asset}: made with seed {record.get('seed')}, the configuration has {seed}"),
        (f"{asset}: versions", f"{asset}: no version of {', '.join(absent)}" if absent else ""),
        (f"{asset}: machine", "" if machine.get("cpu_features") else f"{asset}: the features of its CPU are not recorded"),
    ]  # fmt: skip


# ---- run again


@dataclass(frozen=True, slots=True)
class Replay:
    """The result of one process: the fingerprint that it computed, and how many stored predictions differ, by column."""

    fingerprint: TrainingFingerprint | None
    compared: int
    differing: Mapping[str, int]


def replay_teacher(
    lake: Lake, settings: Settings, registry: Registry, tasks: Sequence[Any], *, batches: int
) -> tuple[TrainingFingerprint | None, list[Replay]]:
    """Run the first steps of the teacher's training, and some batches of its predictions, again in two fresh processes.

    Returns
    -------
    TrainingFingerprint or None
        As the teacher stored it.
    list of Replay
        One for each process.
    """
    session = LakeSession(lake)
    stored = teacher_from_files(session.read_files(TEACHER)).training_fingerprint
    steps = stored.steps if stored else 0
    replays = []
    for _ in range(PROCESSES):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            replays.append(pool.submit(_replay, lake, settings, registry, tuple(tasks), steps, batches).result())
    return stored, replays


def _replay(
    lake: Lake, settings: Settings, registry: Registry, tasks: Sequence[Any], steps: int, batches: int
) -> Replay:
    session = LakeSession(lake)
    matrix = load_matrix(session)
    fingerprint = None
    if steps:
        with deterministic(settings.teacher.threads, settings.seed):
            data, normaliser, structure = prepare(matrix, registry, tasks, settings)
            groups = tuple(group.name for group in registry.groups)
            fingerprint = training_fingerprint(data, normaliser, structure, settings, known_groups=groups, steps=steps)
    teacher, stored = teacher_from_files(session.read_files(TEACHER)), session.read(PREDICTIONS)
    size, rows = teacher.settings.batch_rows, len(matrix)
    # Whole batches as they were predicted: a kernel may add up the numbers of a smaller one in another order.
    starts = np.unique(np.linspace(0, (rows - 1) // size, batches).astype(np.int64)) * size
    compared, differing = 0, dict[str, int]()
    for start in starts:
        part = slice(int(start), min(rows, int(start) + size))
        side = None if matrix.side is None else matrix.side[part]
        again = predictions_table(*predict(teacher, matrix.X[part], size, side), teacher.slot_names)
        before = stored.slice(part.start, part.stop - part.start)
        for name in sorted({*again.column_names, *before.column_names}):
            both = name in again.column_names and name in before.column_names
            count = _differing(again[name].to_numpy(), before[name].to_numpy()) if both else part.stop - part.start
            compared += part.stop - part.start
            if count:
                differing[name] = differing.get(name, 0) + count
    return Replay(fingerprint, compared, differing)


def _differing(first: np.ndarray, second: np.ndarray) -> int:
    return int((np.ascontiguousarray(first).view(np.uint32) != np.ascontiguousarray(second).view(np.uint32)).sum())


def teacher_is_reproducible(
    stored: TrainingFingerprint | None, replays: Sequence[Replay], *, elsewhere: Sequence[str] = ()
) -> CheckOutcome:
    """Return whether every process reproduced a teacher's training fingerprint and predictions bit for bit.

    Parameters
    ----------
    stored
        The fingerprint that the training stored.
    replays
        The result of each process.
    elsewhere
        Differences of code, versions or machine to those of the training, in words.
    """
    if stored is None or not replays or any(run.fingerprint is None or not run.compared for run in replays):
        return CheckOutcome.no_evidence(training_fingerprint=stored is not None, processes=len(replays))
    digests = [run.fingerprint.digest for run in replays if run.fingerprint]
    reasons = []
    if len(set(digests)) > 1:
        reasons.append(f"{len(replays)} processes differ from each other within {stored.steps} steps of training")
    elif digests[0] != stored.digest:
        reasons.append(f"the first {stored.steps} steps of the training leave other weights than when it was trained")
    differing: dict[str, int] = {}
    for run in replays:
        differing = {name: max(count, differing.get(name, 0)) for name, count in {**differing, **run.differing}.items()}
    if differing:
        named = ", ".join(f"{name} ({count})" for name, count in sorted(differing.items())[:_NAMED])
        more = f" and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
        reasons.append(f"the stored weights do not reproduce the stored predictions: {named}{more}")
    if reasons and elsewhere:
        reasons.append(f"it was made elsewhere: {', '.join(elsewhere)}")
    observed = {
        "fingerprint_steps": stored.steps,
        "training_fingerprint": stored.digest[:16],
        "processes": len(replays),
        "values_of_predictions": replays[0].compared,
        "differing": sum(differing.values()),
        "made_elsewhere": list(elsewhere),
    }
    return CheckOutcome(not reasons, "; ".join(reasons), sum(run.compared for run in replays), observed)
