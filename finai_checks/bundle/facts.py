"""What C26 looks at in a bundle, one fact after another; a fact without a fault holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from finai_assets.bundle.choice import ROUTE
from finai_assets.features.registry import Column, Registry
from finai_assets.labels.task import Task
from finai_assets.scoring.boosting import count_leaves
from finai_assets.settings import Settings
from finai_assets.students.card import CARD, DIRECT_MODEL, MODEL
from finai_assets.students.result import over_budget
from finai_checks.bundle.cold_start import ColdStart
from finai_resources.json_text import to_json
from serving_lambda.bundle import (
    ALGORITHM,
    MANIFEST,
    SIGNATURE,
    Bundle,
    canonical,
    key_id,
    model_entries,
    model_files,
    self_test,
    signature_of,
)
from serving_lambda.errors import ServingError
from serving_lambda.scorer import LAYER_OF_ROUTE, PRODUCT_MODEL, Student

Manifest = Mapping[str, Any]
_FINISHED_BY = (
    "columns",
    "output_transform",
    "init_score",
    "calibrator",
)  # what turns a model's raw score into its answer
_NOT_KNOWN = -3.4e38  # stands for NaN, whose bits may differ


@dataclass(frozen=True)
class Expected:
    """What a bundle is compared with.

    Parameters
    ----------
    key
        The key that it must be signed with.
    registry
        The columns of the data set.
    tasks
        All tasks, also those that the data set cannot carry.
    settings
        Budgets.
    students : task -> files
        The stored students.
    rows : float32 [n, registry's columns]
        The matrix's rows of the test months.
    """

    key: bytes
    registry: Registry
    tasks: Sequence[Task]
    settings: Settings
    students: Mapping[str, Mapping[str, bytes]]
    rows: np.ndarray


class Fact(NamedTuple):
    """One thing that must hold: its group, its name, and what is wrong, which is empty where it holds."""

    group: str
    name: str
    fault: str = ""


def of_signature(files: Mapping[str, bytes], manifest: Manifest, key: bytes) -> list[Fact]:
    """Compare the signature file with the one that the key gives, and the id with the hash of the content."""
    genuine = {"algorithm": ALGORITHM, "key_id": key_id(key), "mac": signature_of(files[MANIFEST], key)}
    same = files[SIGNATURE] == canonical(genuine)
    content = {name: value for name, value in manifest.items() if name != "bundle_id"}
    bundle_id = hashlib.sha256(canonical(content)).hexdigest()[:32]
    own = manifest["bundle_id"] == bundle_id
    return [
        Fact("signature", SIGNATURE, "" if same else f"{SIGNATURE} is not what the key gives"),
        Fact("signature", "bundle_id", "" if own else f"the id {manifest['bundle_id']} is not the content's hash {bundle_id}"),
    ]  # fmt: skip


def of_files(files: Mapping[str, bytes], manifest: Manifest) -> list[Fact]:
    """Compare every file with the manifest: present, hash, size, and none that it does not list."""
    facts = []
    for name, stored in manifest["files"].items():
        content = files.get(name)
        if content is None:
            fault = f"{name} is missing"
        elif len(content) != stored["bytes"]:
            fault = f"{name} has {len(content):,} bytes, the manifest says {stored['bytes']:,}"
        elif hashlib.sha256(content).hexdigest() != stored["sha256"]:
            fault = f"{name} has another hash than the manifest says"
        else:
            fault = ""
        facts.append(Fact("files", name, fault))
    extra = sorted(set(files) - set(manifest["files"]) - {MANIFEST, SIGNATURE})
    listed = model_files(manifest) <= set(manifest["files"])
    return [
        *facts,
        *(Fact("files", name, f"{name} is not listed in the manifest") for name in extra),
        Fact("files", "models", "" if listed else "the files do not list a model of a task"),
    ]


def of_contract(manifest: Manifest, registry: Registry) -> list[Fact]:
    """Compare the feature contract with the registry: names, order, dtype, unit, missing values and range of each column."""
    by_name = {column.name: column for column in registry.columns}
    contract = manifest["contract"]["columns"]
    facts = [Fact("contract", entry["name"], _column_fault(entry, by_name.get(entry["name"]))) for entry in contract]
    names = [entry["name"] for entry in contract]
    ordered = names == [name for name in registry.names if name in set(names)]
    used = {name for entry in model_entries(manifest) for model in _models(entry) for name in model["columns"]}
    absent = sorted(used - set(names))
    return [
        *facts,
        Fact(
            "contract", "order", "" if ordered else "the contract's columns are not in the registry's order, each once"
        ),
        Fact("contract", "columns of the models", f"the contract lacks {', '.join(absent[:3])}" if absent else ""),
    ]


def _column_fault(entry: Mapping[str, Any], column: Column | None) -> str:
    name = entry["name"]
    if column is None:
        return f"the registry has no column {name}"
    wanted = {
        "dtype": "float32",
        "kind": column.kind,
        "unit": column.unit,
        "missing": column.missing,
        "nullable": column.missing.startswith("nan"),
        "low": None if column.low is None else float(column.low),
        "high": None if column.high is None else float(column.high),
    }
    differing = [f"{field} {entry.get(field)} (registry: {value})" for field, value in wanted.items()
                 if entry.get(field) != value]  # fmt: skip
    return f"{name}: {', '.join(differing)}" if differing else ""


def of_tasks(manifest: Manifest, tasks: Sequence[Task]) -> list[Fact]:
    """Require every available task once, with the models that its route needs, and no other task."""
    entries: dict[str, list[Mapping[str, Any]]] = {}
    for entry in manifest["tasks"]:
        entries.setdefault(entry["task"], []).append(entry)
    available = {task.name: task for task in tasks if task.unavailable is None}
    facts = [Fact("tasks", name, _task_fault(task, entries.get(name, []))) for name, task in available.items()]
    facts += [Fact("tasks", name, f"{name} is no available task") for name in sorted(set(entries) - set(available))]
    named = {task.name: task.unavailable for task in tasks if task.unavailable is not None}
    same = manifest["tasks_unavailable"] == json.loads(to_json(named))
    return [
        *facts,
        Fact("tasks", "unavailable", "" if same else "the tasks that cannot be carried are others"),
        Fact("tasks", PRODUCT_MODEL, _product_fault(manifest["product_model"])),
    ]


def _product_fault(entry: Mapping[str, Any] | None) -> str:
    """Return what is wrong with the product model's entry; a bundle may have none, and its shares are then train counts."""
    if entry is None:
        return ""
    if entry["task"] != PRODUCT_MODEL or entry["kind"] != "multiclass":
        return f"the product model is {entry['task']}, {entry['kind']}"
    whole = entry["served_by"] == LAYER_OF_ROUTE[ROUTE] and entry["model"] and entry["direct"]
    return "" if entry["route"] == ROUTE and whole else f"{PRODUCT_MODEL}: a layer is missing"


def _task_fault(task: Task, entries: Sequence[Mapping[str, Any]]) -> str:
    if len(entries) != 1:
        return f"{task.name} is there {len(entries)} times"
    (entry,) = entries
    if entry["kind"] != task.kind or (task.classes and entry["classes"] != task.classes):
        return f"{task.name}: {entry['kind']} of {entry['classes']}, the task is {task.kind} of {task.classes}"
    return _route_fault(entry)


def _route_fault(entry: Mapping[str, Any]) -> str:
    """Return what is wrong with the models of an entry: they must be those that its route needs."""
    route, layer, model, direct = entry["route"], entry["served_by"], entry["model"], entry["direct"]
    withheld = route == "DISTILL" and layer == LAYER_OF_ROUTE["DIRECT"]
    right = (
        route in LAYER_OF_ROUTE
        and route != ROUTE  # that of the choice model alone
        and (layer == LAYER_OF_ROUTE[route] or withheld)
        and bool(model) == (route != "SKIP" and not withheld)
        and bool(direct) == (route == "DISTILL")
    )
    if not right:
        held = ", ".join(name for name, there in (("a model", model), ("a direct student", direct)) if there)
        return f"{entry['task']}: route {route} served by layer {layer} with {held or 'no model'}"
    return ""


def of_students(
    files: Mapping[str, bytes], manifest: Manifest, students: Mapping[str, Mapping[str, bytes]]
) -> list[Fact]:
    """Compare every model, and what finishes its scores, with the stored student of its task."""
    facts = []
    for entry in manifest["tasks"]:
        student = students.get(entry["task"], {})
        card = json.loads(student[CARD]) if CARD in student else {}
        pairs = ((entry, card, MODEL), (entry["direct"], card.get("direct") or {}, DIRECT_MODEL))
        for of_bundle, of_student, stored in pairs:
            if of_bundle and of_bundle["model"]:
                name = of_bundle["model"]
                same = files.get(name) == student.get(stored) and all(
                    of_bundle[field] == of_student.get(field) for field in _FINISHED_BY
                )
                facts.append(
                    Fact("students", name, "" if same else f"{name} is not the stored student of {entry['task']}")
                )
    return facts


def of_golden_rows(golden: Mapping[str, Any], rows: np.ndarray, registry: Registry) -> list[Fact]:
    """Require that every golden row is one of the test months."""
    place = {name: at for at, name in enumerate(registry.names)}
    at = [place.get(name, -1) for name in golden["columns"]]
    if -1 in at:  # of_contract names it
        return []
    known = {row.tobytes() for row in np.nan_to_num(rows[:, at], nan=_NOT_KNOWN)}
    told = np.array([[_NOT_KNOWN if value is None else value for value in row] for row in golden["rows"]], np.float32)
    strange = sum(row.tobytes() not in known for row in told)
    fault = f"{strange} of {len(told)} golden rows are no rows of the test months" if strange else ""
    return [Fact("golden rows", "of the test months", fault)]


def of_models(bundle: Bundle) -> list[Fact]:
    """Read every model of both layers, and replay the golden rows on it."""
    students = [student for layers in bundle.layers.values() for student in layers if student.file]
    facts = [Fact("models", str(student.file), _unreadable(student)) for student in students]
    try:
        compared, fault = self_test(bundle), ""
    except ServingError as error:
        compared, fault = 0, error.message
    return [*facts, Fact("golden rows", f"{compared:,} predictions", fault)]


def _unreadable(student: Student) -> str:
    try:
        student.ready()
    except ServingError as error:
        return f"{student.file}: {error.code}"
    return ""


def of_budget(
    files: Mapping[str, bytes], manifest: Manifest, settings: Settings
) -> tuple[dict[str, float], list[Fact]]:
    """Count leaves, megabytes and columns in the files themselves, and compare them with what is allowed."""
    texts = [files[name] for name in sorted(model_files(manifest)) if name in files]
    sizes: dict[str, float] = {
        "leaves": sum(count_leaves(text.decode("utf-8", "replace"))[1] for text in texts),
        "megabytes": sum(map(len, texts)) / 1e6,
        "columns": len(manifest["contract"]["columns"]),
    }
    over = over_budget(settings.students, sizes, whole=manifest["product_model"] is not None)
    return sizes, [Fact("budget", "size", "; ".join(over))]


def of_cold_start(measured: ColdStart | None, allowed_ms: float) -> list[Fact]:
    """Compare the cold start with its budget; one that was not measured does not keep it."""
    if measured is None or not (measured.processes or measured.fault):
        fault = "the cold start was not measured"
    elif measured.fault:
        fault = f"a fresh process does not load it: {measured.fault}"
    elif measured.cpu_ms > allowed_ms:
        fault = f"a fresh process takes {measured.cpu_ms:,.0f} ms to load it, {allowed_ms:,.0f} are allowed"
    else:
        fault = ""
    return [Fact("budget", "cold start", fault)]


def _models(entry: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    return [model for model in (entry, entry["direct"]) if model]
