"""A small bundle for the canaries of C26: one task of two layers, one of a direct student, one that the rules serve."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from finai_assets.bundle.build import build_bundle
from finai_assets.features.registry import Registry, build_registry
from finai_assets.ingest.adapter import product_terms
from finai_assets.labels.splits import make_splits
from finai_assets.labels.task import Task, available
from finai_assets.labels.tasks import build_tasks
from finai_assets.scoring.boosting import Binning, Growth, bin_rows, count_leaves, hard_loss, train_trees
from finai_assets.scoring.calibration import NO_CALIBRATOR
from finai_assets.scoring.links import LINK_OF_KIND
from finai_assets.scoring.resampling import Interval
from finai_assets.settings import Settings
from finai_assets.students.card import CARD, DIRECT_MODEL, MODEL, DirectCard, untrained
from finai_assets.students.fidelity import AT_LEAST, Fidelity, compare_fidelity
from finai_checks.bundle.facts import Expected
from serving_lambda.bundle import GOLDEN, MANIFEST, SIGNATURE, canonical, signature_of

KEY, FOREIGN_KEY = bytes(range(32)), bytes(range(1, 33))
ROWS, GOLDEN_ROWS, COLUMNS = 200, 10, 6

Files = dict[str, bytes]
StudentFiles = dict[str, bytes]


class SmallBundle:
    """The bundle and the registry and tasks that it was built from; made when it is first asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def registry(self) -> Registry:
        """Return the registry of the data set."""
        return build_registry(self.settings)

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """Return all tasks, of which three are available: a binary one, one of classes, and a regression."""
        every = build_tasks(self.settings)
        first: dict[str, str] = {}
        for task in available(every):
            if task.classes:
                first.setdefault(task.kind, task.name)
        out = "not in this bundle"
        return tuple(task if task.name in first.values() else replace(task, unavailable=out) for task in every)

    def task(self, kind: str) -> Task:
        """Return the available task of a kind."""
        return next(task for task in available(self.tasks) if task.kind == kind)

    @cached_property
    def files(self) -> Files:
        """Return the files of the sound bundle."""
        return self.build()

    def build(self, *, kl: float = 0.0, overridden: Mapping[str, str] | None = None) -> Files:
        """Build the bundle with a copy of this divergence from its teacher."""
        students = self.students(kl)
        settings, products = self.settings, self.settings.products
        table = pa.table(
            {
                "product_id": pa.array(range(len(products)), pa.int16()),
                "name": [product.name for product in products],
                "family": pa.array([settings.families.index(product.family) for product in products], pa.int8()),
                "product_class": [product.product_class for product in products],
                "risk_grade": pa.array([product.risk_grade for product in products], pa.int8()),
            }
        )
        return build_bundle(
            students=students, registry=self.registry, tasks=self.tasks, settings=settings, splits=make_splits(settings),
            products=table, terms=product_terms(settings),
            shares=np.ones(len(products), dtype=np.int64), golden=self.rows[:GOLDEN_ROWS], key=KEY,
            versions={"data": "canary", "code": "canary"}, overridden=overridden,
        )  # fmt: skip

    def students(self, kl: float = 0.0) -> dict[str, StudentFiles]:
        """Return the students' files, with a copy of this divergence from its teacher."""
        return {task.name: self._student(task, kl) for task in available(self.tasks)}

    @cached_property
    def expected(self) -> Expected:
        """Return what the sound bundle is compared with."""
        return Expected(KEY, self.registry, self.tasks, self.settings, self.students(), self.rows)

    @cached_property
    def rows(self) -> np.ndarray:
        """Return values float32 [rows, columns] that keep every column's range."""
        random = np.random.default_rng(self.settings.seed)
        rows = np.empty((ROWS, len(self.registry.columns)), dtype=np.float32)
        for place, column in enumerate(self.registry.columns):
            low = 0.0 if column.low is None else column.low
            rows[:, place] = random.uniform(low, low + 1.0 if column.high is None else column.high, ROWS)
        return rows

    def _student(self, task: Task, kl: float) -> StudentFiles:
        """Return a student's files: a copy of the binary task, a direct student of classes, and none of a value."""
        if task.kind == "regression":
            return {CARD: untrained(task.name, kind=task.kind).to_bytes()}
        places = range(COLUMNS) if task.kind == "binary" else range(COLUMNS, 2 * COLUMNS)
        text = self._model(task, places)
        card = untrained(
            task.name, kind=task.kind, classes=task.classes, class_labels=task.class_names,
            route="DISTILL" if task.kind == "binary" else "DIRECT", columns=self._names(places),
            output_transform=LINK_OF_KIND[task.kind], init_score=(0.0,) * task.classes,
        )  # fmt: skip
        if task.kind != "binary":
            return {CARD: card.to_bytes(), MODEL: text}
        floors = self.settings.students.fidelity
        values = {"kl": kl} | {str(name): float(name in AT_LEAST) for name in floors.binary}
        measures = {name: Interval(value, value, value) for name, value in values.items()}
        behind = range(COLUMNS // 2, COLUMNS + COLUMNS // 2)
        direct = self._model(task, behind)
        card = replace(
            card,
            fidelity=compare_fidelity(task.kind, Fidelity(measures, ROWS, ROWS), floors).to_json(),
            direct=DirectCard(
                self._names(behind), card.output_transform, card.init_score, NO_CALIBRATOR, 0.5,
                *count_leaves(direct.decode()), len(direct),
            ),
        )  # fmt: skip
        return {CARD: card.to_bytes(), MODEL: text, DIRECT_MODEL: direct}

    def _names(self, places: range) -> tuple[str, ...]:
        return tuple(self.registry.names[place] for place in places)

    def _model(self, task: Task, places: range) -> bytes:
        X = np.ascontiguousarray(self.rows[:, list(places)])
        order = np.argsort(np.argsort(X.sum(axis=1)))
        label = (order * max(2, task.classes) // ROWS).astype(np.float64)
        binning = Binning(seed=self.settings.seed, threads=1, min_leaf_rows=5, counted="rows")
        sample = bin_rows(X, binning).labelled(label)
        return train_trees(hard_loss(task.kind, task.classes), sample, Growth(3, 4, 0.3)).text.encode()


def resigned(files: Mapping[str, bytes], change: Callable[[dict[str, Any]], object]) -> Files:
    """Change the manifest, and give it the id and the signature that go with it, as someone who holds the key would."""
    manifest = json.loads(files[MANIFEST])
    change(manifest)
    del manifest["bundle_id"]
    manifest["bundle_id"] = hashlib.sha256(canonical(manifest)).hexdigest()[:32]
    raw = canonical(manifest)
    signature = {**json.loads(files[SIGNATURE]), "mac": signature_of(raw, KEY)}
    return {**files, MANIFEST: raw, SIGNATURE: canonical(signature)}


def exchanged(files: Mapping[str, bytes], name: str, content: bytes) -> Files:
    """Exchange a file, and sign the manifest that vouches for the new content."""

    def vouch(manifest: dict[str, Any]) -> None:
        manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}

    return resigned({**files, name: content}, vouch)


def golden_changed(files: Mapping[str, bytes], model: str) -> Files:
    """Move one expected value of a model by more than the tolerance, and sign it."""
    golden = json.loads(files[GOLDEN])
    golden["expected"][model][3][0] += 1e-4
    return exchanged(files, GOLDEN, canonical(golden))


def flipped(files: Mapping[str, bytes], name: str) -> Files:
    """Flip one bit in the middle of a file."""
    content = bytearray(files[name])
    content[len(content) // 2] ^= 1
    return {**files, name: bytes(content)}
