"""Monthly totals against pandas, and the three models on customers with planted regimes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from finai_assets.features.block import Block, block_ranges, read_block
from finai_assets.features.catalogue import Catalogue
from finai_assets.features.events import Events
from finai_assets.features.groups import hmm_states
from finai_assets.features.inputs import DAY_US, HOUR_US, MCC, MERCHANT
from finai_assets.features.methods.hmm import Hmm
from finai_assets.features.methods.monthly import (
    CATEGORIES,
    COUNT,
    PARTS,
    RECENCY,
    REFUNDS,
    SPEND,
    VOLUME,
    Monthly,
    join,
    monthly_totals,
)
from finai_assets.features.registry import Params
from finai_assets.features.sampling import customer_hash
from finai_assets.settings import Settings
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

MONTH = Month.parse("2014-12")
MONTHS = 12
STARTS = np.array([(MONTH - (MONTHS - 1 - k)).start_us for k in range(MONTHS)] + [MONTH.cutoff_us])
HOURS, REFUND_SHARES = np.array([2.0, 10.0, 20.0]), np.array([0.05, 0.4])  # six habits
ACTIVITY = (0.3, 6.0, 40.0)  # transactions a month by regime
BUSY = (0.02, 25.0, 60.0)  # enough for habits to show in a month, or none
CHANGES = np.full((3, 3), 0.05) + 0.85 * np.eye(3)


def make_block(owner: np.ndarray, ts: np.ndarray, amount: np.ndarray, first: np.ndarray, **given: np.ndarray) -> Block:
    """Return a block of ``len(first)`` customers with a snapshot from ``first`` on, and these events."""
    order = np.lexsort((ts, owner))
    n, size = len(first), len(owner)
    mcc = given.get("mcc", np.full(size, 5411))[order].astype(np.int32)
    merchant = given.get("merchant", np.arange(size) % 7)[order].astype(np.int64)
    start = np.searchsorted(owner[order], np.arange(n + 1)).astype(np.int64)
    events = Events(start, ts[order].astype(np.int64), amount[order].astype(np.float64), mcc, merchant)
    ids = 1 + 3 * np.arange(n, dtype=np.int64)
    return Block(
        MONTH,
        ids,
        pa.table({"customer_id": ids}),
        np.zeros((n, MONTHS, 1), np.uint8),
        np.arange(MONTHS) >= first[:, None],
        events,
        Catalogue.none(),
    )


def planted(n: int, rates: tuple[float, ...], seed: int = 0) -> tuple[Block, np.ndarray]:
    """Return customers who move between three regimes of activity, each customer with one of six habits, ``customer % 6``.

    Regimes, int [n, months], are -1 before a customer's first month.
    """
    rng = np.random.default_rng(seed)
    first = np.where(rng.random(n) < 0.7, 0, rng.integers(0, MONTHS, n))
    regimes = np.full((n, MONTHS), -1)
    now = rng.integers(0, 3, n)
    for month in range(MONTHS):
        here = month >= first
        draws = rng.random(n)
        now = np.where(here & (month > first), (draws[:, None] > CHANGES.cumsum(axis=1)[now]).sum(axis=1), now)
        regimes[here, month] = now[here]
    counts = np.where(regimes >= 0, rng.poisson(np.array(rates)[regimes]), 0)
    owner, month = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    hour = rng.normal(HOURS[owner % 6 // 2], 2.5) % 24
    day = (rng.random(len(owner)) * (np.diff(STARTS) // DAY_US)[month]).astype(np.int64)
    ts = STARTS[month] + day * DAY_US + (hour * HOUR_US).astype(np.int64)
    amount = -np.exp(rng.normal(9 + 0.5 * regimes[owner, month], 0.7))
    amount[rng.random(len(owner)) < REFUND_SHARES[owner % 2]] *= -1
    return make_block(owner, ts, amount, first, mcc=4000 + rng.integers(0, 40, len(owner))), regimes


def idle(first: np.ndarray) -> Block:
    nothing = np.empty(0, np.int64)
    return make_block(nothing, nothing, nothing, first)


def halves(block: Block) -> tuple[Block, Block]:
    odd = np.arange(len(block)) // 6 % 2 == 1  # each half has all habits
    return block.take(np.flatnonzero(~odd)), block.take(np.flatnonzero(odd))


def model_of(params: Params, name: str) -> Hmm:
    return Hmm(*(params[f"{name}_{key}"] for key in Hmm.names()))


def frame(values: np.ndarray, settings: Settings) -> pd.DataFrame:
    return pd.DataFrame(values, columns=[column.name for column in hmm_states.columns(settings)])


@pytest.fixture(scope="module")
def crowd() -> tuple[Block, np.ndarray]:
    return planted(1600, ACTIVITY)


@pytest.fixture(scope="module")
def busy() -> tuple[Block, np.ndarray]:
    return planted(1200, BUSY)


@pytest.fixture(scope="module")
def params(crowd: tuple[Block, np.ndarray], small: Settings) -> Params:
    return hmm_states.fit([crowd[0]], small)


@pytest.fixture(scope="module")
def values(crowd: tuple[Block, np.ndarray], params: Params, small: Settings) -> pd.DataFrame:
    return frame(hmm_states.transform(crowd[0], params, small), small)


def test_monthly_totals_equal_those_of_pandas(
    panel: Any, small: Settings, new_lake: Callable[[], Lake], month: Month
) -> None:
    session = LakeSession(panel.write(new_lake()))
    low, high = block_ranges(session, month, small)[1]
    block = read_block(session, month, low, high, small)
    found = monthly_totals(block)
    months = block.months
    rows = pd.concat([panel.transactions[m].to_pandas().assign(at=k) for k, m in enumerate(months)])
    ends = [pd.Timestamp(m.cutoff) for m in months]
    compared = 0
    for i, customer in enumerate(block.customer_id.tolist()):
        own = rows[rows.customer_id == customer]
        seen = [k for k, m in enumerate(months) if customer in panel.snapshots[m]["customer_id"].to_pylist()]
        first = min([*seen, *own["at"].tolist()])
        assert found.first[i] == first
        assert np.isnan(found.totals[i, :first]).all()
        for at in range(first, MONTHS):
            here, before = own[own["at"] == at], own[own["at"] <= at]
            since = before.ts.max() if len(before) else pd.Timestamp(months[first].start)
            hours = here.ts.dt.hour
            expected = np.zeros(10)
            expected[COUNT], expected[CATEGORIES] = len(here), here.mcc.nunique()
            expected[RECENCY] = (ends[at] - since) / pd.Timedelta(days=1)
            expected[VOLUME], expected[SPEND] = here.amount.abs().sum(), here.amount.clip(upper=0).abs().sum()
            expected[PARTS : PARTS + 4] = [(hours // 6 == part).sum() for part in range(4)]
            expected[REFUNDS] = ((here.amount > 0) & here.merchant_id.notna()).sum()
            np.testing.assert_allclose(found.totals[i, at], expected, rtol=1e-12)
            compared += 1
    assert compared > 500


def test_categories_that_no_code_table_can_index_are_counted_too() -> None:
    days = np.arange(6) * DAY_US + STARTS[-2]
    codes = np.array([20_000, -3, 20_000, 30_000, 5, -3])
    block = make_block(np.zeros(6, np.int64), days, np.full(6, -1.0), np.zeros(1, np.int64), mcc=codes)
    assert monthly_totals(block).totals[0, -1, CATEGORIES] == 4


def test_what_the_models_see_follows_from_the_totals_by_hand() -> None:
    totals = np.full((1, 4, 10), np.nan)
    #                 n  mcc days volume spend night mor aft eve refunds
    totals[0, 1] = [2, 1, 3, 90, 60, 0, 2, 0, 0, 1]
    totals[0, 2] = [0, 0, 31, 0, 0, 0, 0, 0, 0, 0]
    totals[0, 3] = [6, 4, 0, 120, 120, 1, 0, 3, 2, 0]
    monthly = Monthly(np.array([1]), totals)
    shares = np.array([0.1, 0.4, 0.3, 0.2, 0.05])
    journey = hmm_states.observations("journey", monthly, shares, 4.0)
    np.testing.assert_allclose(journey[0, 1:], np.log1p([[1, 3, 2], [0, 31, 0], [4, 0, 6]]))
    lifecycle = hmm_states.observations("lifecycle", monthly, shares, 4.0)
    np.testing.assert_allclose(lifecycle[0, 1:, :2], np.log1p([[90, 45], [0, np.nan], [120, 20]]))
    np.testing.assert_allclose(lifecycle[0, 1:, 2], [np.nan, 30 / 30, 60 / 180])
    behavior = hmm_states.observations("behavior", monthly, shares, 4.0)
    first = [(0 + 1.2) / 6, (0 + 0.8) / 6, (0 + 0.4) / 6, (1 + 0.2) / 6]
    last = [(3 + 1.2) / 10, (2 + 0.8) / 10, (1 + 0.4) / 10, (0 + 0.2) / 10]
    np.testing.assert_allclose(behavior[0, 1:], [first, [np.nan] * 4, last])
    for seen in (journey, lifecycle, behavior):
        assert np.isnan(seen[0, 0]).all()


def test_a_look_back_cut_short_by_the_beginning_of_the_data_keeps_its_last_months() -> None:
    short = Monthly(np.array([1]), np.arange(20.0).reshape(1, 2, 10))
    long = Monthly(np.array([0]), np.ones((1, 5, 10)))
    joined = join([short, long])
    assert joined.first.tolist() == [4, 0]
    assert np.isnan(joined.totals[0, :3]).all()
    np.testing.assert_array_equal(joined.totals[0, 3:], short.totals[0])
    np.testing.assert_array_equal(joined.totals[1], long.totals[0])


def test_planted_regimes_are_recovered_by_the_journey_and_the_life_cycle(
    crowd: tuple[Block, np.ndarray], values: pd.DataFrame
) -> None:
    regime = crowd[1][:, -1]
    for name, least in (("journey", 0.9), ("lifecycle", 0.85)):  # sums of few amounts are noisier than their number
        table = pd.crosstab(values[f"hmm_{name}_state"], regime)
        assert table.max(axis=1).sum() / len(regime) > least, name
        assert table.idxmax(axis=1).is_monotonic_increasing, name


def test_planted_habits_are_recovered_by_the_behaviour_though_the_last_month_is_idle(
    busy: tuple[Block, np.ndarray], small: Settings
) -> None:
    block = busy[0]
    state = hmm_states.transform(block, hmm_states.fit([block], small), small)[:, 22]
    totals = monthly_totals(block).totals[:, :, COUNT]
    habit = np.arange(len(block)) % 6
    for chosen in (totals[:, -1] > 10, (totals[:, -1] == 0) & (np.nansum(totals, axis=1) > 60)):
        assert chosen.sum() > 100
        table = pd.crosstab(state[chosen], habit[chosen])
        assert table.shape == (6, 6)
        assert table.max(axis=1).sum() / chosen.sum() > 0.9


def test_the_order_of_months_matters(
    crowd: tuple[Block, np.ndarray], params: Params, small: Settings, values: pd.DataFrame
) -> None:
    block = crowd[0]
    events = block.events
    owner = np.repeat(np.arange(len(block)), np.diff(events.start))
    month = np.searchsorted(STARTS, events.ts, side="right") - 1
    mirrored = STARTS[MONTHS - 1 - month] + (events.ts - STARTS[month]) % (28 * DAY_US)
    whole = block.observed[:, 0]
    first = np.where(whole, 0, block.observed.argmax(axis=1))
    other = make_block(owner, mirrored, events.amount, first, mcc=events.mcc, merchant=events.merchant)
    found = frame(hmm_states.transform(other, params, small), small)
    for name in ("journey", "lifecycle"):
        columns = [c for c in found if c.startswith(f"hmm_{name}_p")]
        change = np.abs(found.loc[whole, columns] - values.loc[whole, columns]).max(axis=1)
        assert (change > 0.5).mean() > 0.2


@pytest.mark.parametrize(("name", "people"), [("journey", "crowd"), ("lifecycle", "crowd"), ("behavior", "busy")])
def test_states_keep_their_identity_between_fits_on_two_halves_of_the_customers(
    name: str, people: str, small: Settings, request: pytest.FixtureRequest
) -> None:
    block = request.getfixturevalue(people)[0]
    one, two = (hmm_states.fit([half], small) for half in halves(block))
    means = [fitted[f"{name}_mean"] * fitted[f"{name}_scale"] + fitted[f"{name}_centre"] for fitted in (one, two)]
    for mean in means:
        statistic = {"journey": mean[:, 2], "lifecycle": mean[:, 0]}.get(name)
        if statistic is None:
            lateness = mean @ [1, 2, 3, 0]
            statistic = lateness / lateness.std() + mean[:, 3] / mean[:, 3].std()
        assert (np.diff(statistic) > 0).all()
    spread = np.sqrt(np.maximum(one[f"{name}_variance"], two[f"{name}_variance"])) * one[f"{name}_scale"]
    apart = np.abs((means[0] - means[1]) / spread)
    if name == "lifecycle":
        apart[0, 1] = 0  # the state without volume has next to no month with a mean size
    assert apart.max() < 0.5
    states = [frame(hmm_states.transform(block, fitted, small), small)[f"hmm_{name}_state"] for fitted in (one, two)]
    active = np.diff(block.events.start) > 0  # what is nearly a tie for those who never transact is no identity
    assert (states[0] == states[1])[active].mean() > 0.9


def test_every_row_is_a_distribution_with_the_dwell_and_entropy_of_its_state(
    params: Params, values: pd.DataFrame
) -> None:
    for name in hmm_states.MODELS:
        posterior = values[[c for c in values if c.startswith(f"hmm_{name}_p")]].to_numpy()
        np.testing.assert_allclose(posterior.sum(axis=1), 1, atol=1e-6)
        assert (posterior >= 0).all()
        state = values[f"hmm_{name}_state"].to_numpy().astype(int)
        np.testing.assert_array_equal(state, posterior.argmax(axis=1))
        rows = params[f"{name}_transition"][state]
        stay = rows[np.arange(len(rows)), state]
        np.testing.assert_allclose(values[f"hmm_{name}_dwell"], 1 / (1 - stay), rtol=1e-5)
        np.testing.assert_allclose(values[f"hmm_{name}_entropy"], -(rows * np.log(rows)).sum(axis=1), rtol=1e-5)


def test_a_customer_without_a_transaction_has_a_posterior_for_any_length_of_the_sequence(
    params: Params, small: Settings
) -> None:
    first = np.arange(MONTHS)
    found = frame(hmm_states.transform(idle(first), params, small), small)
    assert np.isfinite(found.to_numpy()).all()
    assert (found["hmm_lifecycle_state"] == 0).all()  # no volume
    assert (found["hmm_journey_state"] == 0).all()
    model = model_of(params, "behavior")
    columns = [c for c in found if c.startswith("hmm_behavior_p")]
    for row, begin in zip(found[columns].to_numpy(), first, strict=True):
        expected = model.start @ np.linalg.matrix_power(model.transition, MONTHS - 1 - int(begin))
        np.testing.assert_allclose(row, expected, atol=1e-6)


def test_a_transaction_before_the_first_snapshot_begins_the_sequence() -> None:
    ts = np.array([STARTS[4] + 5 * DAY_US])
    block = make_block(np.zeros(1, np.int64), ts, np.array([-10.0]), np.array([9, 9]))
    assert monthly_totals(block).first.tolist() == [4, 9]


def test_the_fit_takes_the_lowest_hashes_however_the_blocks_are_cut(
    crowd: tuple[Block, np.ndarray], small: Settings
) -> None:
    block = crowd[0].take(np.arange(400))
    section = small.feature_groups.hmm_states.model_copy(update={"fit_rows": 150})
    groups = small.feature_groups.model_copy(update={"hmm_states": section})
    fewer = small.model_copy(update={"feature_groups": groups})
    whole = hmm_states.fit([block], fewer)
    edges = [0, 1, 37, 38, 290, 400]
    cut = [block.take(np.arange(a, b)) for a, b in pairwise(edges)]
    again = hmm_states.fit(cut, fewer)
    assert {key: array.tobytes() for key, array in whole.items()} == {k: a.tobytes() for k, a in again.items()}
    hashes = customer_hash(block.customer_id, seed=small.seed, salt="hmm_states", month=MONTH)
    alone = hmm_states.fit([block.take(np.sort(np.argsort(hashes)[:150]))], small)
    assert alone["journey_mean"].tobytes() == whole["journey_mean"].tobytes()
    assert alone["journey_mean"].tobytes() != hmm_states.fit([block], small)["journey_mean"].tobytes()


def test_data_without_a_time_of_day_or_a_merchant_can_be_fitted(
    crowd: tuple[Block, np.ndarray], small: Settings
) -> None:
    block = crowd[0]
    events = replace(
        block.events,
        ts=block.events.ts - block.events.ts % DAY_US,
        merchant=np.full(len(block.events), -1),
    )
    dated = replace(block, events=events)
    fitted = hmm_states.fit([dated], small)
    assert (fitted["behavior_scale"] == 1).all()
    assert all(np.isfinite(array).all() for array in fitted.values())
    found = frame(hmm_states.transform(dated, fitted, small), small)
    assert np.isfinite(found.to_numpy()).all()
    assert found["hmm_journey_state"].nunique() == 5


def test_nobody_with_a_transaction_in_train_leaves_defined_values(small: Settings) -> None:
    block = idle(np.arange(MONTHS).repeat(3))
    fitted = hmm_states.fit([block], small)
    assert np.isfinite(hmm_states.transform(block, fitted, small)).all()


def test_a_model_reads_no_raw_column_that_it_does_not_declare(
    crowd: tuple[Block, np.ndarray], small: Settings, params: Params, values: pd.DataFrame
) -> None:
    block = crowd[0]
    changed = {
        MCC: replace(block.events, mcc=block.events.mcc // 7),
        MERCHANT: replace(block.events, merchant=np.full(len(block.events), -1)),
    }
    for raw, events in changed.items():
        other = replace(block, events=events)
        fitted = hmm_states.fit([other], small)
        found = frame(hmm_states.transform(other, fitted, small), small)
        for column in hmm_states.columns(small):
            same = found[column.name].equals(values[column.name])
            assert same != (raw in column.inputs), (raw, column.name)
