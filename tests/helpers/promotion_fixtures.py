"""A lake with a training matrix, bundles made on it, records of checks in it, and two people with keys: all a promotion needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pytest
from bundle_fixtures import KEY, Made

from finai_assets.asset_graph import BUNDLE, EVALUATION, FIDELITY, MATRIX, PUBLISHED, SPLITS, TEACHER
from finai_assets.bundle.lineage import lineage_of
from finai_assets.bundle.registry import Registry, register
from finai_assets.labels.splits import make_splits
from finai_assets.platform import Platform
from finai_assets.promotion.decide import Decision, approve, decide, propose
from finai_assets.promotion.gather import Desk
from finai_assets.promotion.signatures import Signer
from finai_assets.settings import Settings
from finai_assets.training.labelling import MatrixTask
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared, Theme, declare
from finai_checks.framework.overrides import Overrides
from finai_checks.framework.run import run_check
from finai_checks.gates import CheckGates
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.secrets import SecretStore

KIM, LEE, PARK = (Signer(name, bytes(range(first, first + 32))) for first, name in enumerate(("kim", "lee", "park")))
# Of park the configuration knows nothing.
PEOPLE = {
    "kim": {"key": KIM.key, "roles": ["author", "approver"]},
    "lee": {"key": LEE.key, "roles": ["author", "approver"]},
}
MANDATORY = ["C91", "C99"]  # C99 does not exist
PASSES = {"verdict": CheckOutcome(True, "", 5)}
TRUSTED = CheckKind("C91", "matrix_is_trusted", "the matrix is as it should be", True, 1, "rows")


def judged(_context: CheckContext, _asset: str) -> CheckOutcome:
    return PASSES["verdict"]


THEME = Theme((TRUSTED,), lambda platform: [declare(TRUSTED, MATRIX, judged, platform.settings)], __name__)


@dataclass
class Office:
    """A lake, the desk on it, and how bundles come into it."""

    made: Made
    lake: Lake
    settings: Settings
    home: Path
    rows: int = 400

    @property
    def desk(self) -> Desk:
        platform = self.platform
        tasks = [task.name for task in platform.available_tasks]
        gates = CheckGates(platform, (THEME,))
        return Desk(LakeSession(self.lake), self.settings, tasks, gates, KEY, self.home)

    def check(self, outcome: CheckOutcome | None = None) -> None:
        """Run the mandatory check on the matrix."""
        PASSES["verdict"] = outcome or CheckOutcome(True, "", 5)
        run_check(
            self.declared(),
            CheckContext(LakeSession(self.lake), self.platform),
            Overrides.read(self.lake, self.platform.secrets),
        )

    @property
    def platform(self) -> Platform:
        return Platform.of(self.settings, SecretStore(self.home))

    def declared(self) -> Declared:
        [declared] = THEME.declare(self.platform)
        return declared

    def store(self, files: Mapping[str, bytes]) -> str:
        """Store a bundle as the asset does, and register it as challenger; return its id."""
        session = LakeSession(self.lake)
        session.manifest(MATRIX)
        with session.write(BUNDLE, code_version="test") as out:
            for name, content in files.items():
                out.put(name, content)
        session = LakeSession(self.lake)
        session.manifest(BUNDLE)
        with session.write(PUBLISHED, code_version="test") as out:
            out.put("published.json", b"{}")
        return register(self.lake, files, lineage_of(self.lake, BUNDLE, (TEACHER, EVALUATION, FIDELITY)))

    def sign(self, name: str, reason: str = "") -> None:
        """Let kim propose and lee approve."""
        propose(self.desk, name, KIM, reason)
        approve(self.desk, name, LEE)

    def promote(self, name: str = "challenger", reason: str = "") -> Decision:
        self.sign(name, reason)
        return decide(self.desk, name)


def labels_of(made: Made, columns: np.ndarray) -> np.ndarray:
    """Return a signal of rows, the one that the bundle's students are trained on."""
    values = made.X[:, columns]
    return np.nan_to_num((values - np.nanmean(values, axis=0)) / (np.nanstd(values, axis=0) + 1e-9)).sum(axis=1)


def write_matrix(made: Made, lake: Lake) -> None:
    """Write a training matrix whose labels depend on three columns of each student, as the students learnt it."""
    n = len(made.X)
    splits = np.array(["train"] * 40 + ["validation"] * 10 + ["test"] * (n - 50))
    columns: dict[str, Any] = {
        "customer_id": np.arange(n, dtype=np.int64),
        "month": ["2015-01"] * n,
        "split": splits,
    }
    described = []
    for task in made.tasks:
        card = json.loads(made.students[task.name]["student.json"])
        names = card["columns"][:3] or list(made.registry.names[:3])
        signal = labels_of(made, np.array([made.registry.names.index(name) for name in names]))
        classes = card["classes"]
        if task.kind == "multiclass":
            label = (np.argsort(np.argsort(signal)) * classes // n).astype(np.float32)
        else:
            label = (signal > 0.5).astype(np.float32) if task.kind == "binary" else signal.astype(np.float32)
        columns[f"label:{task.name}"] = label
        described.append(
            MatrixTask(task.name, task.kind, classes, tuple(card["class_labels"]), task.weight, None, task.group)
        )
    description = {
        "columns": list(made.registry.names),
        "tensors": [],
        "tasks": [asdict(task) for task in described],
        "rows": {},
        "months": {},
    }
    with lake.write(SPLITS, code_version="test") as out:
        out.put("splits.json", make_splits(made.settings).to_json())
    read = {SPLITS: lake.manifest(SPLITS).content_hash}
    with lake.write(MATRIX, code_version="test", upstream=read) as out:
        np.save(out.new_file("X.npy"), made.X)
        out.write(pa.table(columns))
        out.put("matrix.json", json.dumps(description).encode())


def retrained(made: Made, change: Callable[[np.ndarray], np.ndarray], *tasks: str) -> dict[str, bytes]:
    """Return a bundle in which some tasks' models are trained again on changed predictions of the old ones."""
    students = dict(made.students)
    for task in tasks:
        files = students[task]
        card = json.loads(files["student.json"])
        data = made.X[:, [made.registry.names.index(name) for name in card["columns"]]]
        old = lgb.Booster(model_str=files["model.txt"].decode())
        target = change(np.asarray(old.predict(data, raw_score=True)))
        parameters: dict[str, Any] = {"objective": "regression", "num_leaves": 31, "verbosity": -1, "num_threads": 1,
                                      "min_data_in_leaf": 3, "learning_rate": 0.3}  # fmt: skip
        model = lgb.train(parameters, lgb.Dataset(data, target), 30)
        text = model.model_to_string().encode()
        card |= {"calibrator": {"type": "none"}, "leaves": 930, "trees": 30}
        students[task] = {**files, "student.json": json.dumps(card).encode(), "model.txt": text}
    return made.build(students=students)


def promotion_settings(settings: Settings, **changes: Any) -> Settings:
    """Return settings with the two people, the one mandatory check, and changes of the section."""
    section = settings.promotion.model_dump() | {"people": PEOPLE, "mandatory": MANDATORY} | changes
    return settings.model_copy(update={"promotion": type(settings.promotion).model_validate(section)})


@pytest.fixture
def office(made: Made, lake: Lake, tmp_path: Path) -> Office:
    """Return a furnished office on disk."""
    return furnished(made, lake, tmp_path)


def furnished(made: Made, lake: Lake, tmp_path: Path) -> Office:
    """Return an office whose lake holds a matrix, a passed check, and one registered bundle."""
    write_matrix(made, lake)
    made = replace(made, versions={"data": lake.manifest(MATRIX).content_hash, "code": "c1"})
    found = Office(made, lake, promotion_settings(made.settings), tmp_path)
    found.check()
    for asset in (TEACHER, EVALUATION, FIDELITY):  # a bundle asks their checks, and reads nothing of them
        with lake.write(asset, code_version="test") as out:
            out.put("note.json", b"{}")
    found.store(made.build())
    return found


def with_settings(office: Office, **changes: Any) -> Office:
    """Return the same office under changed settings of promotion."""
    return replace(office, settings=promotion_settings(office.settings, **changes))


def champion(office: Office) -> str | None:
    return Registry.read(office.lake).aliases.get("champion")


def last(office: Office) -> dict[str, Any]:
    return Registry.read(office.lake).entries[-1].record


def better(office: Office) -> str:
    return office.store(retrained(office.made, lambda y: y * 3, "churn_signal", "product_stability"))


def worse(office: Office) -> str:
    shuffle: Callable[[np.ndarray], np.ndarray] = np.random.default_rng(0).permutation
    return office.store(retrained(office.made, shuffle, "churn_signal"))


def stored_file(office: Office, name: str) -> Path:
    bundle_id = Registry.read(office.lake).aliases["challenger"]
    return Path(office.lake.root, "bundles", bundle_id, name)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
