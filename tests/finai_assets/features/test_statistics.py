"""Streaming statistics equal numpy's over all rows at once, whatever the blocks."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from finai_assets.features.compute import statistics_json
from finai_assets.features.registry import Column
from finai_assets.features.statistics import (
    ColumnStatistics,
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


def plain_index(train: np.ndarray, month: np.ndarray, edges: np.ndarray) -> float:
    """Return the index of one column as its formula reads, value by value."""

    def shares(values: np.ndarray) -> list[float]:
        counts = [0] * (len(edges) + 2)
        for value in values.tolist():
            counts[-1 if value != value else sum(value > edge for edge in edges)] += 1  # noqa: PLR0124 - NaN
        return [max(count / len(values), 1e-4) for count in counts]

    return sum((p - q) * math.log(p / q) for p, q in zip(shares(month), shares(train), strict=True))


# Few distinct values make quantiles coincide, and leave bins that one of the samples has no row in.
samples = st.lists(
    st.one_of(st.just(np.nan), st.integers(-4, 4), st.floats(-100, 100, width=32)), min_size=1, max_size=60
).map(lambda values: np.array(values, np.float32))


@settings(max_examples=200, deadline=None)
@given(train=samples, month=samples, bins=st.integers(2, 10), seed=st.integers(0, 9))
def test_the_index_is_that_of_a_plain_implementation_and_does_not_depend_on_the_order_of_rows(
    train: np.ndarray, month: np.ndarray, bins: int, seed: int
) -> None:
    reference = build_reference(train[:, None], bins)
    edges = reference.edges[0][np.isfinite(reference.edges[0])]
    assert len(edges) < bins
    assert (np.diff(edges) > 0).all()
    (found,) = conclude(measure(month[:, None], reference), reference, ["x"])
    assert found.psi == pytest.approx(plain_index(train, month, edges), rel=1e-9, abs=1e-12)
    assert found.psi >= 0
    rng = np.random.default_rng(seed)
    (shuffled,) = conclude(measure(rng.permutation(month)[:, None], reference), reference, ["x"])
    assert shuffled.psi == found.psi
    again = build_reference(rng.permutation(train)[:, None], bins)
    np.testing.assert_array_equal(again.counts, reference.counts)
    np.testing.assert_array_equal(again.edges, reference.edges)


@settings(max_examples=60, deadline=None)
@given(counts=st.lists(st.integers(0, 50), min_size=1, max_size=8), factor=st.integers(1, 5))
def test_equal_histograms_have_no_drift_whatever_their_sizes(counts: list[int], factor: int) -> None:
    reference = np.array([counts])
    assert stability_index(reference * factor, reference)[0] == pytest.approx(0, abs=1e-12)
    assert stability_index(np.roll(reference, 1, axis=1), reference)[0] >= 0


def test_coinciding_quantiles_are_one_edge_and_every_bin_holds_train_rows() -> None:
    rng = np.random.default_rng(0)
    train = np.where(rng.random(5000) < 0.6, 0, rng.lognormal(size=5000)).astype(np.float32)[:, None]
    reference = build_reference(train, 10)
    used = int(np.isfinite(reference.edges[0]).sum())
    assert reference.edges[0][0] == 0
    assert used == 4  # 0, and the quantiles of .7, .8 and .9
    assert (reference.counts[0, : used + 1] > 0).all()
    assert reference.counts[0].sum() == 5000
    more_zeros = np.where(rng.random((5000, 1)) < 0.5, np.float32(0), train)
    assert conclude(measure(more_zeros, reference), reference, ["x"])[0].psi > 0.10


def test_a_bin_that_nobody_is_in_any_more_and_values_that_begin_to_be_missing_give_a_finite_index() -> None:
    train = np.repeat(np.arange(4, dtype=np.float32), 250)[:, None]
    reference = build_reference(train, 10)
    gone = conclude(measure(train[train[:, 0] < 3], reference), reference, ["x"])[0].psi
    absent = conclude(measure(np.full_like(train, np.nan), reference), reference, ["x"])[0].psi
    assert 0.25 < gone < absent < np.inf


def test_a_reference_is_told_from_another_by_its_digest() -> None:
    values = np.arange(100, dtype=np.float32)[:, None]
    reference = build_reference(values, 10)
    assert reference.digest() == build_reference(values[::-1], 10).digest()
    others = [build_reference(values, 5), build_reference(values[:-1], 10), build_reference(values + 1, 10)]
    assert len({reference.digest(), *(other.digest() for other in others)}) == 4


def test_statistics_come_back_from_what_was_stored_of_them() -> None:
    values = np.array([[1, np.nan], [2, np.nan]], np.float32)
    reference = build_reference(values, 10)
    concluded = conclude(measure(values, reference), reference, ["known", "unknown"])
    stored = json.loads(statistics_json(concluded))
    known, unknown = (ColumnStatistics.from_dict(stored[entry.name]) for entry in concluded)
    assert known == concluded[0]
    assert unknown.rows == 2
    assert unknown.null_rate == 1.0
    assert np.isnan([unknown.mean, unknown.std, unknown.minimum, unknown.maximum]).all()


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
