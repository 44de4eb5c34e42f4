"""Integrity of a bundle before it may become champion: every file, the signature, the schema, the origin, and the golden rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from finai_assets.promotion.facts import Fault
from serving_lambda.bundle import MANIFEST, SCHEMA_VERSION, SIGNATURE, open_bundle, self_test
from serving_lambda.errors import ServingError


def examine(
    files: Mapping[str, bytes], bundle_id: str, key: bytes, *, dataset: str, profile: str
) -> tuple[list[Fault], Mapping[str, Any]]:
    """Return what is wrong with a bundle, and its manifest; serving's leniency with a student's file does not apply here.

    Parameters
    ----------
    files
        As stored; a file that is gone is left out.
    bundle_id
        The id under which it is stored.
    dataset, profile
        That it must be of.
    """
    manifest: Mapping[str, Any] = json.loads(files[MANIFEST])
    faults = []
    if manifest.get("schema_version") != SCHEMA_VERSION:
        version = manifest.get("schema_version")
        faults.append(Fault("BUNDLE_SCHEMA", f"it is of schema {version}, serving reads {SCHEMA_VERSION}"))
    if (manifest.get("dataset"), manifest.get("profile")) != (dataset, profile):
        found = f"{manifest.get('dataset')}-{manifest.get('profile')}"
        faults.append(Fault("BUNDLE_FOREIGN", f"it was built on {found}, not on {dataset}-{profile}"))
    if manifest.get("bundle_id") != bundle_id:
        faults.append(Fault("BUNDLE_ID_WRONG", f"its manifest calls it {manifest.get('bundle_id')}"))
    faults += _files(files, manifest)
    if faults:
        return faults, manifest
    try:
        bundle = open_bundle(files.__getitem__, key)
        self_test(bundle)
    except ServingError as error:
        return [Fault(error.code, error.message)], manifest
    # A task may be left to a lower layer on purpose; a model that is there and does not load is damage.
    students = [student for layers in bundle.layers.values() for student in layers if student.file is not None]
    lost = [student for student in students if student.unavailable]
    return [Fault(student.unavailable or "", f"serving cannot load {student.file}") for student in lost], manifest


def _files(files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> list[Fault]:
    faults = []
    for name, listed in manifest.get("files", {}).items():
        if name not in files:
            faults.append(Fault("BUNDLE_FILE_MISSING", f"{name} is gone"))
        elif hashlib.sha256(files[name]).hexdigest() != listed["sha256"]:
            faults.append(Fault("BUNDLE_FILE_CORRUPT", f"{name} is not the file that the manifest lists"))
    if SIGNATURE not in files:
        faults.append(Fault("BUNDLE_SIGNATURE_MISSING", "nobody signed the manifest"))
    return faults
