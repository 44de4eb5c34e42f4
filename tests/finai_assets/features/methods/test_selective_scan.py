"""The compiled encoder, its gradient and the model that is trained are one recurrence, the one that the paper states."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from finai_assets.features.events import Events
from finai_assets.features.inputs import DAY_US, HOUR_US
from finai_assets.features.mcc_vocabulary import hash_table
from finai_assets.features.methods.mamba_pretraining import (
    Batch,
    SequenceEncoder,
    Size,
    make_batch,
    read_histories,
)
from finai_assets.features.methods.selective_scan import encode, exp32, fold, silu32, softplus32
from finai_assets.features.methods.selective_scan_autograd import selective_scan

CODES = np.array([5411, 5812, 4111, 5999, 6011], np.int32)
SIZE = Size(model=12, state=4, encoding=20, vocabulary=len(CODES))
LENGTH = 30
CUTOFF = 17_000 * DAY_US
SCALE = np.array([[9.0, 0.7], [2.5, 0.8]], np.float32)


@numba.njit
def each(function: Any, values: Any) -> Any:
    out = np.empty_like(values)
    for k in range(len(values)):
        out[k] = function(values[k])
    return out


def model(seed: int = 3) -> SequenceEncoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SequenceEncoder(SIZE)


def parameters(of: SequenceEncoder) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy() for name, value in of.named_parameters()} | {"scale": SCALE}


def events(*counts: int, seed: int = 0) -> Events:
    """Draw transactions of some customers, the last of them within days of the cutoff; a sixth MCC is not in the codes."""
    rng = np.random.default_rng(seed)
    total = sum(counts)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    gaps = (rng.gamma(0.5, 40.0, total) * HOUR_US).astype(np.int64)
    ts = np.concatenate([CUTOFF - np.cumsum(gaps[a:b])[::-1] for a, b in pairwise(start)])
    amount = np.where(rng.random(total) < 0.1, 1, -1) * np.exp(rng.normal(9, 1, total))
    mcc = rng.choice(np.append(CODES, 7777), total).astype(np.int32)
    return Events(start, ts.astype(np.int64), amount, mcc, np.zeros(total, np.int64))


def encoded(of: Events, params: dict[str, np.ndarray], cutoff: int = CUTOFF, length: int = LENGTH) -> np.ndarray:
    out = np.empty((len(of.start) - 1, SIZE.encoding), np.float32, order="F")
    encode(of.arrays, *hash_table(CODES), cutoff, length, fold(params), out)
    return out


def reference(of: Events, params: dict[str, np.ndarray], customer: int) -> np.ndarray:
    """Return one customer's encoding step by step, in double precision and without folding anything."""
    p = {name: array.astype(np.float64) for name, array in params.items()}
    a, d = -np.exp(p["log_a"]), p["d"]
    channels, states = a.shape
    rank = len(p["select"]) - 2 * states
    begin, end = of.start[customer], of.start[customer + 1]
    begin = max(begin, end - LENGTH)
    steps = []
    for e in range(begin, end):
        code = CODES.tolist().index(of.mcc[e]) + 1 if of.mcc[e] in CODES else 0
        gap = (np.log1p((of.ts[e] - of.ts[e - 1]) / HOUR_US) - p["scale"][1, 0]) * p["scale"][1, 1] if e > begin else 0
        size = (np.log1p(abs(of.amount[e])) - p["scale"][0, 0]) * p["scale"][0, 1]
        day = np.datetime64(int(of.ts[e]), "us").astype(object)
        u = p["token_mcc"][code] + p["token_hour"][day.hour] + p["token_weekday"][day.weekday()]
        steps.append(u + np.array([size, of.amount[e] > 0, gap]) @ p["token_numbers"])
    since = (np.log1p((CUTOFF - of.ts[end - 1]) / HOUR_US) - p["scale"][1, 0]) * p["scale"][1, 1] if end > begin else 0
    steps.append(p["token_cutoff"] + since * p["token_numbers"][2])

    def silu(v: np.ndarray) -> np.ndarray:
        return v / (1 + np.exp(-v))

    entered = [p["in_proj"][:channels] @ u for u in steps]
    h = np.zeros((channels, states))
    for t in range(len(steps)):
        mixed = p["convolution_bias"].copy()
        for back in range(min(4, t + 1)):
            mixed += p["convolution"][:, 3 - back] * entered[t - back]
        x = silu(mixed)
        chosen = p["select"] @ x
        b, c = chosen[rank : rank + states], chosen[rank + states :]
        delta = np.log1p(np.exp(p["step"] @ chosen[:rank] + p["step_bias"]))
        h = np.exp(delta[:, None] * a) * h + delta[:, None] * b * x[:, None]
        y = h @ c + d * x
    out = p["out_proj"] @ (y * silu(p["in_proj"][channels:] @ steps[-1])) + p["skip_proj"] @ steps[-1]
    return np.asarray(out / np.sqrt(np.mean(out**2) + 1e-6) * p["norm"])


def scanned(arrays: list[np.ndarray], start: np.ndarray) -> np.ndarray:
    x, delta, a, b, c = map(torch.from_numpy, arrays)
    return np.asarray(selective_scan(x, delta, a, b, c, start).numpy())


def step_by_step(arrays: list[np.ndarray], start: np.ndarray) -> np.ndarray:
    x, delta, a, b, c = (array.astype(np.float64) for array in arrays)
    y = np.zeros_like(x)
    for low, high in pairwise(start):
        h = np.zeros_like(a)
        for t in range(low, high):
            h = np.exp(delta[t] * a) * h + b[t][:, None] * (delta[t] * x[t])
            y[t] = c[t] @ h
    return y


def scan_inputs(dtype: Any, start: np.ndarray, channels: int, states: int) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    steps = int(start[-1])
    drawn = [
        rng.normal(size=(steps, channels)),
        rng.gamma(1.0, 0.3, (steps, channels)),
        -rng.uniform(0.2, 4.0, (states, channels)),
        rng.normal(size=(steps, states)),
        rng.normal(size=(steps, states)),
    ]
    return [array.astype(dtype) for array in drawn]


@pytest.mark.parametrize(
    ("function", "exact", "low", "high"),
    [
        (exp32, np.exp, -86.0, 87.0),
        (softplus32, lambda v: np.logaddexp(0, v), -80.0, 80.0),
        (silu32, lambda v: v / (1 + np.exp(-v)), -60.0, 60.0),
    ],
)
def test_elementary_functions_are_as_exact_as_single_precision_allows(
    function: Any, exact: Any, low: float, high: float
) -> None:
    values = np.concatenate([np.linspace(low, high, 400_001), np.linspace(-1, 1, 100_001)]).astype(np.float32)
    expected = exact(values.astype(np.float64))
    np.testing.assert_allclose(each(function, values), expected, rtol=4e-7, atol=1e-35)


def test_exponentials_beyond_the_range_of_single_precision_stay_finite() -> None:
    found = each(exp32, np.array([-1e30, -200.0, 200.0, 1e30], np.float32))
    assert (found[:2] < 1e-37).all()
    assert np.isfinite(found).all()


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_the_scan_equals_the_recurrence_taken_step_by_step(dtype: Any, tolerance: float) -> None:
    start = np.array([0, 40, 41, 241])
    arrays = scan_inputs(dtype, start, channels=6, states=4)
    found = scanned(arrays, start)
    expected = step_by_step(arrays, start)
    assert found.dtype == dtype
    assert np.abs(found - expected).max() < tolerance * np.abs(expected).max()


def test_the_gradient_of_the_scan_is_exact() -> None:
    start = np.array([0, 5, 6, 13])
    inputs = [torch.from_numpy(a).requires_grad_() for a in scan_inputs(np.float64, start, channels=3, states=2)]
    assert torch.autograd.gradcheck(lambda x, delta, a, b, c: selective_scan(x, delta, a, b, c, start), inputs)


def test_the_kernel_equals_the_whole_encoder_taken_step_by_step() -> None:
    params, drawn = parameters(model()), events(0, 1, 2, 3, 5, 29, 30, 31, 80)
    found = encoded(drawn, params)
    expected = np.array([reference(drawn, params, i) for i in range(len(found))])
    assert expected.std(axis=0).min() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_kernel_and_the_model_that_is_trained_agree() -> None:
    trained, drawn = model(), events(1, 2, 4, 29, 30, 31, 90)
    # The model sees sequences that a transaction follows: so each customer gets one more, at the cutoff.
    start = drawn.start + np.arange(len(drawn.start))
    at = drawn.start[1:]
    more = Events(
        start, np.insert(drawn.ts, at, CUTOFF), np.insert(drawn.amount, at, -1.0), np.insert(drawn.mcc, at, 5411),
        np.insert(drawn.merchant, at, 0),
    )  # fmt: skip
    customers = np.arange(len(at))
    batch = make_batch(
        read_histories(more.arrays, CODES, SCALE), customers, np.full(len(at), CUTOFF), LENGTH,
        np.zeros(len(at), bool), SIZE.vocabulary,
    )  # fmt: skip
    with torch.no_grad():
        expected = trained(batch)[batch.at_cutoff].numpy()
    np.testing.assert_allclose(encoded(drawn, parameters(trained)), expected, atol=1e-4)


def one(of: Events, **changed: Any) -> Events:
    arrays = {name: getattr(of, name).copy() for name in ("ts", "amount", "mcc")}
    for name, (position, value) in changed.items():
        arrays[name][position] = value
    return replace(of, **arrays)


def test_the_order_of_transactions_matters() -> None:
    params, drawn = parameters(model()), events(20)
    swapped = one(drawn, mcc=([4, 11], drawn.mcc[[11, 4]]), amount=([4, 11], drawn.amount[[11, 4]]))
    reversed_ = replace(drawn, mcc=drawn.mcc[::-1].copy(), amount=drawn.amount[::-1].copy())
    assert drawn.mcc[4] != drawn.mcc[11]
    for other in (swapped, reversed_):
        assert np.abs(encoded(other, params) - encoded(drawn, params)).max() > 1e-3


def test_every_property_of_a_transaction_matters() -> None:
    params, drawn = parameters(model()), events(20)
    later = drawn.ts.copy()
    later[13:] += 7 * DAY_US  # the same hours and weekdays: only one gap grows
    drawn = one(drawn, mcc=(12, CODES[0]))
    before = encoded(drawn, params)
    changes = {
        "mcc": one(drawn, mcc=(12, CODES[1])),
        "unseen mcc": one(drawn, mcc=(12, 1)),
        "amount": one(drawn, amount=(12, drawn.amount[12] * 20)),
        "sign": one(drawn, amount=(12, -drawn.amount[12])),
        "gap": replace(drawn, ts=later),
    }
    for what, changed in changes.items():
        cutoff = CUTOFF + 7 * DAY_US if what == "gap" else CUTOFF
        assert np.abs(encoded(changed, params, cutoff) - before).max() > 1e-4, what


def test_the_hour_and_the_weekday_matter_apart_from_gaps() -> None:
    params, drawn = parameters(model()), events(20)
    before = encoded(drawn, params)
    for shift in (HOUR_US, DAY_US):
        moved = encoded(replace(drawn, ts=drawn.ts + shift), params, CUTOFF + shift)
        assert np.abs(moved - before).max() > 1e-4
    week = encoded(replace(drawn, ts=drawn.ts + 7 * DAY_US), params, CUTOFF + 7 * DAY_US)
    np.testing.assert_array_equal(week, before)


def test_the_time_since_the_last_transaction_matters() -> None:
    params, drawn = parameters(model()), events(20)
    assert np.abs(encoded(drawn, params, CUTOFF + 30 * DAY_US) - encoded(drawn, params)).max() > 1e-3


def test_customers_without_transactions_share_the_encoding_of_the_empty_sequence() -> None:
    params = parameters(model())
    found = encoded(events(0, 3, 0), params)
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[0], encoded(events(0), params, CUTOFF + 90 * DAY_US)[0])
    assert np.isfinite(found).all()
    assert np.abs(found[0] - found[1]).max() > 1e-2


def test_what_is_older_than_the_last_transactions_changes_nothing() -> None:
    params, drawn = parameters(model()), events(LENGTH + 10)
    before = encoded(drawn, params)
    oldest_read = 10
    older = one(drawn, mcc=(oldest_read - 1, 1), amount=(oldest_read - 1, 1e6), ts=(oldest_read - 1, 0))
    np.testing.assert_array_equal(encoded(older, params), before)
    read = one(drawn, amount=(oldest_read, 1e6))
    assert np.abs(encoded(read, params) - before).max() > 0


def batch_of(drawn: Events) -> Batch:
    customers = np.arange(len(drawn.start) - 1)
    last = drawn.ts[drawn.start[1:] - 1]
    return make_batch(
        read_histories(drawn.arrays, CODES, SCALE), customers, last, LENGTH, np.zeros(len(customers), bool),
        SIZE.vocabulary,
    )  # fmt: skip


def test_a_step_changes_the_encodings_from_it_on_and_none_before() -> None:
    trained, drawn = model(), events(25, 25)
    changed = one(drawn, mcc=(8, 1), amount=(8, 1e7))
    with torch.no_grad():
        difference = (trained(batch_of(changed)) - trained(batch_of(drawn))).abs().max(dim=1).values.numpy()
    assert (difference[:8] == 0).all()
    assert (difference[8:16] > 1e-4).all()
    assert (difference[25:] == 0).all()  # the next sequence


def test_delta_b_and_c_depend_on_the_input_and_with_them_how_long_a_step_is_kept() -> None:
    trained = model()
    x = torch.randn(2, 24, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        delta, b, c = trained.selection(x)
        kept = torch.exp(-delta[:, :, None] * torch.exp(trained.log_a))
        assert ((kept[0] - kept[1]).abs() > 1e-4).float().mean() > 0.9
        assert (b[0] - b[1]).abs().min() > 1e-3
        assert (c[0] - c[1]).abs().min() > 1e-3
        trained.select.zero_()
        delta, b, c = trained.selection(x)
        torch.testing.assert_close(delta[0], delta[1])


def test_what_follows_decides_how_much_of_a_transaction_is_left() -> None:
    """In a fixed linear recurrence the trace of the first step would be the same whatever came after it."""
    start = np.array([0, 3])
    x, delta, a, b, c = scan_inputs(np.float64, start, channels=2, states=2)

    def trace(later: float) -> np.ndarray:
        steps = delta.copy()
        steps[1] = later
        other = x.copy()
        other[0] += 1
        found = [scanned([v, steps, a, b, c], start) for v in (x, other)]
        return np.asarray(found[1][2] - found[0][2])

    assert np.abs(trace(0.01)).min() > 2 * np.abs(trace(3.0)).max()


@given(counts=st.lists(st.integers(0, 45), min_size=1, max_size=6), seed=st.integers(0, 1000))
def test_a_customer_is_encoded_alone(counts: list[int], seed: int) -> None:
    params, drawn = parameters(model()), events(*counts, seed=seed)
    whole = encoded(drawn, params)
    assert np.isfinite(whole).all()
    for i in range(len(counts)):
        np.testing.assert_array_equal(encoded(drawn.take(np.array([i])), params)[0], whole[i])


def test_the_encoding_has_unit_mean_square_before_its_gains() -> None:
    params = parameters(model())
    found = encoded(events(0, 3, 40), params)
    np.testing.assert_allclose(np.sqrt((found**2).mean(axis=1)), 1.0, rtol=1e-3)


def test_a_batch_holds_what_was_known_and_what_came_next() -> None:
    drawn = events(6, 50, 9)
    histories = read_histories(drawn.arrays, CODES, SCALE)
    customers = np.array([2, 1, 0])
    begins = drawn.start[customers]
    following = begins + np.array([4, 44, 2])
    instants = drawn.ts[following] - np.array([0, 1, 1])
    batch = make_batch(histories, customers, instants, LENGTH, np.array([False, False, True]), SIZE.vocabulary)
    lengths = [4 + 1, LENGTH + 1, 0 + 1]
    assert np.diff(batch.start).tolist() == lengths
    assert np.flatnonzero(batch.at_cutoff.numpy()).tolist() == [4, 35, 36]

    def scaled(microseconds: int) -> float:
        return float((math.log1p(microseconds / HOUR_US) - SCALE[1, 0]) * SCALE[1, 1])

    row = 0
    for position, next_one in enumerate(following):
        count = lengths[position] - 1
        for e in [*range(next_one - count, next_one), -1]:
            after = e + 1 if e >= 0 else next_one
            first = e == next_one - count or (e < 0 and count == 0)
            if e >= 0:
                assert batch.mcc[row] == histories.mcc[e]
                gap = 0.0 if first else scaled(drawn.ts[e] - drawn.ts[e - 1])
                waits = scaled(drawn.ts[after] - drawn.ts[e])
            else:
                assert batch.mcc[row] == SIZE.vocabulary + 1
                gap = 0.0 if first else scaled(instants[position] - drawn.ts[next_one - 1])
                waits = scaled(drawn.ts[next_one] - instants[position])
            assert batch.numbers[row, 2].item() == pytest.approx(gap, abs=1e-5)
            assert batch.next_mcc[row] == histories.mcc[after]
            assert batch.next_numbers[row].tolist() == pytest.approx(
                [histories.size[after], histories.credit[after], waits], abs=1e-5
            )
            row += 1
    assert row == len(batch.mcc)
