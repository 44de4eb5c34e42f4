"""Read a bundle from its folder and trust nothing in it that the signed manifest does not vouch for.

Order: the signature over the manifest's bytes, then the hash of every file, then the files' content. A student's file that is
gone or damaged takes that task to a lower layer; damage to anything else refuses the bundle.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from serving_lambda.errors import ServingError
from serving_lambda.lightgbm_c import Library, Model
from serving_lambda.ranking import Ranking
from serving_lambda.reasons import Renderer
from serving_lambda.rules import Rules
from serving_lambda.scorer import Student, score_row

SCHEMA_VERSION = 1
MANIFEST, SIGNATURE = "manifest.json", "signature.json"
RULES, PRODUCTS, RANKING, TEMPLATES, GOLDEN = (
    "rules.json", "products.json", "ranking.json", "templates.json", "golden.json",
)  # fmt: skip
MODEL_FOLDER = "models/"
ALGORITHM = "HMAC-SHA256"
_RELATIVE_TOLERANCE = 1e-6  # float32 rounds a stored value by at most 6e-8 of itself


class ContractColumn(NamedTuple):
    """One feature that a request brings."""

    name: str
    group: str
    kind: str
    unit: str
    nullable: bool
    low: float | None
    high: float | None
    description: str
    description_ko: str
    displayable: bool
    concept: str


class Degraded(NamedTuple):
    """A task that a lower layer serves, and why."""

    task: str
    code: str


class Bundle:
    """A verified bundle, ready to answer.

    Parameters
    ----------
    manifest : mapping
        The verified manifest.
    files : mapping
        Verified bytes by name. A student's damaged file is absent and listed in ``damaged``.
    damaged : mapping
        Task to code.
    library : Library or None
        None where LightGBM's library is not there: every task is then served by the rules.
    """

    def __init__(
        self,
        manifest: Mapping[str, Any],
        files: Mapping[str, bytes],
        damaged: Mapping[str, str],
        library: Library | None,
    ) -> None:
        self.manifest = manifest
        self.bundle_id: str = manifest["bundle_id"]
        self.columns = tuple(_contract_column(entry) for entry in manifest["contract"]["columns"])
        self.names = tuple(column.name for column in self.columns)
        self.place = {name: index for index, name in enumerate(self.names)}
        self.bounds = tuple(_bounds(column) for column in self.columns)
        self.segments: tuple[str, ...] = tuple(manifest["contract"]["segments"])
        self.students = {entry["task"]: Student(entry, self.names) for entry in manifest["tasks"]}
        self.ranking = Ranking(json.loads(files[PRODUCTS])["products"], json.loads(files[RANKING]))
        self.rules = Rules(json.loads(files[RULES]), self.ranking.products)
        self.renderer = Renderer(json.loads(files[TEMPLATES]), self.columns)
        self._golden = files[GOLDEN]
        for entry in manifest["tasks"]:
            self._equip(self.students[entry["task"]], entry, files, damaged, library)
        self.degraded = tuple(
            Degraded(student.task, student.unavailable) for student in self.students.values() if student.unavailable
        )
        self.layer_by_task = {task: student.layer for task, student in self.students.items()}

    def _equip(
        self,
        student: Student,
        entry: Mapping[str, Any],
        files: Mapping[str, bytes],
        damaged: Mapping[str, str],
        library: Library | None,
    ) -> None:
        if student.unavailable:
            return
        if student.task in damaged:
            student.unavailable = damaged[student.task]
        elif library is None:
            student.unavailable = "ENGINE_UNAVAILABLE"
        else:
            try:
                student.attach(Model(library, files[entry["model"]]))
            except ServingError as error:
                student.unavailable = error.code

    def golden(self) -> Mapping[str, Any]:
        """Return the golden rows: ``held``, ``rows`` (null for NaN) and ``expected`` predictions per task."""
        golden: Mapping[str, Any] = json.loads(self._golden)
        return golden


def _contract_column(entry: Mapping[str, Any]) -> ContractColumn:
    return ContractColumn(**{name: entry[name] for name in ContractColumn._fields})


def _bounds(column: ContractColumn) -> tuple[float, float]:
    """Return the range in which a float32 rendering of an allowed value lies."""
    low = float("-inf") if column.low is None else column.low - _RELATIVE_TOLERANCE * max(1.0, abs(column.low))
    high = float("inf") if column.high is None else column.high + _RELATIVE_TOLERANCE * max(1.0, abs(column.high))
    return low, high


def signature_of(manifest: bytes, key: bytes) -> str:
    """Return the hexadecimal HMAC-SHA256 of the manifest's canonical bytes."""
    return hmac.new(key, manifest, hashlib.sha256).hexdigest()


def key_id(key: bytes) -> str:
    """Return a name for a key that tells nothing of it."""
    return hashlib.sha256(b"finai-bundle-key-id:" + key).hexdigest()[:16]


def canonical(value: Any) -> bytes:
    """Return the one JSON form of a value: sorted keys, no spaces, exact numbers, UTF-8; NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def load_bundle(folder: Path | str, key: bytes) -> Bundle:
    """Read and verify a bundle.

    Parameters
    ----------
    folder
        Holds ``manifest.json`` and the files that it lists.
    key
        The signing key.

    Raises
    ------
    ServingError
        A ``BUNDLE_*`` code: the manifest or a file other than a student's model is missing, damaged, unsigned, or signed with
        another key.
    """
    root = Path(folder)
    manifest = _verified_manifest(root, key)
    files, damaged = _verified_files(root, manifest)
    library: Library | None = None
    try:
        library = Library()
    except ServingError as error:
        if error.code != "ENGINE_UNAVAILABLE":
            raise
    try:
        return Bundle(manifest, files, damaged, library)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ServingError(
            "BUNDLE_UNREADABLE", f"the bundle does not follow schema {SCHEMA_VERSION} ({type(error).__name__})"
        ) from error


def _verified_manifest(root: Path, key: bytes) -> Mapping[str, Any]:
    raw = _read(root, MANIFEST, "BUNDLE_FILE_MISSING")
    signed = _read(root, SIGNATURE, "BUNDLE_SIGNATURE_MISSING")
    try:
        signature = json.loads(signed)
        algorithm, mac = signature["algorithm"], signature["mac"]
    except (ValueError, KeyError, TypeError):
        raise ServingError("BUNDLE_SIGNATURE_WRONG", "the signature cannot be read", SIGNATURE) from None
    genuine = signature_of(raw, key)
    if algorithm != ALGORITHM or not isinstance(mac, str) or not hmac.compare_digest(mac.encode(), genuine.encode()):
        raise ServingError(
            "BUNDLE_SIGNATURE_WRONG", "the manifest was changed, or was signed with another key", SIGNATURE
        )
    manifest: Mapping[str, Any] = json.loads(raw)  # vouched for, hence well formed
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise ServingError(
            "BUNDLE_UNREADABLE",
            f"schema version {manifest.get('schema_version')}, this code reads {SCHEMA_VERSION}",
            MANIFEST,
        )
    return manifest


def _verified_files(root: Path, manifest: Mapping[str, Any]) -> tuple[dict[str, bytes], dict[str, str]]:
    task_of = {entry["model"]: entry["task"] for entry in manifest["tasks"] if entry.get("model")}
    files: dict[str, bytes] = {}
    damaged: dict[str, str] = {}
    for name, stored in manifest["files"].items():
        try:
            content = _read(root, name, "BUNDLE_FILE_MISSING")
            if hashlib.sha256(content).hexdigest() != stored["sha256"]:
                raise ServingError("BUNDLE_FILE_CORRUPT", "the file's hash is not the one in the manifest", name)
            files[name] = content
        except ServingError as error:
            if name not in task_of:
                raise
            missing = error.code == "BUNDLE_FILE_MISSING"
            damaged[task_of[name]] = "STUDENT_FILE_MISSING" if missing else "STUDENT_FILE_CORRUPT"
    return files, damaged


def _read(root: Path, name: str, code: str) -> bytes:
    try:
        return (root / name).read_bytes()
    except OSError:
        raise ServingError(code, "the file cannot be read", name) from None


def self_test(bundle: Bundle) -> int:
    """Replay the golden rows and return how many predictions were compared.

    Raises
    ------
    ServingError
        ``SELF_TEST_FAILED``: a prediction differs by more than the bundle's tolerance, or an available task has none.
    """
    golden = bundle.golden()
    tolerance = bundle.manifest["golden_tolerance"]
    expected: Mapping[str, Sequence[Sequence[float]]] = golden["expected"]
    available = {task for task, student in bundle.students.items() if student.model is not None}
    if without := sorted(available - set(expected)):
        raise ServingError("SELF_TEST_FAILED", f"no golden rows for {without}", GOLDEN)
    compared = 0
    for index, stored in enumerate(golden["rows"]):
        row = [float("nan") if value is None else value for value in stored]
        scores, failed = score_row(bundle.students, row)
        if failed:
            raise ServingError("SELF_TEST_FAILED", f"row {index}: no prediction for {sorted(failed)}", GOLDEN)
        for task, found in scores.items():
            wanted = expected[task][index]
            worst = max(abs(a - b) / max(1.0, abs(b)) for a, b in zip(found, wanted, strict=True))
            if not worst <= tolerance:
                raise ServingError("SELF_TEST_FAILED", f"row {index}, {task}: off by {worst:.3g}", GOLDEN)
            compared += 1
    if not compared and available:
        raise ServingError("SELF_TEST_FAILED", "there are no golden rows", GOLDEN)
    return compared
