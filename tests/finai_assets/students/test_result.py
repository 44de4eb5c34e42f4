"""A copy's files hold the direct student too, and the budget counts the models of both layers and the columns of all."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from finai_assets.scoring.boosting import count_leaves
from finai_assets.settings import Settings
from finai_assets.settings.method import StudentSettings
from finai_assets.students.card import CARD, DIRECT_MODEL, MODEL
from finai_assets.students.columns import choose_columns
from finai_assets.students.result import StudentResult, from_files, over_budget, require_budget, to_files
from finai_assets.students.train import train_student
from finai_resources.errors import GateError
from tests.finai_assets.students.conftest import TASKS, Toy


@pytest.fixture(scope="module")
def copy(toy: Toy, chosen: Settings) -> StudentResult:
    columns = choose_columns(toy.matrix, toy.teacher, chosen)["churn"]
    return train_student(TASKS["churn"], toy.matrix, toy.teacher["churn"], toy.registry, chosen, columns=columns)


def with_limits(settings: StudentSettings, **limits: float) -> StudentSettings:
    return settings.model_copy(update=limits)


def test_the_direct_student_lies_beside_the_copy_with_all_that_serves_it(toy: Toy, copy: StudentResult) -> None:
    files = to_files(copy)
    assert copy.route == "DISTILL"
    assert list(files) == [CARD, MODEL, DIRECT_MODEL]
    assert files[MODEL] != files[DIRECT_MODEL]
    card = json.loads(files[CARD])["direct"]
    assert (card["trees"], card["leaves"]) == count_leaves(files[DIRECT_MODEL].decode())
    assert card["model_bytes"] == len(files[DIRECT_MODEL])
    assert card["threshold"] == pytest.approx(copy.direct.threshold if copy.direct else None)
    back = from_files(files)
    assert to_files(back) == files
    assert back.direct is not None
    X = np.ascontiguousarray(toy.matrix.X[-50:, [toy.matrix.columns.index(name) for name in card["columns"]]])
    assert np.isfinite(back.direct.model.predict(X)).all()


def test_a_direct_student_that_serves_by_itself_has_none_beside_it(copy: StudentResult) -> None:
    alone = replace(copy, route="DIRECT", fidelity=None, direct=None)
    assert list(to_files(alone)) == [CARD, MODEL]
    assert json.loads(to_files(alone)[CARD])["direct"] is None
    assert from_files(to_files(alone)) == alone


def test_the_budget_counts_both_models_and_the_columns_of_all_models_and_rules(
    copy: StudentResult, chosen: Settings
) -> None:
    assert copy.direct is not None
    found = require_budget({"churn": copy}, chosen.students, {"only_a_rule", copy.columns[0]})
    assert found["leaves"] == copy.leaves + copy.direct.model.size.leaves > copy.leaves
    assert found["megabytes"] == pytest.approx(sum(len(model.text) for model in copy.models) / 1e6)
    assert found["columns"] == len({*copy.columns, *copy.direct.model.columns, "only_a_rule"})


@pytest.mark.parametrize("limit", ["max_leaves", "max_columns_in_all"])
def test_a_share_of_every_limit_stays_free(copy: StudentResult, chosen: Settings, limit: str) -> None:
    found = require_budget({"churn": copy}, chosen.students)
    size = found["leaves" if limit == "max_leaves" else "columns"]
    enough = with_limits(chosen.students, **{limit: int(np.ceil(size / 0.75)), "spare_share": 0.25})
    assert require_budget({"churn": copy}, enough) == found
    with pytest.raises(GateError, match=r"at most .* allowed \(largest: churn"):
        require_budget({"churn": copy}, with_limits(enough, spare_share=0.35))


def test_what_is_over_the_budget_is_told_for_each_measure(chosen: Settings) -> None:
    limits = with_limits(chosen.students, max_leaves=1000, max_megabytes=2.0, max_columns_in_all=100, spare_share=0.2)
    assert over_budget(limits, {"leaves": 800, "megabytes": 1.6, "columns": 80}) == []
    assert over_budget(limits, {"leaves": 801, "megabytes": 1.61, "columns": 81}) == [
        "801 leaves, at most 800 allowed",
        "1.61 MB, at most 1.6 allowed",
        "81 columns, at most 80 allowed",
    ]
    assert over_budget(limits, {"leaves": 1000, "megabytes": 2.0, "columns": 100}, whole=True) == []
    assert over_budget(limits, {"leaves": 900, "megabytes": 1.9, "columns": 101}, whole=True) == [
        "101 columns, at most 100 allowed"
    ]
