"""The table of planted faults fits the code, and a run's end is read rightly."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from finai_assets.features.registry import build_registry
from finai_assets.labels.tasks import build_tasks
from finai_assets.settings import load_settings
from finai_checks.catalogue import KINDS
from finai_checks.framework.small_lake import SmallLake
from finai_resources.errors import ConfigError
from studies.attacks.fault import Edit, Fault, by_name
from studies.attacks.harness import ROOT, copy_code, judge
from studies.attacks.planted import FAULTS, GROUPS, LABELS
from studies.attacks.small import attack_small

SHORT = [fault for fault in FAULTS if fault.short]
SAID = "error: 1 blocking checks failed:\n  C09 point_in_time_replay on features/txn_behavior@2015-02: 3 columns differ"


def ended(code: int, said: str = "", output: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess([], code, stdout=output, stderr=said)


def test_every_fault_fits_the_code_as_it_is(tmp_path: Path) -> None:
    for fault in FAULTS:
        for number, file in enumerate(sorted({edit.file for edit in fault.edits})):
            copy = tmp_path / f"{fault.name}-{number}" / file
            copy.parent.mkdir(parents=True)
            copy.write_bytes((ROOT / file).read_bytes())
            for edit in fault.edits:
                if edit.file == file:
                    edit.apply(tmp_path / f"{fault.name}-{number}")
            compile(copy.read_text(encoding="utf-8"), file, "exec")


def test_the_table_has_every_group_and_label_of_the_generated_data_set() -> None:
    settings = load_settings("synthetic", "demo")
    assert {*GROUPS} == {group.name for group in build_registry(settings).available}
    assert {*LABELS} == {task.name for task in build_tasks(settings)}
    kinds = Counter(fault.kind for fault in FAULTS)
    assert {"group", "state", "label", "split", "matrix", "model", "route", "calibration", "ranking", "offering", "bundle",
            "gate", "bytes"} == set(kinds)  # fmt: skip
    assert len(FAULTS) == len({fault.name for fault in FAULTS}) >= 40


def test_what_must_catch_a_fault_is_a_check_that_exists_or_a_sentence() -> None:
    known = {kind.name for kind in KINDS}
    for fault in FAULTS:
        assert [word for word in fault.caught_by if " " not in word and word not in known] == []


@pytest.mark.parametrize("old", ["not there", "alpha"])
def test_an_edit_that_fits_nowhere_or_twice_is_refused(tmp_path: Path, old: str) -> None:
    (tmp_path / "module.py").write_text("alpha = beta(alpha)\n")
    with pytest.raises(ConfigError, match="occurs"):
        Edit("module.py", old, "x").apply(tmp_path)


def test_an_unknown_fault_is_named() -> None:
    with pytest.raises(ConfigError, match="no fault 'nothing'"):
        by_name(FAULTS, ["nothing"])


@pytest.mark.parametrize(
    ("run", "outcome"),
    [
        (ended(1, SAID), "caught"),
        (ended(1, SAID.replace("point_in_time_replay", "columns_vary_on_train")), "caught by another"),
        (ended(1, "error: the hash is another"), "caught"),
        (ended(1, "Traceback: division by zero"), "crashed"),
        (ended(0, output="the hash is another: put aside\nFeatures: ends, 7/7, 12 s\n"), "repaired"),
        (ended(0, output="Features: ends, 7/7, 12 s\n"), "not stopped"),
        (ended(0, output="Features: ends, 7/7, 0 s, 7 up to date\nLabels: ends, 7/7, 0 s, 7 up to date\n"), "not run"),
    ],
)
def test_the_end_of_a_run_is_read(run: subprocess.CompletedProcess[str], outcome: str) -> None:
    fault = Fault("x", "group", "x", ("point_in_time_replay", "the hash is"))
    assert judge(fault, run, 1.0).outcome == outcome


def test_a_copy_of_the_code_holds_no_compiled_file(tmp_path: Path) -> None:
    copy_code(ROOT, tmp_path / "code")
    assert not list((tmp_path / "code").rglob("*.pyc"))
    assert (tmp_path / "code" / "configs" / "pipeline.yaml").is_file()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("attacked") / "lake"
    SmallLake.build(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("fault", SHORT, ids=[fault.name for fault in SHORT])
def test_ten_faults_are_caught_on_the_small_lake(fault: Fault, small: Path, tmp_path: Path) -> None:
    found = attack_small(fault, small, tmp_path)
    assert set(fault.caught_by) & set(found), f"{fault.what}: found by {found}"


@pytest.mark.slow
def test_a_step_without_a_fault_passes(small: Path, tmp_path: Path) -> None:
    assert attack_small(Fault("none", "matrix", "nothing", ("gap_split",)), small, tmp_path) == []


def test_ten_are_short() -> None:
    assert len(SHORT) == 10


def test_an_audit_names_the_blocking_checks_that_failed_and_not_those_that_warn() -> None:
    rows = [
        {"name": "refit_is_equal", "blocking": True, "passed": False},
        {"name": "calibration", "blocking": False, "passed": False},
        {"name": "gap_split", "blocking": True, "passed": True},
    ]
    fault = Fault("state", "state", "a state of all months", ("refit_is_equal",), audit=True)
    assert judge(fault, ended(1, output=json.dumps(rows)), 1.0).checks == ("refit_is_equal",)
    assert judge(fault, ended(1, output=json.dumps(rows)), 1.0).outcome == "caught"
    assert judge(fault, ended(1, output=json.dumps(rows[1:])), 1.0).outcome == "crashed"
