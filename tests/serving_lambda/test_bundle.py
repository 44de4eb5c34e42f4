"""Nothing in a bundle is used that the signed manifest does not vouch for; the drill damages every file in every way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundle_fixtures import KEY

from serving_lambda.bundle import (
    MANIFEST,
    MODEL_FOLDER,
    SIGNATURE,
    Bundle,
    canonical,
    load_bundle,
    self_test,
    signature_of,
)
from serving_lambda.errors import ServingError

Ask = Callable[..., dict[str, Any]]


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


DAMAGES = [remove, truncate, empty, flip]


def resign(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest and sign it again, as someone who holds the key would."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    change(manifest)
    raw = canonical(manifest)
    (folder / MANIFEST).write_bytes(raw)
    signature = json.loads((folder / SIGNATURE).read_bytes())
    (folder / SIGNATURE).write_bytes(canonical({**signature, "mac": signature_of(raw, KEY)}))


def test_an_intact_bundle_reproduces_its_golden_rows(bundle: Bundle) -> None:
    assert (
        self_test(bundle) == 40 * 24
    )  # rows x models: ten tasks of two layers, two of one, and the product model of two


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_to_any_file_is_refused_or_takes_only_that_task_to_the_layer_below(
    serving: Ask, request_for: Ask, bundle_folder: Path, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from serving_lambda import handler as module

    request = request_for(0)
    intact = serving(request)["layer_by_task"]
    for path in sorted(p for p in bundle_folder.rglob("*") if p.is_file()):
        name = path.relative_to(bundle_folder).as_posix()
        original = path.read_bytes()
        damage(path)
        monkeypatch.setattr(module, "HOLDER", module.Holder())
        answer = serving(request)
        if name.startswith(MODEL_FOLDER):
            task = path.name.split(".")[0]
            missing = "STUDENT_FILE_MISSING" if damage is remove else "STUDENT_FILE_CORRUPT"
            lost = [entry for entry in answer["degraded"] if entry["task"] == task]
            assert len(answer["recommendations"]) == 3
            if name.endswith((".direct.txt", ".holdings.json")):  # nobody has asked for it
                assert (answer["layer_by_task"], lost) == (intact, [])
            elif intact[task] == 1:
                assert answer["layer_by_task"] == {**intact, task: 2}
                below = "holdings_model" if name.endswith(".json") else "direct_student"
                assert lost == [{"task": task, "code": missing, "served_by": below}]
            else:
                assert answer["layer_by_task"] == {**intact, task: 3}
                assert lost == [{"task": task, "code": missing, "served_by": "rules"}]
                assert all(task not in entry["task_scores"] for entry in answer["recommendations"])
        else:
            assert answer["error"]["code"].startswith("BUNDLE_"), name
            assert "Traceback" not in json.dumps(answer)
        path.write_bytes(original)


def test_without_any_model_every_product_comes_from_the_rules(
    serving: Ask, request_for: Ask, bundle_folder: Path
) -> None:
    for path in (bundle_folder / MODEL_FOLDER).iterdir():
        flip(path)
    answer = serving(request_for(0))
    assert set(answer["layer_by_task"].values()) == {3}
    assert [entry["layer"] for entry in answer["recommendations"]] == [3, 3, 3]
    assert all(entry["reason"]["ko"] for entry in answer["recommendations"])


def test_without_the_ranking_tasks_the_rules_fill_the_list(serving: Ask, request_for: Ask, bundle_folder: Path) -> None:
    for path in (bundle_folder / MODEL_FOLDER).iterdir():
        task = path.name.split(".")[0]
        if task == "nba_primary" or (task.startswith("will_acquire") and task != "will_acquire_lending"):
            flip(path)
    layers = [entry["layer"] for entry in serving(request_for(0, k=8))["recommendations"]]
    assert layers == [2, 2, 2, 2, 3, 3, 3, 3]  # four loans have a score of a direct student


def test_without_lightgbm_the_bundle_still_answers_by_the_rules(
    serving: Ask, request_for: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINAI_LIGHTGBM_LIB", "/nowhere/lib_lightgbm.so")
    answer = serving(request_for(0))
    assert {entry["layer"] for entry in answer["recommendations"]} == {3}
    assert {"ENGINE_UNAVAILABLE", "SKIPPED"} == {entry["code"] for entry in answer["degraded"]}


def test_another_key_is_refused(bundle_folder: Path) -> None:
    with pytest.raises(ServingError) as refused:
        load_bundle(bundle_folder, b"another key of some length")
    assert refused.value.code == "BUNDLE_SIGNATURE_WRONG"


def test_a_manifest_that_swaps_two_models_hashes_is_refused_although_it_is_well_formed(bundle_folder: Path) -> None:
    manifest = json.loads((bundle_folder / MANIFEST).read_bytes())
    manifest["tasks"][0]["threshold"] = 0.0
    (bundle_folder / MANIFEST).write_bytes(canonical(manifest))
    with pytest.raises(ServingError) as refused:
        load_bundle(bundle_folder, KEY)
    assert refused.value.code == "BUNDLE_SIGNATURE_WRONG"


def test_another_algorithm_in_the_signature_is_refused(bundle_folder: Path) -> None:
    signature = json.loads((bundle_folder / SIGNATURE).read_bytes())
    (bundle_folder / SIGNATURE).write_bytes(canonical({**signature, "algorithm": "none"}))
    with pytest.raises(ServingError) as refused:
        load_bundle(bundle_folder, KEY)
    assert refused.value.code == "BUNDLE_SIGNATURE_WRONG"


def test_an_unknown_schema_or_a_part_left_out_is_refused_even_when_signed(bundle_folder: Path) -> None:
    resign(bundle_folder, lambda manifest: manifest["contract"].pop("segments"))
    with pytest.raises(ServingError) as refused:
        load_bundle(bundle_folder, KEY)
    assert refused.value.code == "BUNDLE_UNREADABLE"
    resign(bundle_folder, lambda manifest: manifest.update(schema_version=2))
    with pytest.raises(ServingError) as refused:
        load_bundle(bundle_folder, KEY)
    assert refused.value.code == "BUNDLE_UNREADABLE"


def test_a_model_of_another_shape_than_declared_takes_its_task_to_the_layer_below(bundle_folder: Path) -> None:
    def drop_a_column(manifest: dict[str, Any]) -> None:
        entry = next(entry for entry in manifest["tasks"] if entry["task"] == "churn_signal")
        entry["columns"] = entry["columns"][:-1]

    resign(bundle_folder, drop_a_column)
    loaded = load_bundle(bundle_folder, KEY)
    assert ("churn_signal", "MODEL_UNREADABLE") in loaded.degraded
    assert loaded.layer_by_task["churn_signal"] == 2


@pytest.mark.parametrize("change", ["expected", "expected of layer 2", "rows", "a model left out"])
def test_the_self_test_fails_where_a_golden_row_is_not_reproduced(bundle_folder: Path, change: str) -> None:
    golden = json.loads((bundle_folder / "golden.json").read_bytes())
    if change == "expected":
        golden["expected"]["models/churn_signal.txt"][7][0] += 2e-6
    elif change == "expected of layer 2":
        golden["expected"]["models/churn_signal.direct.txt"][7][0] += 2e-6
    elif change == "a model left out":
        del golden["expected"]["models/churn_signal.direct.txt"]
    else:
        golden["rows"] = []
    raw = canonical(golden)
    (bundle_folder / "golden.json").write_bytes(raw)
    resign(
        bundle_folder,
        lambda manifest: manifest["files"]["golden.json"].update(sha256=hashlib.sha256(raw).hexdigest()),
    )
    loaded = load_bundle(bundle_folder, KEY)
    with pytest.raises(ServingError) as failed:
        self_test(loaded)
    assert failed.value.code == "SELF_TEST_FAILED"


@pytest.mark.parametrize("mac", ["\ud800", "\u00e9", "", 7, None, ["a"]])
def test_a_signature_of_any_letters_or_type_is_wrong_and_no_internal_error(bundle_folder: Path, mac: object) -> None:
    signature = {**json.loads((bundle_folder / SIGNATURE).read_bytes()), "mac": mac}
    (bundle_folder / SIGNATURE).write_text(json.dumps(signature))
    with pytest.raises(ServingError) as caught:
        load_bundle(bundle_folder, KEY)
    assert caught.value.code == "BUNDLE_SIGNATURE_WRONG"
