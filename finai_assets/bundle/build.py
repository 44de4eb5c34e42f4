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
from finai_assets.bundle.choice import ChoiceLayers
from finai_assets.bundle.facts import LANGUAGES, Known
from finai_assets.bundle.golden import golden_content
from finai_assets.bundle.layers import StudentFiles, gated_layers
from finai_assets.features.registry import Registry
from finai_assets.labels.task import Task
from finai_assets.settings import Settings
from finai_resources.errors import BundleError, GateError
from serving_lambda.answer import record_of
from serving_lambda.bundle import (
    ALGORITHM,
    GOLDEN,
    MANIFEST,
    OFFERING,
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
from serving_lambda.catalogue import Product
from serving_lambda.contract import Customer
from serving_lambda.errors import ServingError
from serving_lambda.facts import Fact
from serving_lambda.lightgbm_c import Library
from serving_lambda.offering import Occasion
from serving_lambda.path import choose, explained
from serving_lambda.reasons import LONGEST, Renderer, acceptable
from serving_lambda.scorer import PRODUCT_MODEL, Student, score_row
from serving_lambda.standing import RISKIEST, Standing

if TYPE_CHECKING:
    from finai_assets.labels.splits import Splits

REASON_ROWS = 20  # golden rows whose reasons are read at build
_ADULT, _A_DAY, _NEVER = 40, "2000-01-01", "9999-12-31"  # of the customers to whom they are told
FAR = 9e8  # an amount as long as those of nearly all customers; a longer text gives way to a shorter one
NOTHING_KNOWN = Known()


def build_bundle(  # noqa: PLR0913 -- everything that the bundle is a function of, each by name
    *,
    students: Mapping[str, StudentFiles],
    registry: Registry,
    tasks: Sequence[Task],
    settings: Settings,
    splits: Splits,
    products: pa.Table,
    terms: pa.Table,
    shares: np.ndarray,
    golden: np.ndarray,
    key: bytes,
    versions: Mapping[str, str],
    overridden: Mapping[str, str] | None = None,
    choice: bytes | None = None,
    known: Known = NOTHING_KNOWN,
) -> dict[str, bytes]:
    """Return the files of a signed bundle.

    Parameters
    ----------
    students
        Task to its files, ``student.json``, unless skipped ``model.txt``, and beside a copy ``direct.txt``.
    tasks
        All tasks; those that the data set cannot carry are listed with the reason.
    products
        The table ``raw/products``.
    terms
        The table ``raw/product_terms``.
    shares : int64 [products]
        Train acquisitions of each product.
    golden : float32 [n, registry's columns]
        Inputs that travel along with their predictions.
    key
        The signing key.
    versions
        What the bundle was made from: ``data``, ``code``.
    overridden
        Task to the text of a signed override of C23: where its copy misses a floor, the copy does not travel, and the direct
        student serves the task.
    choice
        The stored choice model; None where there is none, so that the shares are train counts.
    known
        What the reasons may name beyond the contract; what is typical is taken from the choice model.

    Raises
    ------
    GateError
        A task has no student, a copy was never compared with its teacher, or serving does not reproduce
        the golden rows.
    BundleError, ConfigError
        The inputs do not fit each other, or a text or rule breaks its own rules.
    """
    layers = gated_layers(students, tasks, settings.students.fidelity, overridden or {})
    chosen = None if choice is None else ChoiceLayers.of(choice, [product.code for product in settings.products])
    models = {name: model for task in layers.values() for name, model in task.models().items()}
    templates = content.read_config(content.TEMPLATES_FILE)
    rules = content.rules_content(content.read_config(content.RULES_FILE), registry, settings)
    used = {name for card, _ in models.values() for name in card.columns} | content.rule_columns(rules)
    used |= {name for model in chosen.models.values() for name in model.columns} if chosen else set()
    known = known._replace(typical=chosen.typical() if chosen else {})
    facts = content.told_facts(registry, used, templates, settings, known)
    contract = content.contract_columns(registry, used, templates, settings, facts)
    names = tuple(column["name"] for column in contract)
    positions = [registry.names.index(name) for name in names]
    files = {
        PRODUCTS: canonical({"products": content.products_content(products, terms, settings, tasks)}),
        RANKING: canonical(content.ranking_content(shares, settings)),
        OFFERING: canonical(settings.offering.model_dump(mode="json")),
        RULES: canonical(rules),
        TEMPLATES: canonical(content.templates_content(templates, settings, facts)),
        GOLDEN: canonical(golden_content(models, golden[:, positions], names, chosen)),
        **{name: text for name, (_, text) in models.items()},
        **(chosen.files() if chosen else {}),
    }
    manifest: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "dataset": settings.dataset.name,
        "profile": settings.profile,
        "contract": {
            "columns": contract,
            "segments": list(settings.dataset.segments),
            "asset_bands": list(settings.dataset.asset_bands),
        },
        "tasks": [task.entry() for task in layers.values()],
        "product_model": chosen.entry() if chosen else None,
        "tasks_unavailable": {task.name: task.unavailable for task in tasks if task.unavailable is not None},
        "splits": {name: [month.key for month in months] for name, months in splits},
        "versions": {**versions, "config": settings.digest()},
        "golden_tolerance": settings.bundle.golden_tolerance,
        "files": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()
        },
    }
    withheld = {name: task.withheld for name, task in layers.items() if task.withheld}
    manifest["checks"] = [
        {"check": "every_task_has_a_student", "passed": True, "n": len(layers)},
        {
            "check": "fidelity_within_floors",
            "passed": True,  # of the copies that travel
            "n": sum(task.copies for task in layers.values()),
            **({"withheld": withheld} if withheld else {}),
        },
        {"check": "texts_keep_the_rules", "passed": True, "n": _check_texts(manifest, files, templates)},
        {"check": "golden_rows_reproduced", "passed": True, "n": _check_golden(manifest, files)},
    ]
    manifest["bundle_id"] = hashlib.sha256(canonical(manifest)).hexdigest()[:32]
    files[MANIFEST] = canonical(manifest)
    files[SIGNATURE] = canonical(
        {"algorithm": ALGORITHM, "key_id": key_id(key), "mac": signature_of(files[MANIFEST], key)}
    )
    return files


def _in_memory(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Bundle:
    return Bundle({**manifest, "bundle_id": ""}, files, files.__getitem__, Library())


def _check_golden(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> int:
    """Compare serving's predictions of the golden rows with the reference; return their number."""
    bundle = _in_memory(manifest, files)
    try:
        for student in (student for layers in bundle.layers.values() for student in layers if student.file):
            student.ready()
    except ServingError as error:
        raise GateError(
            f"serving cannot load {student.file}: {error.code}", where=BUNDLE, fix=f"distil {student.task} again"
        ) from error
    try:
        return self_test(bundle)
    except ServingError as error:
        raise GateError(
            f"serving does not reproduce the golden rows: {error.message}",
            where=BUNDLE,
            fix="the reference (bundle/golden.py) and serving_lambda/scorer.py must follow docs/student-format.md",
        ) from error


def _check_texts(manifest: Mapping[str, Any], files: Mapping[str, bytes], templates: Mapping[str, Any]) -> int:
    """Render every fact in every template, every product in every template, and real rows; return the number of texts."""
    bundle = _in_memory(manifest, files)
    of_layer = [{task: layers[which] for task, layers in bundle.layers.items()} for which in (0, -1)]
    return _check_parts(bundle, templates) + sum(_check_reasons_of(bundle, models, templates) for models in of_layer)


def _check_parts(bundle: Bundle, templates: Mapping[str, Any]) -> int:
    """Check sentences of facts before all that may follow them, and the neutral texts of every product.

    The product with the longest name follows every sentence, the others follow the longest one; a benefit follows those that it
    meets.
    """
    checked = 0
    for language in LANGUAGES:
        names = {product: product.name_ko if language == "ko" else product.name for product in bundle.ranking.products}
        longest = max(names, key=lambda product: len(names[product]))
        for product, name in names.items():
            for text in _texts_of(bundle.renderer, product, language, every=product is longest):
                _check_text(text, name, language, templates)
                checked += 1
    return checked


def _texts_of(renderer: Renderer, product: Product, language: str, *, every: bool) -> list[str]:
    """Return the texts of a product to check.

    Before its introductions comes every sentence or the longest one, before a benefit those that it meets. A text too long for
    a closing or a benefit is left out, as the renderer leaves the closing or the benefit out.
    """
    sentences = {
        fact.key: [text for figure in _figures(fact) for text in renderer.variants(fact, figure, language)]
        for fact in renderer.teller.facts
    }
    whole = [text for texts in sentences.values() for text in texts]
    closed = whole if every else sorted(whole, key=len)[-1:]
    texts = [f"{text} {after}" for text in closed for after in renderer.introduced(product, language)]
    endings = [f"{text} {after}" for text in closed for after in renderer.after(product, language)]
    texts += [text for text in endings if len(text) <= LONGEST]
    for benefit in product.benefits:
        meeting = [
            text
            for fact in renderer.teller.facts
            if benefit.category in fact.categories
            for text in sentences[fact.key]
        ]
        offers = [f"{text} {after}" for text in meeting for after in renderer.after(product, language, benefit)]
        texts += [text for text in offers if len(text) <= LONGEST]
    return texts + renderer.neutral(product, language)


def _figures(fact: Fact) -> tuple[float, ...]:
    """Return the figures between which all that a fact tells lie; one of the far end where it has none."""
    far = {"money": FAR, "percent": 1.0}.get(fact.shown_as, 999.0)
    return (fact.low, fact.high if math.isfinite(fact.high) else far)


def _check_reasons_of(bundle: Bundle, models: Mapping[str, Student], templates: Mapping[str, Any]) -> int:
    students = {task: student for task, student in models.items() if task != PRODUCT_MODEL}
    checked = 0
    for index, stored in enumerate(bundle.golden()["rows"][:REASON_ROWS]):
        row = [math.nan if value is None else value for value in stored]
        customer = Customer(index, row, frozenset(), _ADULT, None, (), standing=_anybody(bundle))
        scored = score_row(students, row, product=models.get(PRODUCT_MODEL))
        choices, _ = choose(bundle, scored, customer, bundle.ranking.top_k, Occasion(_A_DAY))
        found, failed = explained(scored, choices, customer)
        if failed:
            raise GateError(
                f"serving cannot explain golden row {index}: {failed}", where=BUNDLE, fix="train these models again"
            )
        for choice, evidence in zip(choices, found, strict=True):
            product = bundle.ranking.products[choice.product_id]
            names = {"ko": product.name_ko, "en": product.name}
            for language, text in record_of(bundle, choice, evidence, customer).customer(bundle.renderer).items():
                _check_text(text, names[language], language, templates)
                checked += 1
    return checked


def _anybody(bundle: Bundle) -> Standing:
    """Return a standing to which every product suits."""
    return Standing(RISKIEST, _NEVER, next(iter(bundle.offering.asset_bands[-1:]), None))


def _check_text(text: str, product: str, language: str, templates: Mapping[str, Any]) -> None:
    where = content.TEMPLATES_FILE
    if not acceptable(text, product, language):
        raise BundleError(
            f"a reason is too short, too long, or too little Hangul: {text!r}", where=where, fix="correct its template"
        )
    if found := content.forbidden_in(text.replace(product, ""), language, templates):
        raise BundleError(f"a reason holds {found[0]!r}: {text!r}", where=where, fix="reword its template")
