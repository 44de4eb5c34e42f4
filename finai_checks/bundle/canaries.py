"""C26, the inputs that prove it: a small bundle, and what tampering, negligence and growth make of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from finai_assets.settings import Settings
from finai_assets.students.card import CARD, DIRECT_MODEL, MODEL
from finai_checks.bundle.checks import BUNDLE_INTEGRITY
from finai_checks.bundle.cold_start import ColdStart
from finai_checks.bundle.integrity import bundle_integrity
from finai_checks.bundle.small_bundle import (
    FOREIGN_KEY,
    KEY,
    Files,
    SmallBundle,
    exchanged,
    flipped,
    golden_changed,
    resigned,
)
from finai_checks.framework.check import NO_EVIDENCE, Canary, CheckOutcome, LakeCanary
from serving_lambda.bundle import GOLDEN, MANIFEST, PRODUCTS, RANKING, RULES, SIGNATURE, TEMPLATES, canonical

QUICK, SLOW = ColdStart(120.0, 150.0, 2), ColdStart(1e6, 1e6, 2)
FAILING = ColdStart(0.0, 0.0, 0, "BUNDLE_FILE_CORRUPT: the file's hash is not the one in the manifest")


def plain_canaries(settings: Settings) -> list[Canary]:
    """Return a sound bundle, one with a withheld copy, and spoiled ones."""
    small = SmallBundle(settings)

    def canary(label: str, expects: str | None, spoil: Callable[[SmallBundle], Files] = _sound, *,
               measured: ColdStart | None = QUICK, key: bytes = KEY,
               stored: Callable[[SmallBundle], dict[str, Any]] = _as_stored, **limits: int) -> Canary:  # fmt: skip
        def evaluate() -> CheckOutcome:
            students = settings.students.model_copy(update=limits)
            used = settings.model_copy(update={"students": students})
            expected = replace(small.expected, key=key, settings=used, **stored(small))
            return bundle_integrity(spoil(small), expected, measured)

        return Canary(BUNDLE_INTEGRITY, label, expects, evaluate)

    flips = [
        canary(f"one bit of {name}", f"{name} has another hash", partial(_flip, name=name))
        for name in (RULES, PRODUCTS, RANKING, TEMPLATES, GOLDEN)
    ]
    return [
        canary("a bundle as it was built", None),
        canary("a copy over a floor, withheld by an override", None, _withheld),
        *flips,
        canary("one bit of the manifest", "BUNDLE_SIGNATURE_WRONG", partial(_flip, name=MANIFEST)),
        canary("one bit of the signature", "BUNDLE_SIGNATURE_WRONG", partial(_flip, name=SIGNATURE)),
        canary("another key's name in the signature", f"{SIGNATURE} is not what the key gives", _other_key_id),
        canary("one bit of a copy's model", ".txt has another hash", lambda s: flipped(s.files, _copy(s))),
        canary("one bit of a direct student", ".direct.txt has another hash", lambda s: flipped(s.files, _direct(s))),
        canary("a model removed", ".txt is missing", lambda s: _without(s, _copy(s))),
        canary("a direct student removed", ".direct.txt is missing", lambda s: _without(s, _direct(s))),
        canary("a file added", "models/more.txt is not listed", lambda s: {**s.files, "models/more.txt": b"tree"}),
        canary("no signature", "BUNDLE_SIGNATURE_MISSING", lambda s: _without(s, SIGNATURE)),
        canary("a bundle of a foreign key", "BUNDLE_SIGNATURE_WRONG", key=FOREIGN_KEY),
        canary("a bundle of the schema before", "BUNDLE_UNREADABLE",
               lambda s: resigned(s.files, lambda manifest: manifest.update(schema_version=2))),
        canary("a golden value of a copy changed, and signed", ".txt: off by", lambda s: golden_changed(s.files, _copy(s))),
        canary("a golden value of layer 2 changed, and signed", ".direct.txt: off by",
               lambda s: golden_changed(s.files, _direct(s))),
        canary("a column's range changed, and signed", "high 1e+99 (registry:",
               lambda s: resigned(s.files, lambda m: m["contract"]["columns"][0].update(high=1e99))),
        canary("a column that may not be missing declared nullable, and signed", "nullable",
               lambda s: resigned(s.files, _toggle_nullable)),
        canary("a column that the registry does not have", "the registry has no column of_yesterday",
               lambda s: resigned(s.files, lambda m: m["contract"]["columns"][0].update(name="of_yesterday"))),
        canary("a task left out, and signed", "is there 0 times", lambda s: resigned(s.files, lambda m: m["tasks"].pop())),
        canary("a copy without a direct student behind it, and signed", "route DISTILL served by layer 1 with a model",
               lambda s: resigned(s.files, partial(_entry, s, direct=None))),
        canary("a model of another shape, and signed", "MODEL_UNREADABLE", _other_shape),
        canary("a direct student that is not the stored one", ".direct.txt is not the stored student of",
               stored=partial(_other_student, kind="binary", file=DIRECT_MODEL)),
        canary("a model that is not the stored one", ".txt is not the stored student of",
               stored=partial(_other_student, kind="multiclass", file=MODEL)),
        canary("a calibrator that is not the stored one", ".txt is not the stored student of", stored=_other_calibrator),
        canary("a student that is not stored", ".txt is not the stored student of", stored=lambda _: {"students": {}}),
        canary("golden rows of nothing", "golden rows are no rows of the test months",
               stored=lambda s: {"rows": np.zeros_like(s.rows)}),
        canary("more leaves than the budget", "leaves, at most", max_leaves=10),
        canary("more columns than the budget", "columns, at most", max_columns_in_all=8),
        canary("a bundle that takes minutes to load", "ms to load it", measured=SLOW),
        canary("a bundle that a fresh process does not load", "does not load it: BUNDLE_FILE_CORRUPT", measured=FAILING),
        canary("a cold start that nobody measured", "the cold start was not measured", measured=None),
        canary("no file", NO_EVIDENCE, lambda _: {}),
    ]  # fmt: skip


def lake_canaries() -> list[LakeCanary]:
    """Return none: the small lake has one student, and a bundle needs one of every task."""
    return []


def _sound(small: SmallBundle) -> Files:
    return small.files


def _flip(small: SmallBundle, *, name: str) -> Files:
    return flipped(small.files, name)


def _copy(small: SmallBundle) -> str:
    return f"models/{small.task('binary').name}.txt"


def _direct(small: SmallBundle) -> str:
    return f"models/{small.task('binary').name}.direct.txt"


def _without(small: SmallBundle, name: str) -> Files:
    return {other: content for other, content in small.files.items() if other != name}


def _withheld(small: SmallBundle) -> Files:
    text = "overridden by a canary until 2999-12-31"
    return small.build(kl=9.0, overridden={small.task("binary").name: text})


def _other_key_id(small: SmallBundle) -> Files:
    signature = {**json.loads(small.files[SIGNATURE]), "key_id": "0" * 16}
    return {**small.files, SIGNATURE: canonical(signature)}


def _toggle_nullable(manifest: dict[str, Any]) -> None:
    column = manifest["contract"]["columns"][0]
    column["nullable"] = not column["nullable"]


def _entry(small: SmallBundle, manifest: dict[str, Any], **fields: Any) -> None:
    """Change the entry of the copied task."""
    next(entry for entry in manifest["tasks"] if entry["task"] == small.task("binary").name).update(fields)


def _other_shape(small: SmallBundle) -> Files:
    other = small.files[f"models/{small.task('multiclass').name}.txt"]
    return exchanged(small.files, _direct(small), other)


def _as_stored(_: SmallBundle) -> dict[str, Any]:
    return {}


def _other_student(small: SmallBundle, *, kind: str, file: str) -> dict[str, Any]:
    students = small.students()
    name = small.task(kind).name
    return {"students": {**students, name: {**students[name], file: b"another tree"}}}


def _other_calibrator(small: SmallBundle) -> dict[str, Any]:
    students = small.students()
    name = small.task("binary").name
    card = {**json.loads(students[name][CARD]), "calibrator": {"type": "isotonic", "x": [0.0, 1.0], "y": [0.0, 0.1]}}
    return {"students": {**students, name: {**students[name], CARD: json.dumps(card).encode()}}}
