"""C26 on a stored bundle: every file and promise is looked at, and the cold start is measured in fresh processes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bundle_fixtures import KEY, Made

from finai_assets.asset_graph import BUNDLE, student_asset
from finai_assets.platform import Platform
from finai_checks.bundle.cold_start import ColdStart, measure_cold_start
from finai_checks.bundle.facts import Expected, of_budget, of_contract, of_tasks
from finai_checks.bundle.integrity import bundle_integrity
from finai_checks.bundle.small_bundle import resigned
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckContext, CheckOutcome
from finai_checks.framework.ledger import Ledger
from finai_checks.framework.run import run_check
from finai_checks.gates import CheckGates
from finai_resources.errors import GateError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.secrets import SecretStore

QUICK = ColdStart(100.0, 120.0, 2)


@pytest.fixture
def expected(made: Made) -> Expected:
    return Expected(KEY, made.registry, made.tasks, made.settings, made.students, made.X)


@pytest.fixture
def stored_with(lake: Lake, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Store the students, and let the random rows that the golden ones are taken from stand for the test months."""
    for name, files in made.students.items():
        with lake.write(student_asset(name)) as out:
            for role, content in files.items():
                out.put(role, content)
    matrix = SimpleNamespace(X=made.X, rows=lambda _split: slice(0, None))
    monkeypatch.setattr("finai_checks.bundle.checks.load_matrix", lambda _session: matrix)


def put(lake: Lake, files: Mapping[str, bytes]) -> None:
    with lake.write(BUNDLE) as out:
        for name, content in files.items():
            out.put(name, content)


def judge(lake: Lake, platform: Platform) -> CheckOutcome:
    check = next(c for c in declared_checks(platform) if c.name == "bundle_integrity")
    assert (check.asset, check.blocking) == (BUNDLE, True)
    outcome = run_check(check, CheckContext(LakeSession(lake), platform))
    assert Ledger(lake, platform.secrets).has_passed(check, None) is (outcome.passed and platform.secrets is not None)
    return outcome


@pytest.mark.usefixtures("stored_with")
def test_a_stored_bundle_passes_with_a_cold_start_of_fresh_processes(
    lake: Lake, made: Made, bundle_files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINAI_SIGNING_KEY", KEY.hex())
    platform = Platform.of(made.settings, SecretStore(tmp_path))
    put(lake, bundle_files)
    outcome = judge(lake, platform)
    assert outcome.passed, outcome.reason
    assert 0 < outcome.observed["cold_start_cpu_ms"] < made.settings.checks.bundle.cold_start_ms
    assert outcome.observed["columns"] > 100
    assert outcome.n > outcome.observed["columns"] + len(bundle_files)
    put(lake, {**bundle_files, "models/churn_signal.direct.txt": b"tree"})
    spoiled = judge(lake, platform)
    assert "models/churn_signal.direct.txt has 4 bytes" in spoiled.reason
    with pytest.raises(GateError, match="C26 bundle_integrity"):
        CheckGates(platform).demand(lake, [(BUNDLE, None)])


@pytest.mark.usefixtures("stored_with")
def test_without_a_signing_key_there_is_no_evidence_and_none_is_made(
    lake: Lake, made: Made, bundle_files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FINAI_SIGNING_KEY", raising=False)
    put(lake, bundle_files)
    for platform in (Platform.of(made.settings), Platform.of(made.settings, SecretStore(tmp_path / "keys"))):
        assert judge(lake, platform).reason == "no_evidence"
    assert (
        SecretStore(tmp_path / "keys").find("signing") is None
    )  # the record of the failure is signed by a key of its own


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"direct": None}, "product_share: a layer is missing"),
        ({"model": None}, "product_share: a layer is missing"),
        ({"served_by": 2}, "product_share: a layer is missing"),
        ({"route": "DISTILL"}, "product_share: a layer is missing"),
        ({"kind": "binary", "task": "churn_signal"}, "the product model is churn_signal, binary"),
        ({"columns": ["of_yesterday"]}, "the contract lacks of_yesterday"),
    ],
)
def test_an_entry_of_the_product_model_that_breaks_its_form_is_found(
    made: Made, bundle_files: dict[str, bytes], change: dict[str, Any], fault: str
) -> None:
    manifest = json.loads(bundle_files["manifest.json"])
    manifest["product_model"].update(change)
    registry, tasks = made.registry, made.tasks
    faults = [fact.fault for fact in (*of_tasks(manifest, tasks), *of_contract(manifest, registry))]
    assert [found for found in faults if found] == [fault]


def test_the_choice_models_bytes_and_columns_count_and_it_has_no_leaves(
    made: Made, bundle_files: dict[str, bytes]
) -> None:
    without = made.build(choice=None)
    whole, less = (
        of_budget(files, json.loads(files["manifest.json"]), made.settings)[0] for files in (bundle_files, without)
    )
    texts = [bundle_files[f"models/product_share{name}.json"] for name in ("", ".holdings")]
    assert whole["leaves"] == less["leaves"] > 0
    assert whole["megabytes"] - less["megabytes"] == pytest.approx(sum(map(len, texts)) / 1e6)
    assert whole["columns"] > less["columns"]


def test_a_task_that_claims_the_route_of_the_choice_model_is_found(made: Made, bundle_files: dict[str, bytes]) -> None:
    manifest = json.loads(bundle_files["manifest.json"])
    entry = next(entry for entry in manifest["tasks"] if entry["task"] == "churn_signal")
    entry["route"] = "CHOICE"
    faults = [fact.fault for fact in of_tasks(manifest, made.tasks) if fact.fault]
    assert faults == ["churn_signal: route CHOICE served by layer 1 with a model, a direct student"]


def test_a_bit_of_any_file_is_found(expected: Expected, bundle_files: dict[str, bytes]) -> None:
    assert bundle_integrity(bundle_files, expected, QUICK).passed
    for name, content in bundle_files.items():
        spoiled = bytearray(content)
        spoiled[len(content) // 2] ^= 1
        outcome = bundle_integrity({**bundle_files, name: bytes(spoiled)}, expected, QUICK)
        assert not outcome.passed, name
        assert name in outcome.reason or "signature.json" in outcome.reason
        less = {other: kept for other, kept in bundle_files.items() if other != name}
        assert name in bundle_integrity(less, expected, QUICK).reason


def test_the_size_is_counted_in_the_files_and_not_read_from_the_manifest(
    expected: Expected, bundle_files: dict[str, bytes]
) -> None:
    def small(manifest: dict[str, list[dict[str, int]]]) -> None:
        for entry in manifest["tasks"]:
            entry["leaves"] = 1

    told, lied = (bundle_integrity(files, expected, QUICK) for files in (bundle_files, resigned(bundle_files, small)))
    assert told.observed["leaves"] == lied.observed["leaves"] > 1000


def test_a_signed_manifest_that_lacks_a_part_fails_and_does_not_raise(
    expected: Expected, bundle_files: dict[str, bytes]
) -> None:
    outcome = bundle_integrity(resigned(bundle_files, lambda m: m.pop("contract")), expected, QUICK)
    assert not outcome.passed
    assert "does not follow its schema" in outcome.reason


def test_a_fresh_process_tells_why_it_does_not_load_a_bundle(bundle_files: dict[str, bytes]) -> None:
    sound = measure_cold_start(bundle_files, KEY, processes=1)
    assert (sound.processes, sound.fault) == (1, "")
    assert sound.cpu_ms > 10
    broken = measure_cold_start({**bundle_files, "rules.json": b"{}"}, KEY, processes=1)
    assert (broken.processes, broken.fault.split(":")[0]) == (0, "BUNDLE_FILE_CORRUPT")
    foreign = measure_cold_start(bundle_files, bytes(32), processes=1)
    assert foreign.fault.startswith("BUNDLE_SIGNATURE_WRONG")
    assert KEY.hex() not in foreign.fault
