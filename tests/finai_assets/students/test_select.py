from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finai_assets.settings import Settings
from finai_assets.settings.method import StudentSettings
from finai_assets.students.select import select_columns
from finai_resources.errors import ConfigError

NAMES = [f"c{i}" for i in range(10)]


def _students(chosen: Settings, **changed: object) -> StudentSettings:
    base = {"cumulative_gain": 0.9, "min_columns": 1, "max_columns": 10, "mandatory_columns": ()}
    return chosen.students.model_copy(update={**base, **changed})


def test_columns_are_cut_where_the_cumulative_gain_is_reached(chosen: Settings) -> None:
    gain = np.array([1, 50, 2, 0, 45, 1, 0, 0, 1, 0.0])
    assert select_columns(gain, NAMES, _students(chosen)).tolist() == [1, 4]
    assert select_columns(gain, NAMES, _students(chosen, cumulative_gain=0.96)).tolist() == [1, 2, 4]


def test_a_mandatory_column_stays_without_any_gain_and_pushes_the_weakest_out(chosen: Settings) -> None:
    gain = np.arange(10, 0, -1).astype(float)
    kept = select_columns(gain, NAMES, _students(chosen, max_columns=3, mandatory_columns=("c9",)))
    assert kept.tolist() == [0, 1, 9]


def test_a_probe_without_a_split_keeps_the_minimum(chosen: Settings) -> None:
    assert select_columns(np.zeros(10), NAMES, _students(chosen, min_columns=2)).tolist() == [0, 1]


def test_an_unknown_mandatory_column_is_refused_by_name(chosen: Settings) -> None:
    with pytest.raises(ConfigError, match=r"\['income_rank'\]"):
        select_columns(np.ones(10), NAMES, _students(chosen, mandatory_columns=("income_rank",)))
    with pytest.raises(ConfigError, match="2 mandatory columns exceed max_columns 1"):
        select_columns(np.ones(10), NAMES, _students(chosen, mandatory_columns=("c1", "c2"), max_columns=1))


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
    kept = select_columns(np.array(gain), NAMES, students)
    assert len(kept) <= students.max_columns
    assert len(kept) >= min(low, students.max_columns)
    assert mandatory <= {NAMES[i] for i in kept}
    assert kept.tolist() == sorted(set(kept.tolist()))
