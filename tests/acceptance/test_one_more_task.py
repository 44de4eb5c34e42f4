"""A fourteenth task is one row: it goes the whole way, from its truth in the source to the recommendations."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import dagster as dg
import numpy as np
import pyarrow.compute as pc
import pytest
from number_held import FEWER, MORE, ROW, SAME

from finai_assets.definitions import PACKAGES, default_resources
from finai_assets.labels.tasks import build_tasks
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_assets.settings.method import PerKind
from finai_assets.training.matrix import TrainingMatrix, load_matrix
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckContext
from finai_checks.framework.small_lake import small_settings
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.secrets import SecretStore

pytestmark = pytest.mark.slow
NAME, CLASSES = ROW.name, (FEWER, SAME, MORE)
LIMIT = 4.2  # standard errors


QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def quick(settings: Settings) -> Settings:
    """Return settings with models that are made in seconds, whatever they are worth."""
    few = PerKind(binary=4, regression=4, multiclass=2)
    changed = {
        "teacher": settings.teacher.model_copy(update={"experts": ("deepfm",)}),
        "baselines": settings.baselines.model_copy(update={"rounds": few}),
        "students": settings.students.model_copy(update={"rounds": few}),
    }
    return settings.model_copy(update=changed)


class OpenGates:
    """Let everything through: the checks have runs of their own."""

    def demand(self, lake: Lake, partitions: Iterable[tuple[str, str | None]]) -> None: ...

    def overridden(self, lake: Lake, check: str, partitions: Iterable[tuple[str, str | None]]) -> dict[str, str]:
        return {}

    def permission(self, lake: Lake, check: str, asset: str, partition: str | None) -> str:
        return ""


@dataclass(frozen=True)
class Ran:
    platform: Platform
    lake: Lake
    home: Home

    @property
    def months(self) -> list[str]:
        return [month.key for _, months in self.platform.splits for month in months]

    def read_json(self, asset: str, role: str) -> Any:
        return json.loads(self.lake.read_bytes(asset, None, role))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Run the assets of the main job with one row more, each stage over all months that it needs."""
    settings = quick(small_settings())
    home = Home.at(tmp_path_factory.mktemp("home"))
    home.prepare()
    platform = Platform.of(settings, SecretStore(home.root), more_tasks=(ROW,))
    assets = [asset for package in PACKAGES for asset in package.build_assets(platform)]
    resources = {**default_resources(settings, home), "gates": OpenGates()}

    def run(selected: dg.AssetSelection, first: Month | None = None, last: Month | None = None) -> None:
        tags = {}
        if first is not None and last is not None:
            ends = {"start": first.partition_key, "end": last.partition_key}
            tags = {f"dagster/asset_partition_range_{end}": key for end, key in ends.items()}
        done = dg.materialize(assets, selection=selected, resources=resources, tags=tags, run_config=QUIET)
        assert done.success

    def named(*paths: str) -> dg.AssetSelection:
        return dg.AssetSelection.assets(*(path.split("/") for path in paths))

    splits, raw = platform.splits, settings.dataset.raw_months
    run(dg.AssetSelection.groups("source", "catalogue"))
    run(dg.AssetSelection.groups("raw"), raw.first, raw.last)
    run(named("labels/splits") | dg.AssetSelection.groups("feature_state"))
    run(named(*(group.asset for group in platform.registry.available)), splits.months[0], splits.months[-1])
    run(named(*(task.asset for task in platform.available_tasks)), splits.months[0], splits.months[-1])
    teacher = ("training_matrix", "ple", "predictions", "baselines", "evaluation", "explanations")
    run(named(*(f"teacher/{name}" for name in teacher)) | dg.AssetSelection.groups("students", "choice", "serving"))
    run(dg.AssetSelection.groups("recommendations"), splits.months[-1], splits.months[-1])
    return Ran(platform, Lake.on_disk(home.lake_root), home)


def test_it_is_the_fourteenth_of_the_platform_and_no_other_changes(ran: Ran) -> None:
    assert ran.platform.tasks == (*build_tasks(ran.platform.settings), ROW)
    assert len(ran.platform.available_tasks) == 14


def test_its_label_follows_its_truth(ran: Ran) -> None:
    labels, truths = [], []
    for month in ran.months:
        label, truth = ran.lake.read(f"labels/{NAME}", month), ran.lake.read(f"truth/{NAME}", month)
        assert label["customer_id"].equals(truth["customer_id"])
        labels.append(label["label"].to_numpy())
        truths.append(np.column_stack([truth[f"p_{k}"].to_numpy() for k in range(3)]).astype(float))
    label, truth = np.concatenate(labels), np.concatenate(truths)
    np.testing.assert_allclose(truth.sum(axis=1), 1.0, atol=1e-5)
    for code in range(3):
        p = truth[:, code]
        assert abs(((label == code) - p).sum()) <= LIMIT * np.sqrt((p * (1 - p)).sum())
    assert set(label.tolist()) == {0, 1, 2}


@pytest.fixture(scope="module")
def matrix(ran: Ran) -> TrainingMatrix:
    return load_matrix(ran.lake)


def test_the_matrix_has_its_label_its_classes_and_its_persistence(ran: Ran, matrix: TrainingMatrix) -> None:
    task = matrix.task(NAME)
    assert (task.kind, task.classes, task.class_labels, task.group) == ("multiclass", 3, CLASSES, "lifecycle")
    assert set(matrix.persistence[NAME].tolist()) == {1.0}
    month = ran.months[-1]
    stored = ran.lake.read(f"labels/{NAME}", month)
    rows = matrix.month == month
    assert matrix.customer[rows].tolist() == stored["customer_id"].to_pylist()
    assert matrix.labels[NAME][rows].tolist() == stored["label"].to_pylist()


def test_the_evaluation_sets_the_teacher_beside_its_persistence_and_its_ceiling(ran: Ran) -> None:
    curves = ran.read_json("teacher/evaluation", "curves.json")["tasks"][NAME]
    assert tuple(curves["class_labels"]) == CLASSES
    metrics = ran.read_json("teacher/evaluation", "evaluation.json")["tasks"][NAME]["test"]["metrics"]
    assert {"prior", "persistence", "lightgbm_all", "shared_bottom", "teacher", "ceiling"} <= set(metrics)
    assert metrics["ceiling"]["log_loss"]["value"] < metrics["prior"]["log_loss"]["value"]


def test_it_has_a_student_which_the_bundle_carries(ran: Ran) -> None:
    card = ran.read_json(f"students/{NAME}", "student.json")
    assert tuple(card["class_labels"]) == CLASSES
    manifest = ran.read_json("serving/bundle", "manifest.json")
    assert [entry["task"] for entry in manifest["tasks"]] == [task.name for task in ran.platform.tasks]


def test_every_customer_still_gets_a_decision_and_those_who_agreed_recommendations(ran: Ran) -> None:
    month = ran.months[-1]
    decisions = ran.lake.read("recommendations/decisions", month)
    assert decisions["customer_id"].equals(ran.lake.read("raw/snapshots", month)["customer_id"])
    told = set(ran.lake.read("recommendations/customers", month)["customer_id"].to_pylist())
    assert told == set(decisions.filter(pc.is_null(decisions["code"]))["customer_id"].to_pylist())
    assert len(told) > 0


def test_the_bundle_of_fourteen_tasks_passes_its_check(ran: Ran) -> None:
    check = next(entry for entry in declared_checks(ran.platform) if entry.name == "bundle_integrity")
    outcome = check.evaluate(CheckContext(LakeSession(ran.lake), ran.platform))
    assert outcome.passed, outcome.reason
    assert outcome.n > 14 + outcome.observed["columns"]
    assert outcome.observed["cold_start_cpu_ms"] > 0


def test_its_label_is_proved_by_the_statement_that_its_row_names(ran: Ran) -> None:
    checks = [c for c in declared_checks(ran.platform) if c.id == "C45" and c.asset == f"labels/{NAME}"]
    assert {c.name for c in checks} == {"labels_recomputed", "label_rates", "labels_follow_the_truth"}
    month = Month.parse(ran.months[-1])
    for check in checks:
        outcome = check.evaluate(CheckContext(LakeSession(ran.lake), ran.platform, month))
        assert outcome.passed, outcome.reason
