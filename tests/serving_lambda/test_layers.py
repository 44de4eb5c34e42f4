"""Where a copy cannot answer, its direct student does, with exactly its own scores; where that cannot either, the rules do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from bundle_fixtures import KEY, Made

from finai_assets.bundle.golden import reference_prediction
from finai_assets.students.card import card_of
from serving_lambda import bundle as bundle_module
from serving_lambda import handler as module
from serving_lambda.bundle import Bundle, open_bundle, self_test
from serving_lambda.contract import parse
from serving_lambda.errors import ServingError
from serving_lambda.lightgbm_c import Model
from serving_lambda.scorer import score_row

Ask = Callable[..., dict[str, Any]]
TASK = "will_acquire_deposits"
FIRST, SECOND = f"models/{TASK}.txt", f"models/{TASK}.direct.txt"


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


DAMAGES = pytest.mark.parametrize("damage", [remove, truncate, flip], ids=lambda damage: damage.__name__)


def lost(answer: dict[str, Any], task: str = TASK) -> list[tuple[str, str]]:
    return [(entry["code"], entry["served_by"]) for entry in answer["degraded"] if entry["task"] == task]


def reference(made: Made, task: str, index: int, *, direct: bool) -> np.ndarray:
    """Return the prediction of a layer's model by lightgbm's own package and numpy."""
    whole = card_of(made.students[task])
    card = whole.direct if direct and whole.direct else whole
    text = made.students[task]["direct.txt" if direct else "model.txt"]
    places = [made.registry.names.index(name) for name in card.columns]
    return reference_prediction(card, text, np.ascontiguousarray(made.X[index : index + 1, places]))[0]


def break_predictions(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle, files: set[str], method: str = "raw_row"
) -> None:
    """Let the models of some files fail when they are asked."""
    failing = {id(student.ready()) for layers in bundle.layers.values() for student in layers if student.file in files}
    real = getattr(Model, method)

    def asked(self: Model, *arguments: Any, **named: Any) -> Any:
        if id(self) in failing:
            raise ServingError("PREDICTION_FAILED", "no memory")
        return real(self, *arguments, **named)

    monkeypatch.setattr(Model, method, asked)


@DAMAGES
def test_layer_2_answers_with_exactly_the_direct_students_scores(
    serving: Ask,
    request_for: Ask,
    bundle_folder: Path,
    made: Made,
    damage: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    intact = serving(request_for(0))["task_scores"]
    damage(bundle_folder / FIRST)
    monkeypatch.setattr(module, "HOLDER", module.Holder())
    code = "STUDENT_FILE_MISSING" if damage is remove else "STUDENT_FILE_CORRUPT"
    for index in range(8):
        answer = serving(request_for(index, k=20))
        assert answer["layer_by_task"][TASK] == 2
        assert lost(answer) == [(code, "direct_student")]
        assert answer["task_scores"][TASK] == pytest.approx(reference(made, TASK, index, direct=True)[0], abs=1e-12)
        shown = [entry for entry in answer["recommendations"] if TASK in entry["task_scores"]]
        assert shown
        assert all(entry["layer"] == 2 for entry in shown)
        assert all(entry["task_scores"][TASK] == answer["task_scores"][TASK] for entry in shown)
    others = {task: score for task, score in serving(request_for(0))["task_scores"].items() if task != TASK}
    assert others == {task: score for task, score in intact.items() if task != TASK}
    assert intact[TASK] == pytest.approx(reference(made, TASK, 0, direct=False)[0], abs=1e-12)


@DAMAGES
def test_where_both_layers_are_damaged_the_rules_serve_the_task(
    serving: Ask, request_for: Ask, bundle_folder: Path, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(bundle_folder / FIRST)
    damage(bundle_folder / SECOND)
    monkeypatch.setattr(module, "HOLDER", module.Holder())
    answer = serving(request_for(0, k=20))
    code = "STUDENT_FILE_MISSING" if damage is remove else "STUDENT_FILE_CORRUPT"
    assert answer["layer_by_task"][TASK] == 3
    assert lost(answer) == [(code, "rules")]  # said once, though it holds for both files
    assert TASK not in answer["task_scores"]
    assert all(TASK not in entry["task_scores"] for entry in answer["recommendations"])


def test_the_contributions_of_layer_2_belong_to_its_own_columns(
    serving: Ask, request_for: Ask, bundle_folder: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove(bundle_folder / "models/nba_primary.txt")
    monkeypatch.setattr(module, "HOLDER", module.Holder())
    card = card_of(made.students["nba_primary"]).direct
    assert card is not None
    booster = lgb.Booster(model_str=made.students["nba_primary"]["direct.txt"].decode())
    explained = set()
    for index in range(8):
        X = made.X[index : index + 1, [made.registry.names.index(name) for name in card.columns]]
        known = np.asarray(booster.predict(X, pred_contrib=True)).reshape(-1, len(card.columns) + 1)
        prediction = reference(made, "nba_primary", index, direct=True)
        for entry in serving(request_for(index))["recommendations"]:
            if entry["explained_by"] != "nba_primary":
                continue
            term = max(entry["terms"], key=lambda term: term["value"])
            output, factor = term["output"], 1.0
            if term["kind"] == "any_acquisition":  # d log(1 - P) = -P / (1 - P) d log P
                factor = -prediction[output] / (1.0 - prediction[output])
            explained.add(term["kind"])
            for attribution in entry["attributions"]:
                wanted = 0.0
                if attribution["column"] in card.columns:
                    place = card.columns.index(attribution["column"])
                    wanted = factor * (known[output, place] - prediction @ known[:, place])
                assert attribution["of_task"] == pytest.approx(wanted, abs=1e-9)
    assert explained == {"any_acquisition", "nba_primary"}


def test_layer_2_is_not_read_until_it_is_needed_and_then_once(bundle_files: dict[str, bytes], request_for: Ask) -> None:
    asked: list[str] = []

    def read(name: str) -> bytes:
        asked.append(name)
        return bundle_files[name] if name != FIRST else b"damaged"

    loaded = open_bundle(read, KEY)
    assert asked.count(SECOND) == 1  # its copy is damaged
    assert not [name for name in asked if name.endswith(".direct.txt") and name != SECOND]
    row = parse(request_for(0), loaded).customer.row
    score_row(loaded.students, row)
    assert asked.count(SECOND) == 1
    self_test(loaded)
    assert sorted(asked) == sorted({*bundle_files, SECOND})
    self_test(loaded)
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("content", [b"tree\nversion=v4\nnum_class=999999999\n", b""])
def test_a_wrong_hash_of_layer_2_is_found_before_the_file_is_parsed(
    bundle_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    files = {**bundle_files, FIRST: b"damaged", SECOND: content}
    parsed: list[bytes] = []

    def parse_it(library: Any, text: bytes) -> Model:
        parsed.append(text)
        return Model(library, text)

    monkeypatch.setattr(bundle_module, "Model", parse_it)
    loaded = open_bundle(files.__getitem__, KEY)
    assert loaded.layer_by_task[TASK] == 3
    assert content not in parsed
    assert b"damaged" not in parsed
    copies = {name for name in files if name.startswith("models/") and name.endswith(".txt") and "direct" not in name}
    assert len(parsed) == len(copies) - 1


def test_a_copy_that_fails_on_a_request_makes_way_for_its_direct_student(
    serving: Ask, request_for: Ask, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert serving(request_for(3))["layer_by_task"][TASK] == 1
    with monkeypatch.context() as broken:
        break_predictions(broken, module.HOLDER.get(), {FIRST})
        answer = serving(request_for(3))
    assert answer["layer_by_task"][TASK] == 2
    assert lost(answer) == [("PREDICTION_FAILED", "direct_student")]
    assert answer["task_scores"][TASK] == pytest.approx(reference(made, TASK, 3, direct=True)[0], abs=1e-12)
    assert serving(request_for(3))["layer_by_task"][TASK] == 1  # that request alone


def test_where_both_students_fail_on_a_request_the_rules_serve_the_task(
    serving: Ask, request_for: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving(request_for(0))
    break_predictions(monkeypatch, module.HOLDER.get(), {FIRST, SECOND})
    answer = serving(request_for(3))
    assert answer["layer_by_task"][TASK] == 3
    assert lost(answer) == [("PREDICTION_FAILED", "rules")]
    assert TASK not in answer["task_scores"]


def test_a_copy_that_cannot_explain_its_score_makes_way_and_the_answer_is_layer_2s_throughout(
    serving: Ask, request_for: Ask, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "nba_primary"
    assert any(entry["explained_by"] == name for entry in serving(request_for(0, k=20))["recommendations"])
    with monkeypatch.context() as broken:
        break_predictions(broken, module.HOLDER.get(), {f"models/{name}.txt"}, "contributions_row")
        answer = serving(request_for(0, k=20))
    assert lost(answer, name) == [("PREDICTION_FAILED", "direct_student")]
    remove(bundle_folder / f"models/{name}.txt")
    monkeypatch.setattr(module, "HOLDER", module.Holder())
    expected = serving(request_for(0, k=20))
    assert answer["recommendations"] == expected["recommendations"]
    assert answer["layer_by_task"] == expected["layer_by_task"]


def test_a_damaged_layer_2_changes_no_answer_of_a_sound_copy(
    serving: Ask, request_for: Ask, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    intact = serving(request_for(0))
    for path in (bundle_folder / "models").glob("*.direct.txt"):
        flip(path)
    monkeypatch.setattr(module, "HOLDER", module.Holder())
    answer = serving(request_for(0))
    changing = {"latency_ms", "request_id"}
    assert {k: v for k, v in answer.items() if k not in changing} == {
        k: v for k, v in intact.items() if k not in changing
    }


def test_a_bundle_of_the_schema_before_is_refused_with_a_code(bundle_files: dict[str, bytes]) -> None:
    manifest = {**json.loads(bundle_files["manifest.json"]), "schema_version": 3}
    raw = bundle_module.canonical(manifest)
    signature = {**json.loads(bundle_files["signature.json"]), "mac": bundle_module.signature_of(raw, KEY)}
    files = {**bundle_files, "manifest.json": raw, "signature.json": bundle_module.canonical(signature)}
    with pytest.raises(ServingError, match="schema version 3, this code reads 4") as refused:
        open_bundle(files.__getitem__, KEY)
    assert refused.value.code == "BUNDLE_UNREADABLE"


def test_a_copy_that_failed_stays_out_of_an_answer_that_is_scored_again(
    serving: Ask, request_for: Ask, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving(request_for(0))
    bundle = module.HOLDER.get()
    copy, real, calls = bundle.students[TASK].ready(), Model.raw_row, []

    def fails_once(self: Model, row: Any) -> list[float]:
        if self is copy:
            calls.append(1)
            if len(calls) == 1:
                raise ServingError("PREDICTION_FAILED", "no memory")
        return real(self, row)

    monkeypatch.setattr(Model, "raw_row", fails_once)
    break_predictions(monkeypatch, bundle, {"models/nba_primary.txt"}, "contributions_row")
    answer = serving(request_for(0, k=20))
    assert (answer["layer_by_task"][TASK], answer["layer_by_task"]["nba_primary"]) == (2, 2)
    assert lost(answer) == [("PREDICTION_FAILED", "direct_student")]
    assert len(calls) == 1
    assert answer["task_scores"][TASK] == pytest.approx(reference(made, TASK, 0, direct=True)[0], abs=1e-12)


def test_requests_that_need_layer_2_at_the_same_time_read_it_once(bundle_files: dict[str, bytes]) -> None:
    asked: list[str] = []
    start = threading.Barrier(4)

    def read(name: str) -> bytes:
        asked.append(name)
        if name == SECOND:
            time.sleep(0.05)  # so that the others come meanwhile
        return bundle_files[name]

    student = open_bundle(read, KEY).students[TASK].fallback
    assert student is not None

    def ready() -> Model:
        start.wait()
        return student.ready()

    with ThreadPoolExecutor(4) as pool:
        models = {id(found.result()) for found in [pool.submit(ready) for _ in range(4)]}
    assert len(models) == 1
    assert asked.count(SECOND) == 1


def test_a_layer_2_that_could_not_be_read_once_is_not_read_again(bundle_files: dict[str, bytes]) -> None:
    asked: list[str] = []

    def read(name: str) -> bytes:
        asked.append(name)
        return bundle_files[name] if name != SECOND else b"damaged"

    student = open_bundle(read, KEY).students[TASK].fallback
    assert student is not None
    for _ in range(3):
        with pytest.raises(ServingError, match="STUDENT_FILE_CORRUPT"):
            student.ready()
    assert asked.count(SECOND) == 1
