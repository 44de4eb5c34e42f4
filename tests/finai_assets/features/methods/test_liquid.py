"""The liquid reservoir against its formula in plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finai_assets.features.methods.liquid import _falling, amount_sums, draw_reservoir, padded, run_reservoir

UNITS = 18
DAY = 86_400_000_000
SCALE = np.array([-7.6, 5.8])  # of signed log amounts one in ten of which is a credit
Weights = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return draw_reservoir(UNITS, 20260101)


def events(start: np.ndarray, ts: np.ndarray, amount: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return what ``Events.arrays`` gives."""
    return start, ts, amount, np.zeros(len(ts), np.int32), np.zeros(len(ts), np.int64)


def run(
    weights: Weights, customers: list[tuple[np.ndarray, np.ndarray]], cutoff: int, transactions: int = 200
) -> np.ndarray:
    """Return the states of customers given by (ts in microseconds, amounts)."""
    start = np.cumsum([0] + [len(ts) for ts, _ in customers])
    ts = np.concatenate([ts for ts, _ in customers]).astype(np.int64)
    amount = np.concatenate([amount for _, amount in customers]).astype(float)
    out = np.full((len(customers), UNITS), np.nan, np.float32, order="F")
    parts = (padded(weights["recurrent"]), padded(weights["drive"]), padded(weights["bias"]))
    run_reservoir(events(start, ts, amount), cutoff, transactions, SCALE, parts, out)
    return out


def heads(weights: Weights, state: np.ndarray, amount: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return f, g and h as their definition says."""
    value = (np.sign(amount) * np.log1p(abs(amount)) - SCALE[0]) / SCALE[1]
    recurrent, drive, bias = (weights[name].astype(float) for name in ("recurrent", "drive", "bias"))
    f, g, h = (state @ recurrent + drive * value + bias).reshape(3, UNITS)
    return f, np.tanh(g), np.tanh(h)


def reference(weights: Weights, ts: np.ndarray, amount: np.ndarray, cutoff: int) -> np.ndarray:
    state = np.zeros(UNITS)
    for gap, value in zip(np.diff([*ts, cutoff]) / DAY, amount, strict=True):
        f, g, h = heads(weights, state, value)
        open_ = np.exp(-np.logaddexp(0, f * gap))
        state = open_ * g + (1 - open_) * h
    return state


def customer(rng: np.random.Generator, count: int, days: float = 365.0) -> tuple[np.ndarray, np.ndarray]:
    ts = np.sort(rng.uniform(0, days * DAY, count)).astype(np.int64)
    return ts, -np.exp(rng.normal(9.5, 1, count)) * np.where(rng.random(count) < 0.1, -1, 1)


@pytest.fixture(scope="module")
def population() -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(4)
    return [customer(rng, count) for count in rng.poisson(rng.gamma(1.5, 160, 400))]


def test_states_equal_a_plain_recurrence(weights: Weights, population: list[tuple[np.ndarray, np.ndarray]]) -> None:
    cutoff = 366 * DAY
    found = run(weights, population, cutoff)
    expected = [reference(weights, ts[-200:], amount[-200:], cutoff) for ts, amount in population]
    np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0)


@settings(deadline=None)  # the first example waits for the compiler
@given(
    st.lists(st.tuples(st.floats(0, 30), st.floats(-1e7, 1e7)), min_size=1, max_size=12),
    st.floats(0, 400),
)
def test_states_equal_the_recurrence_and_stay_within_one_for_any_events(
    history: list[tuple[float, float]], last: float
) -> None:
    weights = draw_reservoir(UNITS, 1)
    ts = np.cumsum([round(gap * DAY) for gap, _ in history])
    amount = np.array([value for _, value in history])
    cutoff = int(ts[-1]) + round(last * DAY)
    found = run(weights, [(ts, amount)], cutoff)[0]
    assert np.abs(found).max() <= 1
    # A gate's argument of up to 400 days times its rate is a float32, whose last bits 1e-6 does not hold.
    np.testing.assert_allclose(found, reference(weights, ts, amount, cutoff), atol=1e-5)


def test_the_falling_sigmoid_is_exact_to_one_in_ten_million() -> None:
    z = np.concatenate([np.linspace(-90, 90, 100_001), np.linspace(-1, 1, 100_001)]).astype(np.float32)
    found, bits = z.copy(), np.empty(len(z), np.int32)
    _falling(found, bits, bits.view(np.float32))
    np.testing.assert_allclose(found, 1 / (1 + np.exp(z.astype(float))), atol=1.2e-7, rtol=0)


def test_at_once_the_state_is_the_mean_of_the_two_heads_and_in_the_long_run_it_is_one_of_them(weights: Weights) -> None:
    amount = -12_000.0
    f, g, h = heads(weights, np.zeros(UNITS), amount)
    assert (f > 0).any()
    assert (f < 0).any()
    event = (np.array([0]), np.array([amount]))
    np.testing.assert_allclose(run(weights, [event], 0)[0], (g + h) / 2, atol=1e-6)
    np.testing.assert_allclose(run(weights, [event], 10**6 * DAY)[0], np.where(f > 0, h, g), atol=1e-6)


def test_the_same_amounts_with_other_gaps_give_another_state(weights: Weights) -> None:
    amounts = np.array([-10_000.0, -20_000.0, 5_000.0, -700.0])
    regular, bunched = np.array([0, 10, 20, 30]) * DAY, np.array([0, 1, 2, 30]) * DAY
    states = run(weights, [(regular, amounts), (bunched, amounts)], 31 * DAY)
    assert np.abs(states[0] - states[1]).max() > 0.01
    later = run(weights, [(regular, amounts)], 60 * DAY)[0]
    assert np.abs(later - states[0]).max() > 0.1  # the gap to the cutoff counts too


def test_the_order_of_amounts_matters(weights: Weights) -> None:
    ts = np.array([0, 3, 8, 9]) * DAY
    amounts = np.array([-100.0, -50_000.0, -900.0, 40_000.0])
    states = run(weights, [(ts, amounts), (ts, amounts[[1, 0, 2, 3]])], 12 * DAY)
    assert np.abs(states[0] - states[1]).max() > 0.01


def test_the_scale_of_time_and_the_sign_of_an_amount_matter(weights: Weights) -> None:
    ts = np.array([0, 3, 8, 9]) * DAY
    amounts = np.array([-100.0, -50_000.0, -900.0, -40_000.0])
    states = run(weights, [(ts, amounts), (ts, -amounts), (ts + 2 * DAY, amounts)], 12 * DAY)
    assert np.abs(states[0] - states[1]).max() > 0.1
    assert np.abs(states[0] - states[2]).max() > 0.01


def test_without_a_transaction_the_state_is_zero(weights: Weights) -> None:
    none = (np.empty(0), np.empty(0))
    states = run(weights, [none, (np.array([0]), np.array([-5.0])), none], DAY)
    assert (states[[0, 2]] == 0).all()
    assert (states[1] != 0).all()


def test_only_the_last_transactions_count(weights: Weights) -> None:
    ts, amount = customer(np.random.default_rng(1), 30)
    changed = np.where(np.arange(30) < 20, 1e6, amount)
    cut = run(weights, [(ts, amount), (ts, changed)], 366 * DAY, transactions=10)
    np.testing.assert_array_equal(cut[0], cut[1])
    whole = run(weights, [(ts, amount), (ts, changed)], 366 * DAY, transactions=30)
    assert np.abs(whole[0] - whole[1]).max() > 1e-3


def test_the_past_beyond_the_last_200_transactions_has_faded(
    weights: Weights, population: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    long = [c for c in population if len(c[0]) > 250]
    assert len(long) > 20
    cut, whole = (run(weights, long, 366 * DAY, transactions=count) for count in (200, 10**6))
    assert np.abs(cut - whole).max() < 5e-3


@pytest.mark.parametrize("seed", [20260101, 1, 2])
def test_units_neither_saturate_nor_die_and_span_several_dimensions(
    population: list[tuple[np.ndarray, np.ndarray]], seed: int
) -> None:
    states = run(draw_reservoir(UNITS, seed), population, 366 * DAY)
    deviation = states.std(axis=0)
    assert deviation.min() > 0.05
    assert (np.abs(states) > 0.98).mean() < 0.02
    share = np.linalg.eigvalsh(np.corrcoef(states.T)).clip(1e-12)
    share /= share.sum()
    assert np.exp(-(share * np.log(share)).sum()) > 6


def test_the_state_remembers_amounts_and_gaps_of_many_transactions(
    weights: Weights, population: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    """Most of the variance of the mean over 30 transactions, and of the time that they span, is in the state."""
    long = [c for c in population if len(c[0]) >= 60]
    states = run(weights, long, 366 * DAY)
    inputs = np.column_stack([np.ones(len(long)), states])
    for target in (
        np.array([np.mean(np.sign(a[-30:]) * np.log1p(np.abs(a[-30:]))) for _, a in long]),
        np.array([np.log(366 * DAY - ts[-30]) for ts, _ in long]),
    ):
        rest = target - inputs @ np.linalg.lstsq(inputs, target, rcond=None)[0]
        assert 1 - rest.var() / target.var() > 0.6


def test_weights_follow_from_the_seed_alone_and_lie_within_the_spectral_radius() -> None:
    first, again, other = (draw_reservoir(UNITS, seed) for seed in (5, 5, 6))
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
    assert all(first[name].tobytes() != other[name].tobytes() for name in first)
    for head in (1, 2):
        block = first["recurrent"][:, head * UNITS : (head + 1) * UNITS]
        assert 0.8 < np.abs(np.linalg.eigvals(block)).max() <= 0.981


@pytest.mark.parametrize("units", [1, 2, 7, 18])
def test_any_number_of_units_can_be_drawn(units: int) -> None:
    found = draw_reservoir(units, 3)
    assert found["recurrent"].shape == (units, 3 * units)
    assert padded(found["recurrent"]).shape == (units, -(-3 * units // 16) * 16)


def test_amount_sums_are_those_of_the_last_signed_logarithms() -> None:
    amount = np.array([-10.0, 20, -30, 5, 0])
    out = np.empty((2, 3))
    amount_sums(events(np.array([0, 4, 5]), np.zeros(5, np.int64), amount), 3, out)
    logs = np.sign(amount) * np.log1p(np.abs(amount))
    np.testing.assert_allclose(out, [[3, logs[1:4].sum(), (logs[1:4] ** 2).sum()], [1, 0, 0]])
