"""The clouds that the two persistence groups make of a customer, and what they keep of the diagrams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gudhi
import numpy as np
import pandas as pd
import pytest

from finai_assets.features.block import Block, read_block
from finai_assets.features.events import Events
from finai_assets.features.groups import tda_global, tda_local
from finai_assets.features.methods.persistence import describe
from finai_assets.features.methods.rips import workspace
from finai_assets.features.registry import build_registry
from finai_assets.settings import Settings, load_settings
from finai_resources.errors import ConfigError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

DAY_US = 86_400_000_000
CHECKED = 120
NAMES = ("count", "total", "mean", "std", "max", "entropy")
GROUPS = {"tda_global": tda_global, "tda_local": tda_local}
each_group = pytest.mark.parametrize("name", list(GROUPS))


@pytest.fixture(scope="module")
def blocks(panel: Any, small: Settings, month: Month, new_lake: Callable[[], Lake]) -> dict[str, Block]:
    """Return a train month and a later one, whole."""
    session = LakeSession(panel.write(new_lake()))
    bounds = -(2**62), 2**62
    train = small.dataset.splits.train.first
    return {"train": read_block(session, train, *bounds, small), "later": read_block(session, month, *bounds, small)}


@pytest.fixture(scope="module")
def fitted(blocks: dict[str, Block], small: Settings) -> dict[str, dict[str, np.ndarray]]:
    return {name: module.fit([blocks["train"]], small) for name, module in GROUPS.items()}


@pytest.fixture(scope="module")
def results(
    blocks: dict[str, Block], fitted: dict[str, dict[str, np.ndarray]], small: Settings
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return values and diagrams of the later month."""
    found = {}
    for name, module in GROUPS.items():
        values, tensors = module.transform_with_tensors(blocks["later"], fitted[name], small)
        found[name] = values, tensors["diagrams"]
    return found


@pytest.fixture(scope="module")
def expected_bars(
    blocks: dict[str, Block], fitted: dict[str, dict[str, np.ndarray]], small: Settings
) -> dict[str, list[list[np.ndarray]]]:
    """Return the first customers' bars by gudhi, of points made in another way than the kernels do."""
    block = blocks["later"]
    events = frame_of(block)
    weekly, local = [], []
    for i in range(CHECKED):
        own = events[events.owner == i]
        weekly.append(weeks_by_pandas(own) * fitted["tda_global"]["weights"])
        local.append(landmarks_by_numpy(days_by_pandas(own) * fitted["tda_local"]["weight"][0]))
    return {"tda_global": [bars_by_gudhi(c) for c in weekly], "tda_local": [bars_by_gudhi(c) for c in local]}


def frame_of(block: Block) -> pd.DataFrame:
    start, ts, amount, mcc, _ = block.events.arrays
    before = block.month.cutoff_us - ts  # more than 0
    return pd.DataFrame(
        {
            "owner": np.repeat(np.arange(len(block)), np.diff(start)),
            "week": 52 - -(-before // (7 * DAY_US)),
            "day": 90 - -(-before // DAY_US),
            "outflow": np.maximum(-amount, 0),
            "mcc": mcc,
            "night": pd.to_datetime(ts, unit="us").hour < 6,
        }
    )


def weeks_by_pandas(events: pd.DataFrame) -> np.ndarray:
    weeks = events[events.week >= 0].groupby("week")
    table = pd.DataFrame(
        {
            "spend": np.log1p(weeks.outflow.sum()),
            "count": np.log1p(weeks.size()),
            "mcc": np.log1p(weeks.mcc.nunique()),
            "night": weeks.night.mean(),
        }
    )
    return table.reindex(range(52), fill_value=0.0).to_numpy(float)


def days_by_pandas(events: pd.DataFrame) -> np.ndarray:
    daily = events[events.day >= 0].groupby("day").outflow.sum()
    return np.log1p(daily.reindex(range(90), fill_value=0.0).to_numpy(float))


def landmarks_by_numpy(series: np.ndarray, limit: int = 64) -> np.ndarray:
    points = np.stack([series[k : k + 76] for k in (0, 7, 14)], axis=1)
    chosen = [0]
    while len(chosen) < limit:
        distance = np.linalg.norm(points[:, None] - points[chosen], axis=2).min(axis=1)
        if distance.max() == 0:
            break
        chosen.append(int(distance.argmax()))
    return points[chosen]


def bars_by_gudhi(points: np.ndarray) -> list[np.ndarray]:
    lengths = np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=-1)).astype(np.float32).astype(np.float64)
    tree = gudhi.RipsComplex(distance_matrix=lengths).create_simplex_tree(max_dimension=2)
    tree.compute_persistence(homology_coeff_field=2)
    found = [np.reshape(tree.persistence_intervals_in_dimension(d), (-1, 2)) for d in (0, 1)]
    return [bars[np.isfinite(bars[:, 1]) & (bars[:, 0] < bars[:, 1])] for bars in found]


def sides(bars: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.ptp(bars, axis=1), np.sort(bars[:, 0]), np.sort(bars[:, 1])


def statistics_of(bars: np.ndarray, dimension: int) -> list[float]:
    if not len(bars):
        return [0.0] * 8
    length = np.sort(np.ptp(bars, axis=1))[::-1]
    share = length / length.sum()
    entropy = -(share * np.log(share)).sum()
    shared = [len(bars), length.sum(), length.mean(), length.std(), length[0], entropy]
    if dimension == 0:
        return [*shared, np.median(length), length[0] - (length[1] if len(length) > 1 else 0)]
    return [*shared, bars[:, 0].mean(), bars[:, 1].mean()]


@each_group
def test_statistics_are_those_of_the_diagrams_of_gudhi(
    results: dict[str, tuple[np.ndarray, np.ndarray]], expected_bars: dict[str, list[list[np.ndarray]]], name: str
) -> None:
    values, _ = results[name]
    loops = 0
    for row, bars in zip(values[:CHECKED], expected_bars[name], strict=True):
        expected = np.concatenate([statistics_of(bars[d], d) for d in (0, 1)])
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-6)
        loops += len(bars[1])
    assert loops > CHECKED


@each_group
def test_the_stored_diagrams_are_the_longest_bars_of_gudhi(
    results: dict[str, tuple[np.ndarray, np.ndarray]], expected_bars: dict[str, list[list[np.ndarray]]], name: str
) -> None:
    _, diagrams = results[name]
    assert diagrams.shape[1:] == (2, 32, 2)
    cut = 0
    for stored, both in zip(diagrams[:CHECKED], expected_bars[name], strict=True):
        for dimension, bars in enumerate(both):
            order = np.lexsort((bars[:, 0], -np.ptp(bars, axis=1)))
            expected = np.zeros((32, 2))
            expected[: len(bars)] = bars[order[:32]]
            cut += len(bars) > 32
            # Bars of equal length up to rounding may change places: each coordinate is compared in its own order.
            for ours, theirs in zip(sides(stored[dimension]), sides(expected), strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert cut > 0


@each_group
def test_diagrams_agree_with_the_statistics(results: dict[str, tuple[np.ndarray, np.ndarray]], name: str) -> None:
    values, diagrams = results[name]
    whole = 0
    for row, stored in zip(values, diagrams, strict=True):
        for dimension in (0, 1):
            bars = stored[dimension]
            length = bars[:, 1].astype(np.float64) - bars[:, 0]
            count = int(row[8 * dimension])
            kept = bars[: min(count, 32)]
            assert (np.diff(length) <= 0).all()
            assert (length[: len(kept)] > 0).all()
            assert not bars[len(kept) :].any()
            assert row[8 * dimension + 4] == np.float32(length[0])
            if count <= 32:
                np.testing.assert_allclose(
                    row[8 * dimension : 8 * dimension + 8], statistics_of(kept.astype(float), dimension), rtol=1e-6
                )
                whole += 1
    assert whole > len(values)


@pytest.mark.parametrize("seed", range(5))
def test_bars_of_equal_length_stand_by_their_birth_whatever_their_order(seed: int) -> None:
    work = workspace()
    loops = work[-1]
    loops[:6] = np.random.default_rng(seed).permutation([[3, 4], [1, 2], [2, 3], [0, 5], [0, 1], [4, 6]])
    values, diagram = np.empty(16, np.float32), np.zeros((2, 7, 2), np.float32)
    describe(work, (0, 6), values, diagram)
    assert diagram[1].tolist() == [[0, 5], [4, 6], [0, 1], [1, 2], [2, 3], [3, 4], [0, 0]]
    assert not diagram[0].any()


def test_weekly_vectors_are_those_of_pandas(blocks: dict[str, Block], small: Settings) -> None:
    block = blocks["later"]
    found = tda_global.weekly_vectors(block, small)
    events = frame_of(block)
    assert (events.week < 0).any()  # the look-back is a day longer than 52 weeks
    for i in range(len(block)):
        np.testing.assert_allclose(found[i], weeks_by_pandas(events[events.owner == i]), rtol=1e-6)


def test_daily_spend_is_that_of_pandas(blocks: dict[str, Block], small: Settings) -> None:
    block = blocks["later"]
    found = tda_local.daily_spend(block, small)
    events = frame_of(block)
    for i in range(len(block)):
        np.testing.assert_allclose(found[i], days_by_pandas(events[events.owner == i]), rtol=1e-6)


def test_coordinates_have_a_standard_deviation_of_one_in_train(
    blocks: dict[str, Block], fitted: dict[str, dict[str, np.ndarray]], small: Settings
) -> None:
    weeks = tda_global.weekly_vectors(blocks["train"], small).reshape(-1, 4)
    np.testing.assert_allclose((weeks * fitted["tda_global"]["weights"]).std(axis=0), 1, rtol=1e-5)
    spend = tda_local.daily_spend(blocks["train"], small)
    np.testing.assert_allclose((spend * fitted["tda_local"]["weight"]).std(), 1, rtol=1e-5)


def test_the_night_share_of_data_without_a_time_of_day_plays_no_part(blocks: dict[str, Block], small: Settings) -> None:
    def dated_at(hour: int) -> tuple[np.ndarray, np.ndarray]:
        block = blocks["train"]
        ts = block.events.ts // DAY_US * DAY_US + hour * 3_600_000_000
        block = replace(block, events=replace(block.events, ts=ts))
        params = tda_global.fit([block], small)
        return params["weights"], tda_global.transform(block, params, small)

    weights, at_midnight = dated_at(0)
    assert weights[3] == 0
    assert (weights[:3] > 0).all()
    np.testing.assert_array_equal(at_midnight, dated_at(12)[1])


def test_a_fit_without_any_transaction_weighs_nothing(blocks: dict[str, Block], small: Settings) -> None:
    idle = replace(blocks["train"], events=Events.none(len(blocks["train"])))
    for module in GROUPS.values():
        params = module.fit([idle], small)
        assert not any(array.any() for array in params.values())
        assert not module.transform(blocks["train"], params, small).any()


@each_group
def test_a_customer_without_transactions_has_zeros(
    blocks: dict[str, Block], results: dict[str, tuple[np.ndarray, np.ndarray]], name: str
) -> None:
    idle = np.diff(blocks["later"].events.start) == 0
    values, diagrams = results[name]
    assert 0 < idle.sum() < len(idle)
    assert not values[idle].any()
    assert not diagrams[idle].any()
    assert values[~idle, 0].any()


def spending(block: Block, daily: np.ndarray) -> Block:
    """Return a block whose customers spend so much on each of the last days: [customers, days]."""
    customers, days = daily.shape
    noon = block.month.cutoff_us - DAY_US * np.arange(days, 0, -1) + DAY_US // 2
    count = customers * days
    events = Events(
        days * np.arange(customers + 1),
        np.tile(noon, customers),
        -daily.reshape(-1),
        np.full(count, 5411, np.int32),
        np.full(count, -1, np.int64),
    )
    return replace(block.take(np.arange(customers)), events=events)


def test_a_spending_rhythm_is_a_loop_that_shuffling_destroys(blocks: dict[str, Block], small: Settings) -> None:
    rng = np.random.default_rng(3)
    wave = 3 + 2 * np.sin(2 * np.pi * (np.arange(90) / 28 + rng.random((40, 1))))
    noisy = wave + rng.normal(0, 0.15, wave.shape)
    params = {"weight": np.ones(1)}
    rhythm = tda_local.transform(spending(blocks["later"], np.expm1(noisy)), params, small)
    shuffled = tda_local.transform(spending(blocks["later"], np.expm1(rng.permuted(noisy, axis=1))), params, small)
    longest = build_names(small).index("tda_local_h1_max")
    assert rhythm[:, longest].min() > shuffled[:, longest].max()
    assert np.median(rhythm[:, longest]) > 3 * np.median(shuffled[:, longest])


def build_names(settings: Settings) -> list[str]:
    return [column.name for column in tda_local.columns(settings)]


def test_landmarks_are_chosen_farthest_first_with_ties_to_the_lower_index() -> None:
    points = np.array([[0.0, 1, 5, -5, 5, 2, 0]])
    landmarks = np.full((1, 4), np.nan)
    assert tda_local.farthest_points(points, landmarks) == 4
    assert landmarks[0].tolist() == [0, 5, -5, 2]
    few = np.full((1, 7), np.nan)
    assert tda_local.farthest_points(points, few) == 5  # as many as there are distinct points
    assert few[0, :5].tolist() == [0, 5, -5, 2, 1]


@each_group
def test_columns_name_their_statistics_in_order(small: Settings, name: str) -> None:
    group = build_registry(small).group(name)
    own = {0: ("median", "gap"), 1: ("mean_birth", "mean_death")}
    expected = [f"{name}_h{d}_{statistic}" for d in (0, 1) for statistic in NAMES + own[d]]
    assert [column.name for column in group.declared] == expected
    assert [tensor.shape for tensor in group.tensors] == [(2, 32, 2)]
    assert {column.window_days for column in group.declared} == {364 if name == "tda_global" else 90}


@each_group
def test_an_unknown_engine_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"(?s){name}.engine: found 'ripser'.*'kernel' or 'gudhi'"):
        load_settings("synthetic", "smoke", overrides={"feature_groups": {name: {"engine": "ripser"}}})


def test_a_window_too_short_for_its_landmarks_is_refused() -> None:
    with pytest.raises(ConfigError, match="77 days make 63 points, fewer than the 64 landmarks"):
        load_settings("synthetic", "smoke", overrides={"feature_groups": {"tda_local": {"days": 77}}})
