"""Measures serving (cold start, warm latency, memory, throughput) beside LightGBM's Python package on the same models.

    python -m benchmarks.scorer [--bundle DIR --key HEX] [--json FILE]

Without a bundle it builds one at the sizes of ``configs/pipeline.yaml``: 13 students trained on random features that keep the
contract, and a choice model of random weights on the union of their columns; the package has the students alone. Each cold figure
comes from fresh processes (median of ``--repeat``), memory is the process's own high-water mark.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa

from finai_assets.bundle.build import build_bundle
from finai_assets.bundle.registry import export
from finai_assets.choice.model import ChoiceModel, Squash, to_file
from finai_assets.choice.train import COLUMNS, HOLDINGS
from finai_assets.features.registry import build_registry
from finai_assets.ingest.adapter import product_terms
from finai_assets.labels.splits import make_splits
from finai_assets.labels.tasks import build_tasks
from finai_assets.platform import Platform
from finai_assets.recommend.score import score_block
from finai_assets.recommend.standing import Standings
from finai_assets.scoring.boosting import count_leaves
from finai_assets.scoring.calibration import NO_CALIBRATOR
from finai_assets.scoring.links import Link
from finai_assets.settings import Settings, load_settings
from finai_assets.students.card import CARD, DIRECT_MODEL, MODEL, DirectCard, card_of, untrained
from finai_assets.students.fidelity import compare_fidelity, measure_fidelity
from finai_assets.students.fidelity_measures import Compared
from serving_lambda.bundle import load_bundle, model_entries
from serving_lambda.contract import parse
from serving_lambda.path import choose
from serving_lambda.scorer import score_row
from serving_lambda.standing import CHANNELS

ROOT = Path(__file__).resolve().parent.parent
DEMO_KEY = bytes(range(32))
# What a request says of a customer to whom most may be offered.
AGREED: dict[str, Any] = {
    "age": 40,
    "risk_profile": {"grade": 1, "expires": "2999-12-31"},
    "consents": {"marketing": ["app"], "automated_decision": True, "do_not_contact": False},
    "recent_messages": 0,
}

MEMORY = """
def memory():
    return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
"""

HANDLER = (
    """
import time; started = time.perf_counter()
import json, sys
from serving_lambda.handler import handler
requests = json.load(open(sys.argv[1]))
opened = time.perf_counter()
answer = handler(requests[0]); cold = time.perf_counter()
assert len(answer["recommendations"]) == 3, answer
assert all(entry["layer"] < 3 for entry in answer["recommendations"]), answer
times = []
for index in range(int(sys.argv[2])):
    begun = time.perf_counter(); handler(requests[index % len(requests)]); times.append(time.perf_counter() - begun)
print(json.dumps({"cold_ms": (cold - started) * 1e3, "times": times, "rss_mib": memory()}))
"""
)  # fmt: skip

PACKAGE = (
    """
import time; started = time.perf_counter()
import json, sys
import lightgbm, numpy
plan = json.load(open(sys.argv[1]))
boosters = {task: lightgbm.Booster(model_file=path) for task, path in plan["models"].items()}
rows = {task: [numpy.array([row], dtype=numpy.float32) for row in found] for task, found in plan["rows"].items()}
def answer(index):
    for task, booster in boosters.items():
        booster.predict(rows[task][index], raw_score=True, num_threads=1)
    for task in plan["shown"][index]:
        boosters[task].predict(rows[task][index], pred_contrib=True, num_threads=1)
answer(0); cold = time.perf_counter()
times = []
for index in range(int(sys.argv[2])):
    begun = time.perf_counter(); answer(index % len(plan["shown"])); times.append(time.perf_counter() - begun)
print(json.dumps({"cold_ms": (cold - started) * 1e3, "times": times, "rss_mib": memory()}))
"""
)  # fmt: skip


def make_bundle(home: Path) -> Path:
    """Build and export a bundle of the configured sizes; return its folder."""
    settings = load_settings("synthetic", "demo")
    registry, tasks, random = build_registry(settings), build_tasks(settings), np.random.default_rng(settings.seed)
    X = np.empty((2000, len(registry.columns)), dtype=np.float32)
    for place, column in enumerate(registry.columns):
        low = -5.0 if column.low is None else column.low
        values = random.uniform(low, low + 50.0 if column.high is None else column.high, len(X))
        X[:, place] = np.floor(values + 0.5) if column.kind in {"binary", "code", "count"} else values
    students = {
        task.name: _files(task.name, task.kind, task.classes or 50, X, registry.names, settings, random)
        for task in tasks
    }
    read = {name for files in students.values() for name in card_of(files).columns}
    choice = _choice(read, Platform.of(settings).held_columns, X, registry.names, settings, random)
    products = pa.table(
        {
            "product_id": pa.array(range(len(settings.products)), pa.int16()),
            "name": [product.name for product in settings.products],
            "family": pa.array([settings.families.index(product.family) for product in settings.products], pa.int8()),
            "product_class": [product.product_class for product in settings.products],
            "risk_grade": pa.array([product.risk_grade for product in settings.products], pa.int8()),
        }
    )
    files = build_bundle(
        students=students, registry=registry, tasks=tasks, settings=settings, splits=make_splits(settings), products=products,
        terms=product_terms(settings), shares=random.integers(1, 50, len(settings.products)), golden=X[:200], key=DEMO_KEY,
        versions={"data": "random", "code": "benchmark"}, choice=choice,
    )  # fmt: skip
    return export(files, home)


def _choice(
    read: Set[str],
    held: Sequence[str],
    X: np.ndarray,
    names: Sequence[str],
    settings: Settings,
    random: np.random.Generator,
) -> bytes:
    """Return a stored choice model of random weights: one of the columns that students read and of holdings, one of holdings."""
    products, models = tuple(product.code for product in settings.products), {}
    for name, wanted in ((COLUMNS, {*read, *held}), (HOLDINGS, {*held})):
        kept = [place for place, column in enumerate(names) if column in wanted]
        weights = random.normal(0.0, len(kept) ** -0.5, (len(products), len(kept)))
        columns = tuple(names[place] for place in kept)
        models[name] = ChoiceModel(
            products, columns, Squash.fit(X[:, kept]), random.normal(size=len(products)), weights
        )
    return to_file(models, {"models": {}, "fitted_on": {}})


def _files(
    name: str,
    kind: str,
    classes: int,
    X: np.ndarray,
    names: Sequence[str],
    settings: Settings,
    random: np.random.Generator,
) -> dict[str, bytes]:
    """Return the files of a student of the configured size: a copy, and a direct student that learnt another label."""
    classes = classes if kind == "multiclass" else 1
    rounds, leaves = getattr(settings.students.rounds, kind), getattr(settings.students.leaves, kind)
    chosen = np.sort(random.choice(X.shape[1], 60, replace=False))
    signal = X[:, chosen[:5]].sum(axis=1) + random.normal(size=len(X)) * 20
    label = signal if kind == "regression" else np.argsort(np.argsort(signal)) * max(2, classes) // len(X)
    parameters = {
        "objective": {"binary": "binary", "multiclass": "multiclass", "regression": "huber"}[kind], "num_leaves": leaves,
        "min_data_in_leaf": 2, "min_sum_hessian_in_leaf": 1e-6, "verbosity": -1, "num_threads": 1, "max_bin": 31,
        **({"num_class": classes} if classes > 1 else {}),
    }  # fmt: skip
    model = lgb.train(parameters, lgb.Dataset(X[:, chosen], label), rounds)
    prediction = model.predict(X[:, chosen], num_threads=1)
    compared = Compared(kind, prediction, prediction, label.astype(float), np.arange(len(label)), 0.5)
    copy = measure_fidelity(compared, settings.metrics, 0)
    # The direct student reads the same columns and learnt another label.
    other = np.roll(label, 1)
    direct = lgb.train(parameters, lgb.Dataset(X[:, chosen], other), rounds)
    columns = tuple(names[place] for place in chosen)
    transform: Link = {"binary": "sigmoid", "multiclass": "softmax", "regression": "identity"}[kind]  # type: ignore[assignment]
    texts = {MODEL: model.model_to_string(), DIRECT_MODEL: direct.model_to_string()}
    trees, leaves_in_all = count_leaves(texts[DIRECT_MODEL])
    card = untrained(
        name,
        kind=kind,
        classes=classes,
        class_labels=tuple(str(index) for index in range(classes)) if classes > 1 else (),
        route="DISTILL",
        reason="benchmark",
        columns=columns,
        init_score=(0.0,) * classes,
        output_transform=transform,
        fidelity=compare_fidelity(kind, copy, settings.students.fidelity).to_json(),
        trees=model.num_trees(),
        leaves=count_leaves(texts[MODEL])[1],
        direct=DirectCard(
            columns,
            transform,
            (0.0,) * classes,
            NO_CALIBRATOR,
            None,
            trees,
            leaves_in_all,
            len(texts[DIRECT_MODEL]),
        ),
    )
    return {CARD: card.to_bytes(), **{name: text.encode() for name, text in texts.items()}}


def inputs(folder: Path, key: bytes, work: Path) -> tuple[Path, Path, dict[str, Any]]:
    """Write the handler's requests and the package's plan; return both paths and the facts of the bundle."""
    bundle = load_bundle(folder, key)
    requests = [
        {**AGREED, "customer_id": index, "held": [], "features": dict(zip(bundle.names, row, strict=True))}
        for index, row in enumerate(bundle.golden()["rows"][:100])
    ]
    available = {task: student for task, student in bundle.students.items() if student.model is not None}
    plan: dict[str, Any] = {"models": {}, "rows": {task: [] for task in available}, "shown": []}
    for entry in bundle.manifest["tasks"]:
        if entry["task"] in available:
            plan["models"][entry["task"]] = str(folder / entry["model"])
    for request in requests:
        customer = parse(request, bundle).customer
        for task, student in available.items():
            plan["rows"][task].append(list(student.gather(customer.row)))
        scored = score_row(bundle.students, customer.row, product=bundle.product_model)
        choices, _ = choose(bundle, scored, customer, bundle.ranking.top_k, bundle.offering.occasion(time.time(), None))
        plan["shown"].append(sorted({choice.explained_by.task for choice in choices if choice.explained_by}))
    (work / "requests.json").write_text(json.dumps(requests))
    (work / "plan.json").write_text(json.dumps(plan))
    facts = {
        "bundle_id": bundle.bundle_id,
        "students": len(available),
        "leaves": sum(entry["leaves"] or 0 for entry in bundle.manifest["tasks"]),
        "model_mb": sum(
            (folder / entry["model"]).stat().st_size for entry in model_entries(bundle.manifest) if entry["model"]
        )
        / 1e6,
        "direct_leaves": sum((entry["direct"] or {}).get("leaves", 0) for entry in bundle.manifest["tasks"]),
        "choice_model_columns": len(bundle.product_model.columns) if bundle.product_model else 0,
        "columns": len(bundle.names),
    }
    return work / "requests.json", work / "plan.json", facts


def measure(script: str, argument: Path, environment: dict[str, str], repeat: int, calls: int) -> dict[str, float]:
    """Run a script in fresh processes and return the medians."""
    found, walls = [], []
    for _ in range(repeat):
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", MEMORY + script, str(argument), str(calls)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        walls.append(time.perf_counter() - begun)
        if done.returncode:
            sys.exit(done.stderr)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    times = sorted(value for entry in found for value in entry["times"])
    return {
        "cold_ms": statistics.median(entry["cold_ms"] for entry in found),
        "warm_p50_ms": times[len(times) // 2] * 1e3,
        "warm_p99_ms": times[int(len(times) * 0.99)] * 1e3,
        "requests_per_s": len(times) / sum(times),
        "rss_mib": statistics.median(entry["rss_mib"] for entry in found),
        "process_s": statistics.median(walls),
    }


def agreed(customers: int) -> Standings:
    """Return the standing of customers who agreed to offers."""
    return replace(
        Standings.unknown(np.full(customers, np.datetime64("2026-06-01"))),
        grade=np.ones(customers, np.int8),
        expires=np.full(customers, np.datetime64("2999-12-31")),
        marketing=np.ones((customers, len(CHANNELS)), bool),
        automated=np.ones(customers, bool),
        consents_known=np.ones(customers, bool),
        messages=np.zeros(customers, np.int64),
    )


def batch(folder: Path, key: bytes, customers: int) -> dict[str, float]:
    """Return customers per second of the batch scorer, attributions and reasons included, with one and two threads."""
    bundle = load_bundle(folder, key)
    golden = bundle.golden()["rows"]
    X = np.array([[np.nan if value is None else value for value in row] for row in golden], dtype=np.float32)
    X = X[np.arange(customers) % len(X)]
    settings, found = load_settings("synthetic", "demo"), {}
    for threads in (1, 2):
        begun = time.perf_counter()
        score_block(
            bundle, np.arange(customers), X, bundle.names, held=np.zeros((customers, len(bundle.ranking.products)), np.uint8),
            age=np.full(customers, 40.0), segment=[None] * customers, standing=agreed(customers), settings=settings,
            threads=threads,
        )  # fmt: skip
        found[f"batch_customers_per_s_{threads}_threads"] = customers / (time.perf_counter() - begun)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument(
        "--key", help="the bundle's signing key, hexadecimal; default: the environment's FINAI_SIGNING_KEY"
    )
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--customers", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        key = bytes.fromhex(chosen.key or os.environ.get("FINAI_SIGNING_KEY", "")) if chosen.bundle else DEMO_KEY
        folder = chosen.bundle or make_bundle(work)
        requests, plan, facts = inputs(folder, key, work)
        environment = {
            **os.environ, "FINAI_BUNDLE": str(folder), "FINAI_SIGNING_KEY": key.hex(), "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        result = {
            "bundle": facts,
            "handler": measure(HANDLER, requests, environment, chosen.repeat, chosen.calls),
            "lightgbm package (models and contributions alone)": measure(
                PACKAGE, plan, environment, chosen.repeat, chosen.calls
            ),
            "batch": batch(folder, key, chosen.customers),
            "n": {"processes": chosen.repeat, "calls_per_process": chosen.calls, "customers": chosen.customers},
        }
    for name, figures in result.items():
        print(f"\n{name}")
        for figure, value in figures.items():
            print(f"  {figure:32} {value:>12,.2f}" if isinstance(value, float) else f"  {figure:32} {value:>12}")
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
