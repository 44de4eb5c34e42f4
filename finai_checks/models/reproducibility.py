"""C28: it is known what the models were made with, and the teacher comes out again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from finai_assets.made_with import EXTRA, differences, made_with
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_assets.teacher.result import Opening
from finai_assets.teacher.store import CARD, WEIGHTS
from finai_assets.training.matrix import ARRAY
from finai_assets.training.matrix import ASSET as MATRIX_ASSET
from finai_checks.framework.canary import Canary, LakeCanary
from finai_checks.framework.declaration import Declared, Evaluate, declare
from finai_checks.framework.kind import Kind
from finai_checks.framework.outcome import NO_EVIDENCE, CheckOutcome
from finai_checks.framework.small_lake import SmallLake
from finai_checks.framework.theme import Theme
from finai_checks.models.reproduction import TEACHER_ASSET, Replayed, comes_again, replay_teacher, reproducible
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

BUNDLE_ASSET = "serving/bundle"

REPRODUCIBLE = Kind(
    "C28",
    "reproducible",
    "clean commit, lock file, seed, data, versions and CPU of the models are recorded, and the data are still those stored",
    blocking=True,
    minimum=1,
    units="facts",
    thresholds=("checks.reproducible", "seed"),
    binds="checks.reproducible.require_clean",
)
COMES_AGAIN = Kind(
    "C28",
    "teacher_comes_again",
    "in two fresh processes the first steps of the teacher's training leave the same weights to the bit as when it was trained, "
    "and its stored weights give the stored predictions",
    blocking=True,
    minimum=100,
    units="predicted values",
    thresholds=("checks.reproducible",),
    audit=True,
)


def _declare(platform: Platform) -> list[Declared]:
    settings = platform.settings
    return [
        declare(
            REPRODUCIBLE, TEACHER_ASSET, _record(platform, TEACHER_ASSET, [TEACHER_ASSET], [MATRIX_ASSET]), settings
        ),
        declare(REPRODUCIBLE, BUNDLE_ASSET, _bundle(platform), settings),
        declare(COMES_AGAIN, TEACHER_ASSET, _again(platform), settings),
    ]


def _bundle(platform: Platform) -> Evaluate:
    students = [f"students/{task.name}" for task in platform.available_tasks]
    return _record(platform, BUNDLE_ASSET, [BUNDLE_ASSET, TEACHER_ASSET, *students], [MATRIX_ASSET, *students])


def _record(platform: Platform, asset: str, models: list[str], sources: list[str]) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        manifest = session.manifest(asset)
        made = {model: session.manifest(model).extra.get(EXTRA) for model in models}
        # All that is recorded, and what must be.
        listed = sorted({*sources, *manifest.upstream})
        found = {source: _unchanged(session, source, manifest.upstream.get(source)) for source in listed}
        return reproducible(made, seed=platform.settings.seed, sources=found)

    return evaluate


def _unchanged(session: LakeSession, address: str, recorded: str | None) -> bool:
    asset, _, month = address.partition("@")
    stored = session.lake.find(asset, month or None)
    return recorded is not None and stored is not None and stored.content_hash == recorded


def _again(platform: Platform) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        settings, made = platform.settings, session.manifest(TEACHER_ASSET).extra.get(EXTRA)
        stored, found = replay_teacher(
            session.lake,
            settings,
            platform.registry,
            platform.available_tasks,
            batches=settings.checks.reproducible.prediction_batches,
        )
        elsewhere = differences(made, made_with(settings.seed)) if made else ["nothing says where"]
        return comes_again(stored, found, elsewhere=elsewhere)

    return evaluate


# ---- proof


def _canaries(_settings: Settings) -> list[Canary]:
    return [*_record_canaries(), *_again_canaries()]


def _record_canaries() -> list[Canary]:
    clean: dict[str, Any] = {
        **made_with(7),
        "commit": "0" * 40,
        "clean": True,
        "source_fault": "",
        "lock": "1" * 64,
    }
    data = {MATRIX_ASSET: True}

    def canary(
        label: str,
        expects: str | None,
        record: Mapping[str, Any] | None = clean,
        *,
        sources: Mapping[str, bool] = data,
        **changed: Any,
    ) -> Canary:
        made = {TEACHER_ASSET: {**record, **changed} if record else None}
        return Canary(REPRODUCIBLE, label, expects, lambda: reproducible(made, seed=7, sources=sources))

    return [
        canary("a teacher of a clean commit, with all that it takes", None),
        canary("a tree with changes", "made from an unclean tree (not committed: finai_assets/scoring/metrics.py)", clean=False,
               source_fault="not committed: finai_assets/scoring/metrics.py"),
        canary("an installed package", "the commit is unknown (the packages are no git checkout)", commit=None, clean=None,
               source_fault="the packages are no git checkout"),
        canary("no lock file", "teacher/ple: no hash of a lock file", lock=None),
        canary("another seed than the configuration's", "made with seed 8, the configuration has 7", seed=8),
        canary("a library whose version is unknown", "no version of torch", versions={**clean["versions"], "torch": None}),
        canary("a CPU that is unknown", "the features of its CPU are not recorded", machine={}),
        canary("a matrix that has changed since", "teacher/training_matrix is not recorded, or has changed since",
               sources={MATRIX_ASSET: False}),
        canary("a teacher that says nothing", "does not say what it was made with", None),
        Canary(REPRODUCIBLE, "no model", NO_EVIDENCE, lambda: reproducible({}, seed=7, sources=data)),
    ]  # fmt: skip


def _again_canaries() -> list[Canary]:
    stored = Opening(6, "a" * 64)
    same = Replayed(stored, 500, {})

    def canary(label: str, expects: str | None, opening: Opening | None, *found: Replayed, **more: Any) -> Canary:
        return Canary(COMES_AGAIN, label, expects, lambda: comes_again(opening, found, **more))

    other = Replayed(Opening(6, "b" * 64), 500, {})
    return [
        canary("two processes that find what was stored", None, stored, same, same),
        canary("a training that begins otherwise now", "leave other weights than when it was trained", stored, other, other),
        canary("another machine, another opening", "made elsewhere: another cpu features", stored, other, other,
               elsewhere=["another cpu features"]),
        canary("processes that disagree", "2 processes train otherwise than each other", stored, same, other),
        canary("predictions that differ in one process", "stored weights: churn_signal (3)", stored, same,
               Replayed(stored, 500, {"churn_signal": 3})),
        canary("a teacher without an opening", NO_EVIDENCE, None, same, same),
        canary("nothing replayed", NO_EVIDENCE, stored),
    ]  # fmt: skip


def _lake_canaries() -> list[LakeCanary]:
    return [
        LakeCanary(REPRODUCIBLE, TEACHER_ASSET, "a teacher that was made with another seed", "made with seed 8",
                   lambda small: _rerecord(small, seed=8)),
        LakeCanary(REPRODUCIBLE, TEACHER_ASSET, "a matrix written anew since", "training_matrix is not recorded, or has changed",
                   _one_value_of_the_matrix),
        LakeCanary(COMES_AGAIN, TEACHER_ASSET, "a teacher as it was trained"),
        LakeCanary(COMES_AGAIN, TEACHER_ASSET, "one bit of a stored weight, and of the stored opening",
                   "leave other weights than when it was trained; stored predictions do not come out again", _one_bit),
    ]  # fmt: skip


def _rerecord(small: SmallLake, **changed: Any) -> None:
    """Change the record of what the teacher was made with; its files stay."""
    manifest, files = small.lake.manifest(TEACHER_ASSET), small.files(TEACHER_ASSET)
    extra = {**manifest.extra, EXTRA: {**manifest.extra[EXTRA], **changed}}
    with small.lake.write(TEACHER_ASSET, extra=extra, upstream=manifest.upstream) as out:
        for role, content in files.items():
            out.put(role, content)


def _one_value_of_the_matrix(small: SmallLake) -> None:
    content = bytearray(small.files(MATRIX_ASSET)[ARRAY])
    content[-4] ^= 1
    small.put_files(MATRIX_ASSET, {ARRAY: bytes(content)})


def _one_bit(small: SmallLake) -> None:
    files = small.files(TEACHER_ASSET)
    weights, card = load(files[WEIGHTS]), json.loads(files[CARD])
    name = next(name for name in sorted(weights) if name.endswith("head.bias"))
    bits = weights[name].copy().view(np.uint32)
    bits[0] ^= 1 << 20  # of the mantissa: a change of an eighth
    weights[name] = bits.view(np.float32)
    card["opening"]["digest"] = f"{int(card['opening']['digest'], 16) ^ 1:064x}"
    small.put_files(TEACHER_ASSET, {WEIGHTS: save(weights), CARD: json.dumps(card).encode()})


THEME = Theme((REPRODUCIBLE, COMES_AGAIN), _declare, _canaries, _lake_canaries)
