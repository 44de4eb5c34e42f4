"""Read a bundle from its folder and trust nothing in it that the signed manifest does not vouch for.

Order: the signature over the manifest's bytes, then the hash of every file, then the files' content. A student's file that is
gone or damaged takes that task to a lower layer; damage to anything else refuses the bundle. The direct student behind a copy is
read, verified and parsed only once its copy cannot answer.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from serving_lambda.errors import ServingError
from serving_lambda.filters import filters_of
from serving_lambda.lightgbm_c import Library, Model
from serving_lambda.linear import LinearModel
from serving_lambda.offering import Offering
from serving_lambda.ranking import Ranking
from serving_lambda.reasons import Renderer
from serving_lambda.rules import Rules
from serving_lambda.scorer import LAYER_OF_ROUTE, PRODUCT_MODEL, RULES_LAYER, Student

SCHEMA_VERSION = 4
MANIFEST, SIGNATURE = "manifest.json", "signature.json"
RULES, PRODUCTS, RANKING, OFFERING, TEMPLATES, GOLDEN = (
    "rules.json", "products.json", "ranking.json", "offering.json", "templates.json", "golden.json",
)  # fmt: skip
MODEL_FOLDER = "models/"
NO_PRODUCT_MODEL = "NO_PRODUCT_MODEL"  # the shares of all products are train counts
WITHHELD = "COPY_WITHHELD"  # the bundle was built to serve this task by its direct student
Read = Callable[[str], bytes]  # gives a file's bytes by name, or raises an OSError or a KeyError
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
    """A student that serves nothing, and why; a lower layer serves its task."""

    task: str
    code: str


class Bundle:
    """A verified bundle, ready to answer.

    Parameters
    ----------
    manifest : mapping
        The verified manifest.
    files : mapping
        Verified bytes by name, of all files but the models.
    read : callable
        Gives the bytes of any file by name; a model's are verified here before they are parsed.
    library : Library or None
        None where LightGBM's library is not there: every task is then served by the rules.
    """

    def __init__(
        self, manifest: Mapping[str, Any], files: Mapping[str, bytes], read: Read, library: Library | None
    ) -> None:
        self.manifest = manifest
        self.bundle_id: str = manifest["bundle_id"]
        self.columns = tuple(_contract_column(entry) for entry in manifest["contract"]["columns"])
        self.names = tuple(column.name for column in self.columns)
        self.place = {name: index for index, name in enumerate(self.names)}
        self.bounds = tuple(_bounds(column) for column in self.columns)
        self.segments: tuple[str, ...] = tuple(manifest["contract"]["segments"])
        self.offering = Offering.of(json.loads(files[OFFERING]), manifest["contract"]["asset_bands"])
        self.ranking = Ranking(json.loads(files[PRODUCTS])["products"], json.loads(files[RANKING]))
        self.rules = Rules(json.loads(files[RULES]), self.ranking.products)
        self.renderer = Renderer(json.loads(files[TEMPLATES]), self.columns, self.ranking.products)
        self._golden, self._read, self._library = files[GOLDEN], read, library
        self.filters = filters_of(exclude_held=self.ranking.exclude_held)
        entries = model_entries(manifest)
        self.layers = {entry["task"]: self._layers_of(entry) for entry in entries}
        ready = {task: _first_ready(layers) for task, layers in self.layers.items()}
        self.product_model = ready.pop(PRODUCT_MODEL, None)
        self.students = ready
        absent = [] if self.product_model else [Degraded(PRODUCT_MODEL, NO_PRODUCT_MODEL)]
        self.degraded = tuple(dict.fromkeys([*(lost for entry in entries for lost in self._lost(entry)), *absent]))
        self.layer_by_task = {task: student.layer for task, student in self.students.items()}
        self.layer_by_task[PRODUCT_MODEL] = self.product_model.layer if self.product_model else RULES_LAYER
        if self.product_model and self.product_model.class_labels != tuple(p.code for p in self.ranking.products):
            raise ValueError("the classes of the product model are not the products of the catalogue")

    def _layers_of(self, entry: Mapping[str, Any]) -> tuple[Student, ...]:
        """Return a task's students, best first, each with the next one behind it."""
        layers = []
        if entry["model"] or not entry["direct"]:
            layers.append(self._student(entry, entry["served_by"]))
        if entry["direct"]:
            layers.append(self._student({**entry, **entry["direct"]}, LAYER_OF_ROUTE["DIRECT"]))
        for student, fallback in pairwise(layers):
            student.fallback = fallback
        return tuple(layers)

    def _student(self, entry: Mapping[str, Any], layer: int) -> Student:
        name = entry["model"]
        opened = partial(self._open, name, self.manifest["files"][name]) if name else None
        return Student(entry, self.place, layer=layer, open_model=opened)

    def _open(self, name: str, stored: Mapping[str, Any]) -> Model | LinearModel:
        """Read, verify and parse a model."""
        content = verified(self._read, name, stored, missing="STUDENT_FILE_MISSING", corrupt="STUDENT_FILE_CORRUPT")
        if name.endswith(".json"):
            return LinearModel(content)
        if self._library is None:
            raise ServingError("ENGINE_UNAVAILABLE", "LightGBM's library is not there", name)
        return Model(self._library, content)

    def _lost(self, entry: Mapping[str, Any]) -> list[Degraded]:
        """Return why a task's students serve nothing, as far as it is known at load, best first."""
        withheld = entry["route"] == "DISTILL" and not entry["model"]
        codes = [WITHHELD] if withheld else []
        codes += [student.unavailable for student in self.layers[entry["task"]] if student.unavailable]
        return [Degraded(entry["task"], code) for code in codes]

    def golden(self) -> Mapping[str, Any]:
        """Return the golden rows: ``columns``, ``rows`` (null for NaN) and ``expected`` predictions per model's file."""
        golden: Mapping[str, Any] = json.loads(self._golden)
        return golden


def _first_ready(layers: Sequence[Student]) -> Student:
    """Return the first student whose model can be read, else the last; those behind it are not read."""
    for student in layers:
        if student.unavailable is None:
            try:
                student.ready()
            except ServingError:
                continue  # it says so itself (``unavailable``)
            return student
    return layers[-1]


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

    def read(name: str) -> bytes:
        return (root / name).read_bytes()

    return open_bundle(read, key)


def open_bundle(read: Read, key: bytes) -> Bundle:
    """Verify a bundle that lies anywhere; ``read`` gives a file's bytes by name. Raises what :func:`load_bundle` raises."""
    manifest = verified_manifest(read, key)
    models = model_files(manifest)
    files = {name: verified(read, name, stored) for name, stored in manifest["files"].items() if name not in models}
    library: Library | None = None
    try:
        library = Library()
    except ServingError as error:
        if error.code != "ENGINE_UNAVAILABLE":
            raise
    try:
        return Bundle(manifest, files, read, library)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ServingError(
            "BUNDLE_UNREADABLE", f"the bundle does not follow schema {SCHEMA_VERSION} ({type(error).__name__})"
        ) from error


def verified_manifest(read: Read, key: bytes) -> Mapping[str, Any]:
    """Return the manifest if its signature is genuine and its schema is known.

    Raises
    ------
    ServingError
        ``BUNDLE_FILE_MISSING``, ``BUNDLE_SIGNATURE_MISSING``, ``BUNDLE_SIGNATURE_WRONG`` or ``BUNDLE_UNREADABLE``.
    """
    raw = _bytes(read, MANIFEST, "BUNDLE_FILE_MISSING")
    signed = _bytes(read, SIGNATURE, "BUNDLE_SIGNATURE_MISSING")
    try:
        signature = json.loads(signed)
        algorithm, mac = signature["algorithm"], signature["mac"].encode()  # half a surrogate pair has no bytes
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ServingError("BUNDLE_SIGNATURE_WRONG", "the signature cannot be read", SIGNATURE) from None
    genuine = signature_of(raw, key)
    if algorithm != ALGORITHM or not hmac.compare_digest(mac, genuine.encode()):
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


def model_entries(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the entries of all tasks, and behind them that of the product model where the bundle has one."""
    return [*manifest["tasks"], *([manifest["product_model"]] if manifest["product_model"] else [])]


def model_files(manifest: Mapping[str, Any]) -> set[str]:
    """Return the names of the models of all layers."""
    held = [entry[part] for entry in model_entries(manifest) for part in ("model", "direct") if entry[part]]
    return {name if isinstance(name, str) else name["model"] for name in held}


def verified(
    read: Read,
    name: str,
    stored: Mapping[str, Any],
    *,
    missing: str = "BUNDLE_FILE_MISSING",
    corrupt: str = "BUNDLE_FILE_CORRUPT",
) -> bytes:
    """Return a file's bytes if their hash is the manifest's.

    Parameters
    ----------
    stored
        The file's entry in the manifest: ``sha256``.

    Raises
    ------
    ServingError
        With the code ``missing`` or ``corrupt``.
    """
    content = _bytes(read, name, missing)
    if hashlib.sha256(content).hexdigest() != stored["sha256"]:
        raise ServingError(corrupt, "the file's hash is not the one in the manifest", name)
    return content


def _bytes(read: Read, name: str, code: str) -> bytes:
    try:
        return read(name)
    except (OSError, KeyError):
        raise ServingError(code, "the file cannot be read", name) from None


def self_test(bundle: Bundle) -> int:
    """Replay the golden rows on every student of both layers that can be read; return how many predictions were compared.

    Raises
    ------
    ServingError
        ``SELF_TEST_FAILED``: a prediction differs by more than the bundle's tolerance, or an available student has none.
    """
    golden = bundle.golden()
    tolerance = bundle.manifest["golden_tolerance"]
    rows = [[float("nan") if value is None else value for value in stored] for stored in golden["rows"]]
    compared, available = 0, 0
    for layers in bundle.layers.values():
        for student in layers:
            if student.file is None:
                continue
            try:
                student.ready()
            except ServingError:
                continue  # a lower layer serves
            available += 1
            wanted = golden["expected"].get(student.file)
            if wanted is None:
                raise ServingError("SELF_TEST_FAILED", f"no golden rows for {student.file}", GOLDEN)
            compared += _replay(student, rows, wanted, tolerance)
    if not compared and available:
        raise ServingError("SELF_TEST_FAILED", "there are no golden rows", GOLDEN)
    return compared


def _replay(
    student: Student, rows: Sequence[Sequence[float]], expected: Sequence[Sequence[float]], tolerance: float
) -> int:
    """Compare a student's predictions of the golden rows with the expected ones; return their number."""
    if len(rows) != len(expected):
        raise ServingError("SELF_TEST_FAILED", f"{len(rows)} golden rows, {len(expected)} predictions", GOLDEN)
    for index, (row, wanted) in enumerate(zip(rows, expected, strict=True)):
        try:
            found = student.predict(row)
        except ServingError as error:
            raise ServingError("SELF_TEST_FAILED", f"row {index}, {student.file}: {error.message}", GOLDEN) from error
        worst = max(abs(a - b) / max(1.0, abs(b)) for a, b in zip(found, wanted, strict=True))
        if not worst <= tolerance:
            raise ServingError("SELF_TEST_FAILED", f"row {index}, {student.file}: off by {worst:.3g}", GOLDEN)
    return len(rows)
