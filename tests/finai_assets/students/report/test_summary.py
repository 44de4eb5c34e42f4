"""What is told of all students is what their files hold, beside the floors, the ceiling and the budget of now."""

from __future__ import annotations

import json
from typing import Any

import pytest

from finai_assets.settings import Settings
from finai_assets.students.report.page import fidelity_page, markdown
from finai_assets.students.result import size_of
from finai_assets.students.train import StudentResult
from finai_resources.json_text import to_json


def test_every_figure_stands_beside_its_floor_and_the_noise_ceiling(
    summary: dict[str, Any], students: dict[str, StudentResult], chosen: Settings
) -> None:
    fidelity = students["churn"].fidelity
    assert fidelity is not None
    rows = {row["measure"]: row for row in summary["tasks"]["churn"]["figures"]}
    assert set(rows) == set(fidelity.fidelity.measures)
    floors = {"kl": chosen.students.fidelity.kl, **chosen.students.fidelity.binary}
    assert {name: row["floor"] for name, row in rows.items()} == {name: floors.get(name) for name in rows}
    assert {name: row["noise_ceiling"] for name, row in rows.items() if row["noise_ceiling"] is not None} == {
        "kl": 0.001,
        "pair_order": 0.99,
    }
    assert rows["pair_order"]["value"] == fidelity.fidelity.measures["pair_order"].value


def test_copies_are_counted_by_the_floors_of_now(summary: dict[str, Any], students: dict[str, StudentResult]) -> None:
    faithful = [name for name, each in students.items() if each.fidelity is not None and each.fidelity.passed]
    assert summary["copies"] == sorted(faithful) == ["churn", "family", "spend"]
    assert summary["policies"]["replicate"] == {"DISTILL": 3}
    assert sum(summary["policies"]["better"].values()) == 3


def test_a_score_is_that_of_the_students_metrics_and_the_budget_counts_all_models(
    summary: dict[str, Any], students: dict[str, StudentResult], chosen: Settings
) -> None:
    for name, student in students.items():
        told, test = summary["tasks"][name], student.metrics["test"]
        for who, stored in (("teacher", "teacher"), ("copy", "distilled"), ("direct", "direct")):
            assert told["scores"][who]["value"] == test[stored][told["metric"]].value
        assert student.over_teacher is not None
        assert told["over_teacher"]["value"] == student.over_teacher.value
        gap = test["student"][told["metric"]].value - test["teacher"][told["metric"]].value
        assert student.over_teacher.value == pytest.approx(gap)
    found = size_of(students, {"only_a_rule"})
    used = {name: entry["used"] for name, entry in summary["budget"].items()}
    assert used == found
    assert summary["budget"]["leaves"]["allowed"] == chosen.students.max_leaves * (1 - chosen.students.spare_share)


def test_a_copy_that_reads_its_teachers_columns_gives_its_reasons(summary: dict[str, Any]) -> None:
    found = summary["tasks"]["churn"]["explanations"]
    assert found["rows"] == found["inputs"]["compared"] == 60
    assert found["read_share"] > 0.9
    assert found["groups"]["overlap"]["value"] > 0.3
    assert summary["tasks"]["family"]["explanations"] is None  # no row of it was explained


def test_the_summary_is_json_and_its_page_names_every_task_and_its_reason(summary: dict[str, Any]) -> None:
    stored = json.loads(to_json(summary))
    assert stored == summary
    page = fidelity_page(stored).decode()
    for text in ("churn", "family", "spend", "explained_variance", "noise ceiling", "3 of 3 tasks"):
        assert text in page
    assert page == fidelity_page(stored).decode()
    assert len(markdown(stored).splitlines()) == 2 + 3


def test_a_task_that_no_copy_serves_is_shown_with_its_reason(summary: dict[str, Any]) -> None:
    spend = {**summary["tasks"]["spend"], "route": "DIRECT", "copies_faithfully": False, "explanations": None,
             "reason": "the copy is not faithful"}  # fmt: skip
    page = fidelity_page({**summary, "tasks": {**summary["tasks"], "spend": spend}}).decode()
    assert "the copy is not faithful" in page
    assert "a person has accepted that it is direct" in page
