"""Streaming statistics equal numpy's over all rows at once, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from finai_assets.features.registry import Column
from finai_assets.features.statistics import (
    build_reference,
    conclude,
    effective_rank,
    enforce_missing_policy,
    measure,
    stability_index,
)
from finai_resources.errors import GateError

matrices = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 60), st.integers(1, 4)),
    elements=st.one_of(st.just(np.nan), st.integers(-3, 3), st.floats(-1e6, 1e6, width=32)),
)


@settings(max_examples=60, deadline=None)
@given(values=matrices, cut=st.integers(0, 60))
def test_statistics_of_two_blocks_equal_those_of_numpy(values: np.ndarray, cut: int) -> None:
    reference = build_reference(np.roll(values, 1, axis=1), 10)
    total = measure(values[:cut], reference) + measure(values[cut:], reference)
    for c, found in enumerate(conclude(total, reference, [str(c) for c in range(values.shape[1])])):
        known = values[:, c][~np.isnan(values[:, c])].astype(np.float64)
        assert found.rows == len(values)
        assert found.null_rate == pytest.approx(1 - len(known) / len(values))
        if not len(known):
            assert np.isnan([found.mean, found.std, found.minimum, found.maximum]).all()
            continue
        assert found.mean == pytest.approx(known.mean(), rel=1e-6, abs=1e-6)
        assert found.std == pytest.approx(known.std(), rel=1e-5, abs=1e-2)
        assert (found.minimum, found.maximum) == (known.min(), known.max())


@settings(max_examples=60, deadline=None)
@given(values=matrices)
def test_bins_hold_every_row_once_and_train_has_no_drift_against_itself(values: np.ndarray) -> None:
    reference = build_reference(values, 10)
    measured = measure(values, reference)
    assert (measured.bins().sum(axis=1) == len(values)).all()
    assert (measured.bins() >= 0).all()
    np.testing.assert_array_equal(measured.bins(), reference.counts)
    assert [s.psi for s in conclude(measured, reference, ["x"] * values.shape[1])] == [0.0] * values.shape[1]


def test_bins_are_the_deciles_of_train() -> None:
    values = np.arange(1000, dtype=np.float32)[:, None]
    counts = build_reference(values, 10).counts[0]
    assert counts.tolist() == [100] * 10 + [0]


def test_few_values_get_a_bin_each() -> None:
    values = np.array([0, 0, 0, 1, 2, np.nan], np.float32)[:, None]
    assert build_reference(values, 10).counts[0].tolist() == [3, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1]


def test_a_shift_of_one_deviation_is_drift_and_so_are_missing_values() -> None:
    rng = np.random.default_rng(0)
    train = rng.normal(size=(5000, 1)).astype(np.float32)
    reference = build_reference(train, 10)

    def psi(values: np.ndarray) -> float:
        return conclude(measure(values, reference), reference, ["x"])[0].psi

    assert psi(rng.normal(size=(5000, 1)).astype(np.float32)) < 0.02
    assert psi(train + np.float32(1)) > 0.25
    assert psi(np.where(rng.random(train.shape) < 0.3, np.float32(np.nan), train)) > 0.25


def test_the_stability_index_equals_its_formula() -> None:
    counts, reference = np.array([[30, 70]]), np.array([[50, 50]])
    expected = (0.3 - 0.5) * np.log(0.3 / 0.5) + (0.7 - 0.5) * np.log(0.7 / 0.5)
    assert stability_index(counts, reference)[0] == pytest.approx(expected)


def test_a_missing_value_against_the_declaration_is_refused_with_its_column() -> None:
    def column(name: str, missing: str) -> Column:
        return Column(name, "g", "continuous", "1", "d", "설명", ("raw/snapshots.age",), None, "none", missing)

    values = np.array([[1, np.nan], [np.nan, np.nan]], np.float32)
    measured = measure(values, build_reference(values, 10))
    enforce_missing_policy([column("a", "nan"), column("b", "nan")], measured, where="features/g")
    with pytest.raises(GateError, match=r"a \(1 of 2 rows\)"):
        enforce_missing_policy([column("a", "never missing"), column("b", "nan")], measured, where="features/g")


def test_the_effective_rank_counts_directions_and_not_columns() -> None:
    rng = np.random.default_rng(0)
    free = rng.normal(size=(9000, 3)).astype(np.float32)
    same = np.repeat(free[:, :1], 3, axis=1) * np.array([1, -5, 100], np.float32)
    constant = np.zeros((9000, 3), np.float32)
    ranks = {
        name: effective_rank(values, build_reference(values, 10))
        for name, values in {
            "free": free, "same": same, "constant": constant, "half": np.hstack([free, same]),
        }.items()
    }  # fmt: skip
    assert ranks["free"] == pytest.approx(3.0, abs=0.1)
    assert ranks["same"] == 1.0
    assert ranks["constant"] == 0.0
    assert 2.0 < ranks["half"] < 3.0
