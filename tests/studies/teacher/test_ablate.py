"""``finai ablate``: its plan, what it keeps, how it goes on, and what it says where it cannot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner, Result
from vouched import tell

from finai_assets import settings as settings_module
from finai_assets.features.registry import build_registry
from finai_assets.labels.tasks import available, build_tasks
from finai_assets.platform import Platform
from finai_assets.settings import Settings, load_settings
from finai_assets.settings.features import FeatureGroupSettings
from finai_assets.training.labelling import MatrixTask
from finai_assets.training.matrix import ARRAY, ASSET, DESCRIPTION
from finai_checks.catalogue import declared_checks
from finai_cli.main import app
from finai_resources.errors import ConfigError, GateError, LakeError
from finai_resources.lake import Lake
from finai_resources.secrets import SecretStore
from studies.teacher import ablation_page as document
from studies.teacher import runs
from studies.teacher.ablate import remaining, spell

CUSTOMERS, TASKS = 120, ("churn_signal", "cross_sell_count")
MONTHS = {"train": ["2015-01"], "validation": ["2016-01"], "test": ["2016-04"]}
SMALL = {
    "teacher": {
        "experts": ["deepfm"], "expert_dim": 8, "task_expert_hidden": [8], "deep_hidden": [8], "tower_hidden": [8, 4],
        "unread_groups": dict.fromkeys(FeatureGroupSettings.names(), "the study has one expert"),
        "field_dim": 2, "batch_rows": 64, "epochs": 2, "threads": 1, "loop": {"device": "cpu"},
    },
    "ablation": {"seeds": 2, "resamples": 20, "workers": 1},
}  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Every command of this file has a teacher small enough for a test."""
    settings = load_settings("synthetic", "smoke", overrides=SMALL)
    monkeypatch.setattr(settings_module, "load_settings", lambda *_args, **_kwargs: settings)
    return settings


@pytest.fixture
def home(tmp_path: Path, small: Settings) -> Path:
    """A home that holds a training matrix with two tasks, whose checks have passed."""
    lake = Lake.on_disk(tmp_path / "lake")
    store_matrix(lake, small)
    platform = Platform.of(small, SecretStore(tmp_path))
    tell(lake, platform, [(check, None) for check in declared_checks(platform) if check.asset == ASSET])
    return tmp_path


def store_matrix(lake: Lake, settings: Settings) -> None:
    random, registry = np.random.default_rng(0), build_registry(settings)
    n = 3 * CUSTOMERS
    X = random.integers(0, 2, (n, len(registry.columns))).astype(np.float32)
    held = X[:, registry.positions(("product_holdings",))]
    tasks = [task for task in available(build_tasks(settings)) if task.name in TASKS]
    described = [MatrixTask(t.name, t.kind, t.classes, (), t.weight, t.focal, t.group) for t in tasks]
    rows = {
        "customer_id": np.tile(np.arange(CUSTOMERS), 3),
        "month": np.repeat([MONTHS[split][0] for split in MONTHS], CUSTOMERS),
        "split": np.repeat(list(MONTHS), CUSTOMERS),
        "label:churn_signal": held[:, 0],
        "label:cross_sell_count": held[:, 1] + 0.1 * random.normal(0, 1, n).astype(np.float32),
    }
    with lake.write(ASSET, **Platform.of(settings).graph.versions(ASSET)) as out:
        np.save(out.new_file(ARRAY), X)
        out.write(pa.table(rows))
        description = {
            "columns": list(registry.names),
            "tensors": [],
            "tasks": [asdict(task) for task in described],
            "rows": dict.fromkeys(MONTHS, CUSTOMERS),
            "months": MONTHS,
        }
        out.put(DESCRIPTION, json.dumps(description).encode())


def finai(home: Path, *arguments: str) -> Result:
    given = ["ablate", "--profile", "smoke", "--home", str(home), *arguments]
    return CliRunner().invoke(app, given, env={"COLUMNS": "200"})


def stored(home: Path) -> list[str]:
    return sorted(path.name.rpartition("-")[0] for path in (home / "ablation").glob("*-*-*.json"))


def test_a_home_without_a_matrix_names_the_command_that_makes_it(tmp_path: Path) -> None:
    ended = finai(tmp_path)
    assert isinstance(ended.exception, LakeError)
    assert f"`finai run --dataset synthetic --profile smoke --home {tmp_path}` makes it" in str(ended.exception)


def test_a_matrix_whose_checks_have_not_passed_is_not_read(tmp_path: Path, small: Settings) -> None:
    store_matrix(Lake.on_disk(tmp_path / "lake"), small)
    ended = finai(tmp_path)
    assert isinstance(ended.exception, GateError)
    assert "no result for what is stored now" in str(ended.exception)


def test_a_dry_run_tells_the_questions_and_the_number_of_runs_and_runs_none(home: Path) -> None:
    ended = finai(home, "--dry-run", "--seeds", "3")
    assert ended.exit_code == 0, ended.output
    assert "Are sigmoid gates better than softmax gates?" in ended.output
    # reference, control, gates, two transfers, surgery, weighting, layers; the transfers' other tasks are not there
    assert "24 runs: 0 are stored and skipped, 24 to do; the first run will tell the time" in ended.output
    assert "120 customers to learn from; rows: train 120, validation 120, test 120; 2 tasks" in " ".join(
        ended.output.split()
    )
    assert not (home / "ablation").exists()


def test_it_ends_with_a_table_and_a_second_call_computes_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = ("--variants", "sigmoid_gates", "--epochs", "1")
    first = finai(home, *asked)
    assert first.exit_code == 0, first.output
    assert "the first run took" in first.output
    assert "no difference shown" in first.output
    assert stored(home) == ["reference-0", "reference-1", "sigmoid_gates-0", "sigmoid_gates-1"]
    told = json.loads((home / "ablation" / "summary.json").read_text(encoding="utf-8"))
    assert [variant["name"] for variant in told["variants"]] == ["sigmoid_gates"]
    assert told["study"]["epochs"] == 1
    assert told["seeds"] == 2
    monkeypatch.setattr(runs, "run", lambda *_args, **_kwargs: pytest.fail("a finished run is computed again"))
    second = finai(home, *asked, "--json", "--out", str(tmp_path / "docs" / "study.json"))
    assert second.exit_code == 0, second.output
    assert json.loads(second.stdout) == told
    assert json.loads((tmp_path / "docs" / "study.json").read_text(encoding="utf-8")) == told
    assert "4 runs: 4 are stored and skipped, 0 to do" in second.stderr
    document.render(told)


@pytest.mark.slow
def test_workers_side_by_side_end_with_the_table_of_one(home: Path) -> None:
    asked = ("--variants", "one_layer", "--epochs", "1", "--json")
    two = finai(home, *asked, "--workers", "2")
    assert two.exit_code == 0, two.output
    assert "4 runs: 0 are stored and skipped, 4 to do" in two.stderr
    (home / "ablation").rename(home / "kept")
    one = finai(home, *asked, "--workers", "1")
    assert without_times(json.loads(one.stdout)) == without_times(json.loads(two.stdout))


def without_times(told: Any) -> Any:
    """What a command tells, but how long it took."""
    if isinstance(told, dict):
        return {key: without_times(value) for key, value in told.items() if key != "seconds"}
    return [without_times(value) for value in told] if isinstance(told, list) else told


def test_other_epochs_and_other_customers_are_other_runs_and_the_old_ones_stay(home: Path) -> None:
    asked = ("--variants", "one_layer", "--seeds", "1")
    assert finai(home, *asked, "--epochs", "1").exit_code == 0
    assert finai(home, *asked, "--epochs", "2", "--customers", "90").exit_code == 0
    assert stored(home) == ["one_layer-0", "one_layer-0", "reference-0", "reference-0"]
    again = finai(home, *asked, "--epochs", "1", "--dry-run")
    assert "2 runs: 2 are stored and skipped, 0 to do" in again.output
    assert "2 more stored runs are of other customers, settings, variants or source" in again.output


def test_a_stop_by_the_keyboard_keeps_what_is_finished_and_the_same_command_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("--variants", "sigmoid_gates", "--seeds", "1", "--epochs", "1")
    real = runs.run

    def stopped(study: Any, variant: Any, *rest: Any, **named: Any) -> Any:
        if variant.name == "sigmoid_gates":
            raise KeyboardInterrupt
        return real(study, variant, *rest, **named)

    monkeypatch.setattr(runs, "run", stopped)
    ended = finai(home, *asked)
    assert ended.exit_code == 130
    assert "the same command goes on from there" in ended.output
    assert stored(home) == ["reference-0"]
    kept = [path.read_bytes() for path in (home / "ablation").glob("reference*")]
    monkeypatch.setattr(runs, "run", real)
    again = finai(home, *asked)
    assert again.exit_code == 0, again.output
    assert "2 runs: 1 are stored and skipped, 1 to do; about" in again.output
    assert [path.read_bytes() for path in (home / "ablation").glob("reference*")] == kept


def test_an_unknown_variant_is_refused_before_anything_runs(home: Path) -> None:
    ended = finai(home, "--variants", "sigmoid_gate")
    assert isinstance(ended.exception, ConfigError)
    assert "did you mean sigmoid_gates" in str(ended.exception)


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(document, "TARGET", tmp_path / "ablations.md")
    monkeypatch.setattr(document, "STUDY", tmp_path / "study.json")
    return tmp_path


def test_the_page_is_written_from_the_kept_study(home: Path, pages: Path) -> None:
    assert isinstance(finai(home, "--document").exception, LakeError)
    out = ("--out", str(pages / "study.json"))
    assert finai(home, "--variants", "one_layer", "--seeds", "1", "--epochs", "1", *out).exit_code == 0
    ended = finai(home, "--document")
    assert ended.exit_code == 0, ended.output
    page = (pages / "ablations.md").read_text(encoding="utf-8")
    assert "`one_layer`: What do extraction layers above the first one add? Not judged from one seed" in page


def test_the_time_left_is_that_of_like_runs_and_else_of_any(home: Path) -> None:
    class Unit:
        def __init__(self, name: str, fingerprint: str) -> None:
            self.variant = type("V", (), {"name": name})
            self.fingerprint = fingerprint

    todo: list[Any] = [Unit("slow", "1"), Unit("slow", "2"), Unit("new", "3")]
    quick, slow = ({"variant": v, "seconds": s, "overhead": 2.0} for v, s in (("quick", 8.0), ("slow", 98.0)))
    known = {"0": quick, "1": slow}
    assert remaining(todo, known) == 100 + 55
    assert remaining(todo, {}) is None
    assert [spell(seconds) for seconds in (12, 61, 3599, 3600, 8000)] == [
        "12 s",
        "1 min",
        "1 h 0 min",
        "1 h 0 min",
        "2 h 13 min",
    ]
