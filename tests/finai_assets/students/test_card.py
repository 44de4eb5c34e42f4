"""A card comes back as it was written, and one that is not a student's of this format is refused with the way out."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from finai_assets.students.card import (
    CARD,
    DIRECT_MODEL,
    FORMAT,
    MODEL,
    DirectCard,
    StudentCard,
    card_of,
    read_card,
    untrained,
)
from finai_resources.errors import BundleError, LakeError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession

DIRECT = DirectCard(("age", "txn_spend_90d"), "sigmoid", (0.5,), {"type": "platt", "a": 1.0, "b": 0.0}, 0.2, 3, 21, 900)
COPY = untrained(
    "churn_signal",
    route="DISTILL",
    columns=("age", "income"),
    init_score=(0.25,),
    class_labels=("stays", "leaves"),
    threshold=0.3,
    fidelity={"passed": True, "n": 5, "labelled": 5, "verdicts": []},
    direct=DIRECT,
)


def stored(**changed: Any) -> bytes:
    return json.dumps({**json.loads(COPY.to_bytes()), **changed}).encode()


def test_a_card_comes_back_as_it_was_written() -> None:
    assert StudentCard.from_bytes(COPY.to_bytes(), where="here") == COPY
    assert json.loads(COPY.to_bytes()) == {"format": FORMAT, **COPY.values()}
    assert list(json.loads(COPY.to_bytes()))[:3] == ["format", "task", "kind"]


def test_a_card_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        COPY.route = "SKIP"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"format": 1}, "format 1, this code reads 4"),
        ({"format": 3}, "format 3, this code reads 4"),
        ({"route": "GUESS"}, "unknown route 'GUESS'"),
    ],
)
def test_another_format_and_an_unknown_route_are_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(BundleError, match=told) as raised:
        StudentCard.from_bytes(stored(**changed), where="students/churn_signal")
    assert "students/churn_signal" in str(raised.value)


def test_a_missing_field_is_named() -> None:
    content = {name: value for name, value in json.loads(COPY.to_bytes()).items() if name not in {"kind", "leaves"}}
    with pytest.raises(BundleError, match="lacks kind, leaves"):
        StudentCard.from_bytes(json.dumps(content).encode(), where="here")


def test_a_missing_field_of_the_direct_student_is_named() -> None:
    direct = {name: value for name, value in DIRECT.values().items() if name != "threshold"}
    with pytest.raises(BundleError, match="lacks threshold") as raised:
        StudentCard.from_bytes(stored(direct=direct), where="students/churn_signal")
    assert "students/churn_signal: direct" in str(raised.value)


def test_the_files_of_another_task_and_a_model_that_does_not_go_with_the_route_are_refused() -> None:
    whole = {CARD: COPY.to_bytes(), MODEL: b"tree", DIRECT_MODEL: b"tree"}
    assert card_of(whole, task="churn_signal") == card_of(whole) == COPY
    with pytest.raises(BundleError, match="belongs to task 'churn_signal'"):
        card_of(whole, task="next_mcc")
    with pytest.raises(BundleError, match="route DISTILL without a model"):
        card_of({CARD: COPY.to_bytes()})
    with pytest.raises(BundleError, match="route SKIP with a model"):
        card_of({CARD: untrained("churn_signal").to_bytes(), MODEL: b"tree"})


def test_a_direct_student_lies_beside_a_copy_and_beside_nothing_else() -> None:
    for files in (
        {CARD: COPY.to_bytes(), MODEL: b"tree"},
        {CARD: stored(direct=None), MODEL: b"tree", DIRECT_MODEL: b"tree"},
    ):
        with pytest.raises(BundleError, match="route DISTILL without a direct student"):
            card_of(files)
    for files in (
        {CARD: stored(route="DIRECT"), MODEL: b"tree", DIRECT_MODEL: b"tree"},
        {CARD: stored(route="DIRECT", direct=None), MODEL: b"tree", DIRECT_MODEL: b"tree"},
        {CARD: stored(route="SKIP"), DIRECT_MODEL: b"tree"},
    ):
        with pytest.raises(BundleError, match="with a direct student"):
            card_of(files)


def test_a_stored_card_is_read_from_the_lake(lake: Lake) -> None:
    with lake.write("students/churn_signal") as out:
        out.put(CARD, COPY.to_bytes())
    assert read_card(LakeSession(lake), "students/churn_signal") == COPY
    with pytest.raises(LakeError):
        read_card(LakeSession(lake), "students/next_mcc")
