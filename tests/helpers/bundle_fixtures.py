"""Small real bundles for the tests of serving, of the bundle and of recommendations: LightGBM students on random features."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pytest

from finai_assets.bundle.build import build_bundle
from finai_assets.bundle.registry import export
from finai_assets.choice.model import ChoiceModel, Squash, from_file, to_file
from finai_assets.choice.train import COLUMNS, HOLDINGS
from finai_assets.features.registry import Registry, build_registry
from finai_assets.labels.splits import make_splits
from finai_assets.labels.tasks import Task, build_tasks
from finai_assets.recommend.standing import Standings
from finai_assets.settings import Settings, load_settings
from finai_assets.students.fidelity import compare_fidelity, measure_fidelity
from finai_assets.students.fidelity_measures import Compared
from serving_lambda.bundle import Bundle, load_bundle
from serving_lambda.standing import CHANNELS

KEY = bytes(range(32))
DAY = np.datetime64("2015-06-01")  # of the decisions
# What a request says of a customer to whom every product without limits may be offered.
PERMISSIVE: dict[str, Any] = {
    "age": 40,
    "risk_profile": {"grade": 1, "expires": "2999-12-31"},
    "consents": {"marketing": ["app", "call", "email", "sms"], "automated_decision": True, "do_not_contact": False},
    "recent_messages": 0,
}
ROWS = 400
COLUMNS_PER_STUDENT = 14
# Routes and calibrators other than the default (DISTILL, none), so that each is met at least once.
ROUTES = {"top_mcc_shift": "DIRECT", "mcc_diversity_trend": "SKIP", "will_acquire_lending": "DIRECT"}
CALIBRATORS: dict[str, dict[str, Any]] = {
    "churn_signal": {"type": "isotonic", "x": [0.1, 0.3, 0.55, 0.8], "y": [0.02, 0.2, 0.2, 0.7]},
    "will_acquire_deposits": {"type": "isotonic", "x": [0.05, 0.4, 0.9], "y": [0.01, 0.3, 0.95]},
    "will_acquire_investments": {"type": "platt", "a": 0.8, "b": -0.3},
    "nba_primary": {"type": "temperature", "temperature": 1.4},
}


@dataclass(frozen=True)
class Made:
    """Everything that a bundle was made from, so that a test can change one part and build again."""

    settings: Settings
    registry: Registry
    tasks: tuple[Task, ...]
    X: np.ndarray
    students: dict[str, dict[str, bytes]]
    products: pa.Table
    terms: pa.Table
    shares: np.ndarray
    choice: bytes
    versions: dict[str, str] = field(default_factory=lambda: {"data": "d1", "code": "c1"})

    def build(self, **changes: Any) -> dict[str, bytes]:
        given = {
            "students": self.students,
            "registry": self.registry,
            "tasks": self.tasks,
            "settings": self.settings,
            "splits": make_splits(self.settings),
            "products": self.products,
            "terms": self.terms,
            "shares": self.shares,
            "golden": self.X[:40],
            "key": KEY,
            "versions": self.versions,
            "choice": self.choice,
        }
        return build_bundle(**{**given, **changes})

    @property
    def choice_models(self) -> list[ChoiceModel]:
        """Return the choice model of layer 1, and that of layer 2."""
        models, _ = from_file(self.choice, "test")
        return [models[COLUMNS], models[HOLDINGS]]

    def margins(self, rows: slice | list[int], layer: int = 1) -> np.ndarray:
        """Return the margins [rows, products] of a layer's choice model."""
        model = self.choice_models[layer - 1]
        return model.scores(self.X[rows][:, [self.registry.names.index(name) for name in model.columns]])

    def held(self, count: int) -> np.ndarray:
        chosen = np.random.default_rng(5).random((count, len(self.settings.products))) < 0.2
        chosen[0] = False
        return chosen.astype(np.uint8)


def features(registry: Registry, rows: int, seed: int) -> np.ndarray:
    """Return random values that keep every column's contract."""
    random = np.random.default_rng(seed)
    X = np.empty((rows, len(registry.columns)), dtype=np.float32)
    for place, column in enumerate(registry.columns):
        low = column.low if column.low is not None else -5.0
        high = column.high if column.high is not None else low + 50.0
        values = random.uniform(low, high, rows)
        if column.kind == "binary":
            values = (values > (low + high) / 2).astype(float)
        elif column.kind in {"code", "count"}:
            values = np.floor(values)
        if column.missing.startswith("nan"):
            values[random.random(rows) < 0.1] = np.nan
        X[:, place] = values
    return X


def product_table(settings: Settings) -> pa.Table:
    return pa.table(
        {
            "product_id": pa.array(range(len(settings.products)), pa.int16()),
            "name": [product.name for product in settings.products],
            "family": pa.array([settings.families.index(p.family) for p in settings.products], pa.int8()),
            "product_class": [product.product_class for product in settings.products],
            "risk_grade": pa.array([product.risk_grade for product in settings.products], pa.int8()),
            "terms": ["{}"] * len(settings.products),
        }
    )


def terms_table(settings: Settings, **limits: Mapping[str, Any]) -> pa.Table:
    """Return product terms without limits, but for those of some products by code."""
    types = {
        "minimum_age": pa.int16(),
        "maximum_age": pa.int16(),
        "minimum_asset_band": pa.string(),
        "disclosures": pa.list_(pa.string()),
        "benefits": pa.list_(pa.struct([("category", pa.string()), ("ko", pa.string()), ("en", pa.string())])),
    }
    of_product = [limits.get(product.code, {}) for product in settings.products]
    return pa.table(
        {
            "product_id": pa.array(range(len(settings.products)), pa.int16()),
            **{name: pa.array([own.get(name) for own in of_product], kind) for name, kind in types.items()},
        }
    )


def exact_copy(kind: str, classes: int) -> dict[str, Any]:
    """Return the stored fidelity of a student that predicts what its teacher predicts."""
    random = np.random.default_rng(3)
    teacher = random.dirichlet(np.ones(classes), 50) if kind == "multiclass" else random.random(50)
    label = (np.arange(50) % max(2, classes)).astype(float)
    settings = load_settings("synthetic", "smoke")
    figures = measure_fidelity(Compared(kind, teacher, teacher, label, np.arange(50), 0.3), settings.metrics, 0)
    return compare_fidelity(kind, figures, settings.students.fidelity).to_json()


def student(
    task: Task, registry: Registry, X: np.ndarray, seed: int, *, rounds: int = 6, leaves: int = 7
) -> dict[str, bytes]:
    """Train one small student on a label that depends on three of its columns."""
    random = np.random.default_rng(seed)
    route = ROUTES.get(task.name, "DISTILL")
    chosen = sorted(random.choice(len(registry.columns), COLUMNS_PER_STUDENT, replace=False).tolist())
    classes = (task.classes or 50) if task.kind == "multiclass" else 1
    card: dict[str, Any] = {
        "format": 4,
        "task": task.name,
        "kind": task.kind,
        "classes": classes,
        "class_labels": [f"class {index}" for index in range(classes)] if classes > 1 else [],
        "route": route,
        "routes": {"replicate": route, "better": route},
        "reason": "test",
        "columns": [registry.names[place] for place in chosen],
        "output_transform": {"binary": "sigmoid", "multiclass": "softmax", "regression": "identity"}[task.kind],
        "init_score": [0.25 * index - 0.5 for index in range(classes)] if classes > 1 else [-0.75],
        "calibrator": CALIBRATORS.get(task.name, {"type": "none"}),
        "threshold": 0.3 if task.kind == "binary" else None,
        "metrics": {
            "test": {"student": {"auc": {"value": 0.7, "low": 0.6, "high": float("nan"), "n": 10, "note": ""}}}
        },
        "trivial": {},
        "over_teacher": None,
        "fidelity": exact_copy(task.kind, classes) if route == "DISTILL" else None,
        "trees": rounds * classes,
        "leaves": rounds * classes * leaves,
        "model_bytes": 0,
        "explains": {},
        "fitted_on": {},
        "direct": None,
    }
    if route == "SKIP":
        card |= {"columns": [], "calibrator": {"type": "none"}, "init_score": [], "output_transform": "identity"}
        return {"student.json": json.dumps(card).encode()}
    model = _model(task.kind, classes, X[:, chosen], random, rounds=rounds, leaves=leaves)
    files = {"model.txt": model.model_to_string().encode()}
    if route == "DISTILL":
        # Most of its columns are its own, so that a model that is given the other layer's columns is noticed.
        behind = sorted({*chosen[:4], *random.choice(len(registry.columns), 5, replace=False).tolist()})
        direct = _model(task.kind, classes, X[:, behind], random, rounds=rounds - 2, leaves=leaves - 2)
        files["direct.txt"] = direct.model_to_string().encode()
        card["direct"] = {
            "columns": [registry.names[place] for place in behind],
            "output_transform": card["output_transform"],
            "init_score": [value + 0.125 for value in card["init_score"]],
            "calibrator": {"type": "platt", "a": 0.9, "b": 0.1} if task.kind == "binary" else {"type": "none"},
            "threshold": 0.4 if task.kind == "binary" else None,
            "trees": direct.num_trees(),
            "leaves": sum(tree["num_leaves"] for tree in direct.dump_model()["tree_info"]),
            "model_bytes": len(files["direct.txt"]),
        }
    return {"student.json": json.dumps(card).encode(), **files}


def choice(settings: Settings, registry: Registry, X: np.ndarray) -> bytes:
    """Return a stored choice model of random weights: one of twelve columns and what is held, one of that alone."""
    random, products = np.random.default_rng(77), tuple(product.code for product in settings.products)
    models = {}
    held = [at for at, name in enumerate(registry.names) if name.startswith("held_")]
    chosen = random.choice(len(registry.names), 12, replace=False).tolist()
    for name, kept in ((COLUMNS, sorted({*chosen, *held})), (HOLDINGS, held)):
        weights = random.normal(0.0, 0.3, (len(products), len(kept)))
        columns = tuple(registry.names[at] for at in kept)
        models[name] = ChoiceModel(
            products, columns, Squash.fit(X[:, kept]), random.normal(0.0, 0.3, len(products)), weights
        )
    return to_file(models, {"models": {}, "fitted_on": {}})


def _model(
    kind: str, classes: int, data: np.ndarray, random: np.random.Generator, *, rounds: int, leaves: int
) -> lgb.Booster:
    signal = np.nan_to_num(
        (data[:, :3] - np.nanmean(data[:, :3], axis=0)) / (np.nanstd(data[:, :3], axis=0) + 1e-9)
    ).sum(axis=1)
    signal = signal + random.normal(size=len(data)) * 0.3
    if kind == "multiclass":
        label = np.argsort(np.argsort(signal)) * classes // len(data)
    else:
        label = (signal > 0.5).astype(float) if kind == "binary" else signal
    objective = {"binary": "binary", "multiclass": "multiclass", "regression": "huber"}[kind]
    parameters: dict[str, Any] = {
        "objective": objective, "num_leaves": leaves, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1, "seed": 1,
    }  # fmt: skip
    if classes > 1:
        parameters["num_class"] = classes
    return lgb.train(parameters, lgb.Dataset(data, label), rounds)


@pytest.fixture(scope="session")
def made() -> Made:
    return make()


def weighed(**recommend: Any) -> Settings:
    """Return settings in which every kind of term has a weight, with other changes of ranking."""
    weights = {"any_acquisition": 1.0, "nba_primary": 1.0, "will_acquire": 1.0}
    return load_settings("synthetic", "smoke", overrides={"recommend": {"task_weights": weights, **recommend}})


def make() -> Made:
    """Return what the small bundles are made from; all kinds of terms have a weight."""
    settings = weighed()
    registry, tasks = build_registry(settings), build_tasks(settings)
    X = features(registry, ROWS, seed=1)
    students = {task.name: student(task, registry, X, seed) for seed, task in enumerate(tasks)}
    shares = np.random.default_rng(3).integers(0, 40, len(settings.products))
    return Made(
        settings,
        registry,
        tasks,
        X,
        students,
        product_table(settings),
        terms_table(settings),
        shares,
        choice(settings, registry, X),
    )


@pytest.fixture(scope="session")
def bundle_files(made: Made) -> dict[str, bytes]:
    return made.build()


@pytest.fixture
def bundle_folder(bundle_files: dict[str, bytes], tmp_path: Path) -> Path:
    return export(bundle_files, tmp_path)


@pytest.fixture(scope="session")
def bundle(bundle_files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(export(bundle_files, tmp_path_factory.mktemp("bundle")), KEY)


@pytest.fixture(scope="session")
def shipped_files(made: Made) -> dict[str, bytes]:
    """Return the bundle under the weights that are shipped."""
    return made.build(settings=load_settings("synthetic", "smoke"))


@pytest.fixture
def shipped_folder(shipped_files: dict[str, bytes], tmp_path: Path) -> Path:
    return export(shipped_files, tmp_path / "shipped")


@pytest.fixture
def shipped(shipped_folder: Path, serving: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the handler, its environment set to a fresh copy of the bundle under the weights that are shipped."""
    monkeypatch.setenv("FINAI_BUNDLE", str(shipped_folder))
    return serving


@pytest.fixture
def request_for(made: Made, bundle: Bundle) -> Callable[..., dict[str, Any]]:
    """Return a function that makes the JSON request of one row of ``made.X``."""
    place = [made.registry.names.index(name) for name in bundle.names]

    def make(index: int = 0, **fields: Any) -> dict[str, Any]:
        values = made.X[index, place]
        found = {
            name: None if np.isnan(value) else float(value) for name, value in zip(bundle.names, values, strict=True)
        }
        return {"customer_id": 1000 + index, "features": found, "held": [], **PERMISSIVE, **fields}

    return make


def permissive(n: int) -> Standings:
    """Return the standing of n customers to whom every product without limits of age or assets may be offered."""
    return replace(
        Standings.unknown(np.full(n, DAY)),
        grade=np.ones(n, np.int8),
        expires=np.full(n, np.datetime64("2999-12-31")),
        marketing=np.ones((n, len(CHANNELS)), bool),
        automated=np.ones(n, bool),
        consents_known=np.ones(n, bool),
        messages=np.zeros(n, np.int64),
    )


@pytest.fixture
def serving(bundle_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Return the handler, its environment set to a fresh copy of the bundle."""
    from serving_lambda import handler as module

    monkeypatch.setenv("FINAI_BUNDLE", str(bundle_folder))
    monkeypatch.setenv("FINAI_SIGNING_KEY", KEY.hex())
    monkeypatch.setattr(module, "HOLDER", module.Holder())
    return module.handler
