"""Both layers of a copied task travel; a copy over a floor does not, and its direct student serves the task."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from bundle_fixtures import KEY, Made

from finai_assets.bundle.assets import overridden_tasks
from finai_assets.platform import Platform
from finai_resources.errors import BundleError, GateError
from finai_resources.lake import Lake
from serving_lambda.bundle import open_bundle, self_test

TASK = "churn_signal"
TEXT = "overridden by risk office until 2999-12-31: kl 0.5 (floor 0.2)"


def over_a_floor(made: Made, **figures: float) -> dict[str, dict[str, bytes]]:
    """Return the students, one copy of which is measured over the floors."""
    card = json.loads(made.students[TASK]["student.json"])
    for measure, value in figures.items():
        card["fidelity"]["figures"][measure] = {"value": value, "low": None, "high": None}
    return with_card(made, card)


def with_card(made: Made, card: dict[str, Any]) -> dict[str, dict[str, bytes]]:
    return {**made.students, TASK: {**made.students[TASK], "student.json": json.dumps(card).encode()}}


def entry_of(files: dict[str, bytes], task: str) -> dict[str, Any]:
    manifest = json.loads(files["manifest.json"])
    return next(entry for entry in manifest["tasks"] if entry["task"] == task)


def test_a_copied_task_travels_with_both_models_and_any_other_with_one_or_none(
    made: Made, bundle_files: dict[str, bytes]
) -> None:
    for task, files in made.students.items():
        card, entry = json.loads(files["student.json"]), entry_of(bundle_files, task)
        assert entry["served_by"] == {"DISTILL": 1, "DIRECT": 2, "SKIP": 3}[card["route"]]
        assert bundle_files.get(f"models/{task}.txt") == files.get("model.txt")
        assert bundle_files.get(f"models/{task}.direct.txt") == files.get("direct.txt")
        assert (entry["direct"] is not None) == (card["route"] == "DISTILL")
        if entry["direct"]:
            told = {name: card["direct"][name] for name in entry["direct"] if name != "model"}
            assert entry["direct"] == {**told, "model": f"models/{task}.direct.txt"}
            assert set(told) >= {"columns", "output_transform", "init_score", "calibrator", "threshold"}


def test_golden_rows_hold_expected_values_of_both_layers(bundle_files: dict[str, bytes]) -> None:
    expected = json.loads(bundle_files["golden.json"])["expected"]
    assert set(expected) == {name for name in bundle_files if name.startswith("models/")}
    assert expected[f"models/{TASK}.txt"] != expected[f"models/{TASK}.direct.txt"]


def test_a_copy_over_a_floor_does_not_travel_and_the_entry_says_why(made: Made) -> None:
    files = made.build(students=over_a_floor(made, kl=0.5), overridden={"next_mcc": TEXT})
    entry = entry_of(files, TASK)
    assert (entry["route"], entry["served_by"], entry["model"]) == ("DISTILL", 2, None)
    assert "over a floor on test rows: kl 0.500 (at most 0.2)" in entry["reason"]
    assert f"models/{TASK}.txt" not in files


def test_an_override_is_named_where_it_accepts_layer_2_in_the_place_of_a_copy(made: Made) -> None:
    files = made.build(students=over_a_floor(made, kl=0.5), overridden={TASK: TEXT})
    entry = entry_of(files, TASK)
    assert (entry["route"], entry["served_by"], entry["model"]) == ("DISTILL", 2, None)
    assert "risk office" in entry["reason"]
    assert "2999-12-31" in entry["reason"]
    assert f"models/{TASK}.txt" not in files
    assert entry["direct"]["model"] in files
    manifest = json.loads(files["manifest.json"])
    gate = next(check for check in manifest["checks"] if check["check"] == "fidelity_within_floors")
    assert gate["withheld"] == {TASK: TEXT}
    copied = json.loads(made.students[TASK]["student.json"])
    own = set(copied["columns"]) - set(copied["direct"]["columns"])
    others = {name for e in manifest["tasks"] for m in (e, e["direct"] or e) for name in m["columns"]}
    needless = own - others
    assert needless
    assert not needless & {column["name"] for column in manifest["contract"]["columns"]}


def test_the_withheld_copys_task_is_served_by_its_direct_student(made: Made) -> None:
    files = made.build(students=over_a_floor(made, kl=0.5), overridden={TASK: TEXT})
    loaded = open_bundle(files.__getitem__, KEY)
    assert loaded.layer_by_task[TASK] == 2
    assert (TASK, "COPY_WITHHELD") in loaded.degraded
    assert loaded.students[TASK].file == f"models/{TASK}.direct.txt"
    assert self_test(loaded) == 40 * 23  # one model less than without the override


def test_an_override_of_a_faithful_copy_changes_nothing(made: Made, bundle_files: dict[str, bytes]) -> None:
    assert made.build(overridden={TASK: TEXT}) == bundle_files


def test_no_override_lets_a_copy_through_that_was_never_compared_with_its_teacher(made: Made) -> None:
    card = {**json.loads(made.students[TASK]["student.json"]), "fidelity": None}
    with pytest.raises(GateError, match="never compared with their teacher: churn_signal"):
        made.build(students=with_card(made, card), overridden={TASK: TEXT})


def test_a_copy_without_its_direct_student_is_refused(made: Made) -> None:
    students = {**made.students, TASK: {k: v for k, v in made.students[TASK].items() if k != "direct.txt"}}
    with pytest.raises(BundleError, match="without a direct student"):
        made.build(students=students)


def test_a_direct_student_that_is_not_the_cards_is_refused_before_signing(made: Made) -> None:
    wrong = {**made.students[TASK], "direct.txt": made.students["nba_primary"]["direct.txt"]}
    with pytest.raises((GateError, ValueError)):
        made.build(students={**made.students, TASK: wrong})


def test_the_asset_asks_the_gates_for_every_students_override_of_c23(made: Made, lake: Lake) -> None:
    asked: list[tuple[str, list[tuple[str, str | None]]]] = []

    class Standing:
        def demand(self, lake: Lake, partitions: Iterable[tuple[str, str | None]]) -> None: ...

        def overridden(self, lake: Lake, check: str, partitions: Iterable[tuple[str, str | None]]) -> dict[str, str]:
            asked.append((check, list(partitions)))
            return {f"students/{TASK}": TEXT}

        def permission(self, lake: Lake, check: str, asset: str, partition: str | None) -> str:
            return ""

    assert overridden_tasks(Standing(), lake, Platform.of(made.settings)) == {TASK: TEXT}
    assert asked == [("student_fidelity", [(f"students/{task}", None) for task in made.students])]
