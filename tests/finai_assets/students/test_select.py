from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finai_assets.settings import Settings
from finai_assets.settings.method import StudentSettings
from finai_assets.students.distill import Aim
from finai_assets.students.select import select_columns
from finai_resources.errors import ConfigError

NAMES = [f"c{i}" for i in range(10)]


def _students(chosen: Settings, **changed: object) -> StudentSettings:
    base = {"cumulative_gain": 0.9, "min_columns": 1, "max_columns": 10, "mandatory_columns": ()}
    update: dict[str, Any] = {**base, **changed}
    gain, most = update["cumulative_gain"], update["max_columns"]
    update |= {"cumulative_gain": {"copy": gain, "direct": gain}, "max_columns": {"copy": most, "direct": most}}
    return chosen.students.model_copy(update=update)


def _one(gain: np.ndarray, students: StudentSettings) -> list[int]:
    return select_columns({"copy": gain}, NAMES, students, aims={"copy": "copy"})["copy"].tolist()


def test_columns_are_cut_where_the_cumulative_gain_is_reached(chosen: Settings) -> None:
    gain = np.array([1, 50, 2, 0, 45, 1, 0, 0, 1, 0.0])
    assert _one(gain, _students(chosen)) == [1, 4]
    assert _one(gain, _students(chosen, cumulative_gain=0.96)) == [1, 2, 4]


def test_a_mandatory_column_stays_without_any_gain_and_pushes_the_weakest_out(chosen: Settings) -> None:
    gain = np.arange(10, 0, -1).astype(float)
    assert _one(gain, _students(chosen, max_columns=3, mandatory_columns=("c9",))) == [0, 1, 9]


def test_a_probe_without_a_split_keeps_the_minimum(chosen: Settings) -> None:
    assert _one(np.zeros(10), _students(chosen, min_columns=2)) == [0, 1]


def test_models_share_a_union_that_leaves_a_fifth_of_the_columns_free(chosen: Settings) -> None:
    first, second = np.array([9, 8, 7, 0, 0, 0, 0, 0, 0, 0.0]), np.array([0, 0, 0, 0, 0, 0, 0, 7, 8, 9.0])
    both: dict[str, Aim] = {"a": "copy", "b": "copy"}
    students = _students(chosen, cumulative_gain=1.0, max_columns_in_all=5, spare_share=0.2)
    found = select_columns({"a": first, "b": second}, NAMES, students, aims=both)
    assert {name: kept.tolist() for name, kept in found.items()} == {"a": [0, 1, 8, 9], "b": [0, 1, 8, 9]}
    # Rules bring a column of their own, and both models lose their weakest together.
    fewer = select_columns({"a": first, "b": second}, NAMES, students, aims=both, reserved=2)
    assert sorted({int(i) for kept in fewer.values() for i in kept}) == [0, 9]


def test_copies_choose_the_union_and_direct_students_what_they_need_of_it(chosen: Settings) -> None:
    copy, direct = np.array([9, 8, 7, 6, 0, 0, 0, 0, 0, 0.0]), np.array([0, 0, 1, 5, 0, 0, 0, 0, 0, 90.0])
    students = _students(chosen, cumulative_gain=1.0, max_columns_in_all=5, spare_share=0.2).model_copy(
        update={"max_columns": {"copy": 10, "direct": 1}}
    )
    found = select_columns(
        {"t/copy": copy, "t/direct": direct}, NAMES, students, aims={"t/copy": "copy", "t/direct": "direct"}
    )
    assert {name: kept.tolist() for name, kept in found.items()} == {"t/copy": [0, 1, 2, 3], "t/direct": [3]}


def test_a_column_that_may_be_told_is_preferred_where_it_explains_nearly_as_much(chosen: Settings) -> None:
    gain = np.array([0, 50, 0, 48, 0, 0, 0, 0, 0, 2.0])
    told = frozenset({"c3"})
    students = _students(chosen, cumulative_gain=0.4)
    assert select_columns({"copy": gain}, NAMES, students, aims={"copy": "copy"}, displayable=told)[
        "copy"
    ].tolist() == [3]
    assert _one(gain, students) == [1]
    assert select_columns(
        {"copy": gain * [1, 1, 1, 0.5, 1, 1, 1, 1, 1, 1]}, NAMES, students, aims={"copy": "copy"}, displayable=told
    )["copy"].tolist() == [1]


def test_an_unknown_mandatory_column_is_refused_by_name(chosen: Settings) -> None:
    with pytest.raises(ConfigError, match=r"\['income_rank'\]"):
        _one(np.ones(10), _students(chosen, mandatory_columns=("income_rank",)))
    with pytest.raises(ConfigError, match="2 mandatory columns exceed max_columns 1"):
        _one(np.ones(10), _students(chosen, mandatory_columns=("c1", "c2"), max_columns=1))


@given(
    st.lists(st.floats(0, 100), min_size=10, max_size=10),
    st.integers(1, 10),
    st.integers(1, 10),
    st.sets(st.sampled_from(NAMES), max_size=4),
)
def test_limits_hold_for_any_gain(
    chosen: Settings, gain: list[float], low: int, high: int, mandatory: set[str]
) -> None:
    students = _students(chosen, min_columns=low, max_columns=max(high, 4), mandatory_columns=tuple(mandatory))
    kept = np.array(_one(np.array(gain), students))
    assert len(kept) <= students.max_columns["copy"]
    assert len(kept) >= min(low, students.max_columns["copy"])
    assert mandatory <= {NAMES[i] for i in kept}
    assert kept.tolist() == sorted(set(kept.tolist()))
