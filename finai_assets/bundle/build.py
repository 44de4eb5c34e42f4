"""Build a bundle: gate the students, put everything that serving needs into files, hash each, sign the manifest.

The result is a mapping of names to bytes, a pure function of its inputs: the same students, config and key give the same bundle,
whose id is the hash of its content.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import BUNDLE
from finai_assets.bundle import content
from finai_assets.bundle.golden import golden_content
from finai_assets.features.registry import Registry
from finai_assets.labels.task import Task, available
from finai_assets.settings import Settings
from finai_assets.settings.method import FidelitySettings
from finai_assets.students.card import CARD, MODEL, StudentCard, card_of
from finai_assets.students.fidelity import compare_stored
from finai_resources.errors import BundleError, GateError
from finai_resources.json_text import plain
from serving_lambda.answer import choose, evidence_of, reason_of
from serving_lambda.bundle import (
    ALGORITHM,
    GOLDEN,
    MANIFEST,
    MODEL_FOLDER,
    PRODUCTS,
    RANKING,
    RULES,
    SCHEMA_VERSION,
    SIGNATURE,
    TEMPLATES,
    Bundle,
    canonical,
    key_id,
    self_test,
    signature_of,
)  # fmt: skip
from serving_lambda.contract import Customer
from serving_lambda.errors import ServingError
from serving_lambda.lightgbm_c import Library
from serving_lambda.reasons import acceptable
from serving_lambda.scorer import contributions_row, score_row

if TYPE_CHECKING:
    from finai_assets.labels.splits import Splits

StudentFiles = Mapping[str, bytes]
REASON_ROWS = 20  # golden rows whose reasons are read at build
# The fields of a student's card that serving reads, and those that tell its origin.
_CARD_FIELDS = (
    "task", "kind", "classes", "class_labels", "route", "reason", "columns", "output_transform", "init_score", "calibrator",
    "threshold", "metrics", "fidelity", "trees", "leaves",
)  # fmt: skip


def build_bundle(  # noqa: PLR0913 -- everything that the bundle is a function of, each by name
    *,
    students: Mapping[str, StudentFiles],
    registry: Registry,
    tasks: Sequence[Task],
    settings: Settings,
    splits: Splits,
    products: pa.Table,
    shares: np.ndarray,
    golden: np.ndarray,
    key: bytes,
    versions: Mapping[str, str],
) -> dict[str, bytes]:
    """Return the files of a signed bundle.

    Parameters
    ----------
    students
        Task to its files, ``student.json`` and (unless skipped) ``model.txt``.
    tasks
        All tasks; those that the data set cannot carry are listed with the reason.
    products
        The table ``raw/products``.
    shares : int64 [products]
        Train acquisitions of each product.
    golden : float32 [n, registry's columns]
        Inputs that travel along with their predictions.
    key
        The signing key.
    versions
        What the bundle was made from: ``data``, ``code``.

    Raises
    ------
    GateError
        A task has no student, a distilled student misses a fidelity floor or was not measured, or serving does not reproduce
        the golden rows.
    BundleError, ConfigError
        The inputs do not fit each other, or a text or rule breaks its own rules.
    """
    cards = _gated_cards(students, tasks, settings.students.fidelity)
    templates = content.read_config(content.TEMPLATES_FILE)
    rules = content.rules_content(content.read_config(content.RULES_FILE), registry, settings)
    used = {name for card in cards.values() for name in card.columns} | content.rule_columns(rules)
    contract = content.contract_columns(registry, used, templates, settings)
    names = tuple(column["name"] for column in contract)
    models = {task: students[task][MODEL] for task, card in cards.items() if card.route != "SKIP"}
    positions = [registry.names.index(name) for name in names]
    files = {
        PRODUCTS: canonical({"products": content.products_content(products, settings, tasks)}),
        RANKING: canonical(content.ranking_content(shares, settings)),
        RULES: canonical(rules),
        TEMPLATES: canonical(content.templates_content(templates, settings)),
        GOLDEN: canonical(golden_content(cards, models, golden[:, positions], names)),
        **{f"{MODEL_FOLDER}{task}.txt": model for task, model in models.items()},
    }
    manifest: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "dataset": settings.dataset.name,
        "profile": settings.profile,
        "contract": {"columns": contract, "segments": list(settings.dataset.segments)},
        "tasks": [_task_entry(cards[task.name]) for task in available(tuple(tasks))],
        "tasks_unavailable": {task.name: task.unavailable for task in tasks if task.unavailable is not None},
        "splits": {name: [month.key for month in months] for name, months in splits},
        "versions": {**versions, "config": settings.digest()},
        "golden_tolerance": settings.bundle.golden_tolerance,
        "files": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()
        },
    }
    manifest["checks"] = [
        {"check": "every_task_has_a_student", "passed": True, "n": len(cards)},
        {"check": "fidelity_within_floors", "passed": True, "n": _distilled(cards)},
        {"check": "texts_keep_the_rules", "passed": True, "n": _check_texts(manifest, files, templates)},
        {"check": "golden_rows_reproduced", "passed": True, "n": _check_golden(manifest, files)},
    ]
    manifest["bundle_id"] = hashlib.sha256(canonical(manifest)).hexdigest()[:32]
    files[MANIFEST] = canonical(manifest)
    files[SIGNATURE] = canonical(
        {"algorithm": ALGORITHM, "key_id": key_id(key), "mac": signature_of(files[MANIFEST], key)}
    )
    return files


def _gated_cards(
    students: Mapping[str, StudentFiles], tasks: Sequence[Task], floors: FidelitySettings
) -> dict[str, StudentCard]:
    """Return each task's card, in task order, after the gates."""
    names = [task.name for task in available(tuple(tasks))]
    if missing := [name for name in names if name not in students or CARD not in students[name]]:
        raise GateError(
            f"{len(missing)} tasks have no student: {', '.join(missing)}",
            where=BUNDLE,
            fix="distil them, or declare them in dataset.unavailable_tasks with the reason",
        )
    if extra := sorted(set(students) - set(names)):
        raise GateError(
            f"students of tasks that are not available: {', '.join(extra)}",
            where=BUNDLE,
            fix="leave them out",
        )
    cards = {name: card_of(students[name], task=name) for name in names}
    failed = {name: reasons for name, card in cards.items() if (reasons := _fidelity_failures(card, floors))}
    if failed:
        told = "; ".join(f"{name}: {', '.join(reasons)}" for name, reasons in failed.items())
        raise GateError(
            f"{len(failed)} distilled students do not agree with their teacher: {told}",
            where=BUNDLE,
            fix="give these students more rounds or leaves, or let their route be DIRECT",
        )
    return cards


def _fidelity_failures(card: StudentCard, floors: FidelitySettings) -> list[str]:
    """Return the floors that a distilled student misses; without measured rows, the only failure is "no evidence"."""
    if card.route != "DISTILL":
        return []
    verdict = compare_stored(card.values(), floors)
    return ["no evidence"] if verdict is None else list(verdict.failures)


def _distilled(cards: Mapping[str, StudentCard]) -> int:
    return sum(card.route == "DISTILL" for card in cards.values())


def _task_entry(card: StudentCard) -> dict[str, Any]:
    model = None if card.route == "SKIP" else f"{MODEL_FOLDER}{card.task}.txt"
    return {**{name: plain(value) for name, value in card.values().items() if name in _CARD_FIELDS}, "model": model}


def _in_memory(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Bundle:
    return Bundle({**manifest, "bundle_id": ""}, files, {}, Library())


def _check_golden(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> int:
    """Compare serving's predictions of the golden rows with the reference; return their number."""
    bundle = _in_memory(manifest, files)
    broken = {entry.task: entry.code for entry in bundle.degraded if entry.code != "SKIPPED"}
    if broken:
        raise GateError(f"serving cannot load {broken}", where=BUNDLE, fix="distil these students again")
    try:
        return self_test(bundle)
    except ServingError as error:
        raise GateError(
            f"serving does not reproduce the golden rows: {error.message}",
            where=BUNDLE,
            fix="the reference (bundle/golden.py) and serving_lambda/scorer.py must follow docs/student-format.md",
        ) from error


def _check_texts(manifest: Mapping[str, Any], files: Mapping[str, bytes], templates: Mapping[str, Any]) -> int:
    """Render every template for every product and displayable concept; return the number of texts."""
    bundle = _in_memory(manifest, files)
    spoken = {"other"} | {column.concept for column in bundle.columns if column.displayable}
    concepts = [entry for entry in templates["concepts"] if entry["id"] in spoken or entry["displayable"]]
    checked = 0
    for product in bundle.ranking.products:
        names = {"ko": product.name_ko, "en": product.name}
        for language in content.LANGUAGES:
            texts = bundle.renderer.neutral(names, language)
            for concept in concepts:
                texts += bundle.renderer.grounded(concept[language], names, language)
            for text in texts:
                _check_text(text, names[language], language, templates)
            checked += len(texts)
    return checked + _check_golden_reasons(bundle, templates)


def _check_golden_reasons(bundle: Bundle, templates: Mapping[str, Any]) -> int:
    """Render the reasons of golden rows, values included, as serving does; return the number of texts."""
    checked = 0
    for index, stored in enumerate(bundle.golden()["rows"][:REASON_ROWS]):
        row = [math.nan if value is None else value for value in stored]
        customer = Customer(index, row, frozenset(), None, None, ())
        scores, _ = score_row(bundle.students, row)
        for choice in choose(bundle, scores, customer, bundle.ranking.top_k):
            term, evidence = choice.explained_by, []
            if term is not None:
                student = bundle.students[term.task]
                evidence = evidence_of(student, contributions_row(student, row), term.output, row)
            product = bundle.ranking.products[choice.product_id]
            names = {"ko": product.name_ko, "en": product.name}
            for language, text in reason_of(bundle, choice, evidence, customer).items():
                _check_text(text, names[language], language, templates)
                checked += 1
    return checked


def _check_text(text: str, product: str, language: str, templates: Mapping[str, Any]) -> None:
    where = content.TEMPLATES_FILE
    if not acceptable(text, product, language):
        raise BundleError(
            f"a reason is too short, too long, or too little Hangul: {text!r}", where=where, fix="correct its template"
        )
    if found := content.forbidden_in(text.replace(product, ""), language, templates):
        raise BundleError(f"a reason holds {found[0]!r}: {text!r}", where=where, fix="reword its template")
