"""Each kernel against a plain reference in pandas or DuckDB, over the same raw rows."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from finai_resources.months import Month

DAY = pd.Timedelta(days=1)


@pytest.fixture(scope="module")
def cutoff(month: Month) -> pd.Timestamp:
    return pd.Timestamp(month.cutoff)


@pytest.fixture(scope="module")
def events(world: Any, month: Month) -> pd.DataFrame:
    """Return the events of the look-back of the month's customers, in the order of features."""
    tables = [world.panel.transactions[month - back].to_pandas() for back in range(11, -1, -1)]
    frame = pd.concat(tables, ignore_index=True)
    ids = world.panel.snapshots[month]["customer_id"].to_pylist()
    frame = frame[frame.customer_id.isin(ids)].assign(merchant=lambda f: f.merchant_id.fillna(-1))
    return frame.sort_values(["customer_id", "ts", "amount", "mcc", "merchant"], ignore_index=True)


@pytest.fixture(scope="module")
def features(world: Any, month: Month) -> dict[str, pd.DataFrame]:
    return {
        group.name: world.lake.read(group.asset, month.key).to_pandas().set_index("customer_id")
        for group in world.registry.available
    }


@pytest.fixture(scope="module")
def snapshots(world: Any, month: Month) -> dict[Month, pd.DataFrame]:
    return {
        month - back: world.panel.snapshots[month - back].to_pandas().set_index("customer_id") for back in range(12)
    }


def assert_close(found: pd.Series, expected: pd.Series, *, rtol: float = 1e-5) -> None:
    aligned = expected.reindex(found.index)
    np.testing.assert_allclose(found.to_numpy(), aligned.to_numpy(dtype=float), rtol=rtol, atol=1e-4)


@pytest.mark.parametrize("days", [7, 30, 90, 180])
def test_rolling_statistics_equal_those_of_pandas(
    events: pd.DataFrame, features: dict[str, pd.DataFrame], cutoff: pd.Timestamp, days: int
) -> None:
    found = features["txn_rolling_stats"]
    recent = events[events.ts >= cutoff - days * DAY].groupby("customer_id")
    for name, expected in {
        "sum": recent.amount.sum().reindex(found.index, fill_value=0.0),
        "mean": recent.amount.mean(),
        "std": recent.amount.std(ddof=0),
        "count": recent.size().reindex(found.index, fill_value=0),
        "active_days": recent.ts.agg(lambda ts: ts.dt.normalize().nunique()).reindex(found.index, fill_value=0),
    }.items():
        assert_close(found[f"roll_{name}_{days}d"], expected)


def test_monthly_means_count_from_the_first_snapshot_or_transaction(
    events: pd.DataFrame, snapshots: dict[Month, pd.DataFrame], features: dict[str, pd.DataFrame], month: Month
) -> None:
    found = features["txn_behavior"]
    back = (month.ordinal - events.ts.dt.year * 12 - events.ts.dt.month + 1).astype(int)
    by_month = events.assign(back=back, spend=events.amount.clip(upper=0).abs(), size=events.amount.abs())
    oldest = by_month.groupby("customer_id").back.max().reindex(found.index, fill_value=0)
    for past, frame in snapshots.items():
        there = found.index.isin(frame.index)
        oldest[there] = np.maximum(oldest[there], month.ordinal - past.ordinal)
    exposed = oldest + 1
    grouped = by_month.groupby(["customer_id", "back"])
    zero = pd.Series(0.0, index=found.index)
    for name, totals in {
        "txn_count_monthly_mean": grouped.size().groupby("customer_id").sum(),
        "txn_spend_monthly_mean": grouped.spend.sum().groupby("customer_id").sum(),
        "txn_mcc_monthly_mean": grouped.mcc.nunique().groupby("customer_id").sum(),
        "txn_merchants_monthly_mean": grouped.merchant_id.nunique().groupby("customer_id").sum(),
    }.items():
        assert_close(found[name], zero.add(totals, fill_value=0.0) / exposed)
    assert_close(found["txn_amount_monthly_mean"], grouped["size"].mean().groupby("customer_id").mean())
    spend = grouped.spend.sum().unstack(fill_value=0.0)
    for customer, months in exposed.items():
        series = (
            spend.loc[customer].reindex(range(months), fill_value=0.0) if customer in spend.index else zero.iloc[:2]
        )
        cv = series.std(ddof=0) / series.mean() if months > 1 and series.mean() > 0 else np.nan
        np.testing.assert_allclose(found.at[customer, "txn_spend_cv"], cv, rtol=1e-5)


def test_shares_recency_and_activity_equal_those_of_duckdb(
    events: pd.DataFrame, features: dict[str, pd.DataFrame], cutoff: pd.Timestamp
) -> None:
    found = features["txn_behavior"]
    expected = (
        duckdb.sql(
            f"""
            select customer_id,
                avg((hour(ts) between 6 and 11)::int) as txn_share_morning,
                avg((hour(ts) between 12 and 17)::int) as txn_share_afternoon,
                avg((hour(ts) between 18 and 23)::int) as txn_share_evening,
                avg((hour(ts) < 6)::int) as txn_share_night,
                epoch(timestamp '{cutoff}' - max(ts)) / 86400 as txn_recency_days,
                count(distinct ts::date) as txn_active_days,
                sum(case when ts >= timestamp '{cutoff}' - interval 90 day then greatest(-amount, 0) else 0 end)
                    as txn_spend_90d,
                avg((amount > 0 and merchant_id is not null)::int) as txn_refund_share
            from events group by customer_id
            """
        )
        .df()
        .set_index("customer_id")
    )
    idle = found.index.difference(expected.index)
    assert len(idle) > 0
    for name in expected.columns:
        missing = 0.0 if name in ("txn_active_days", "txn_spend_90d") else np.nan
        assert_close(found[name], expected[name].reindex(found.index, fill_value=missing))


def test_the_lag_tensor_holds_the_newest_transactions_first(
    world: Any, events: pd.DataFrame, features: dict[str, pd.DataFrame], cutoff: pd.Timestamp
) -> None:
    found = features["txn_lag_tensor"]
    tensor = found.to_numpy().reshape(len(found), 4, 200)
    codes = world.states["txn_lag_tensor"].params["mcc_codes"].tolist()
    full = 0
    for row, customer in enumerate(found.index):
        newest = events[events.customer_id == customer].iloc[::-1].head(200)
        count = len(newest)
        full += count == 200
        assert np.isnan(tensor[row, :, count:]).all()
        amount = newest.amount.to_numpy()
        np.testing.assert_allclose(tensor[row, 0, :count], np.sign(amount) * np.log1p(np.abs(amount)), rtol=1e-6)
        assert tensor[row, 1, :count].tolist() == [codes.index(m) + 1 if m in codes else 0 for m in newest.mcc]
        np.testing.assert_allclose(tensor[row, 2, :count], (cutoff - newest.ts) / DAY, rtol=1e-6)
        assert tensor[row, 3, :count].tolist() == newest.ts.dt.hour.tolist()
    assert 0 < full < len(found)


def test_seen_categories_equal_a_set_of_the_last_90_days(
    world: Any, events: pd.DataFrame, features: dict[str, pd.DataFrame], cutoff: pd.Timestamp
) -> None:
    found = features["mcc_top30_multihot"]
    codes = world.states["mcc_top30_multihot"].params["mcc_codes"].tolist()
    recent = events[events.ts >= cutoff - 90 * DAY].groupby("customer_id").mcc.agg(set)
    for customer, row in found.iterrows():
        seen = recent.get(customer, set())
        assert row.to_list() == [float(code in seen) for code in codes] + [float(bool(seen - set(codes)))]


def test_the_vocabulary_ranks_by_train_frequency_and_breaks_ties_by_code(world: Any) -> None:
    top = world.states["mcc_top30_multihot"].params["mcc_codes"]
    every = world.states["txn_lag_tensor"].params["mcc_codes"]
    assert len(top) == 30
    assert top.tolist() == every[:30].tolist()
    counts = pd.concat([t.to_pandas() for t in world.panel.transactions.values()]).mcc.value_counts()
    assert top[0] == counts.index[0]


def test_holdings_and_their_history_equal_sets_of_products(
    world: Any, snapshots: dict[Month, pd.DataFrame], features: dict[str, pd.DataFrame], month: Month
) -> None:
    months = sorted(snapshots)
    products = range(len(world.settings.products))
    for customer in features["derived_temporal"].index:
        there = [customer in snapshots[m].index for m in months]
        held = [
            set(snapshots[m].at[customer, "held"]) if known else set() for m, known in zip(months, there, strict=True)
        ]
        acquired = [held[k] - held[k - 1] if there[k - 1] else set() for k in range(1, 12)]
        closed = [held[k - 1] - held[k] for k in range(1, 12)]
        assert features["derived_temporal"].loc[customer].to_list() == [
            sum(map(len, acquired)), sum(map(len, closed)), sum(there), len(set().union(*held)),
        ]  # fmt: skip
        assert features["product_holdings"].loc[customer].to_list() == [float(p in held[-1]) for p in products]
        recent = set().union(*acquired[-3:])
        assert features["nba_history_multihot"].loc[customer].to_list() == [float(p in recent) for p in products]


def test_demographics_are_imputed_and_coded_from_the_train_state(
    world: Any, snapshots: dict[Month, pd.DataFrame], features: dict[str, pd.DataFrame], month: Month
) -> None:
    found, raw = features["demographics"], snapshots[month].reindex(features["demographics"].index)
    params = world.states["demographics"].params
    bins = [0, 20, 30, 40, 50, 60, 70]
    for customer, row in raw.iterrows():
        got = found.loc[customer]
        group = 0 if pd.isna(row.age) else sum(row.age >= edge for edge in bins)
        assert got.age == pytest.approx(params["age_median"][0] if pd.isna(row.age) else row.age)
        assert got.income == pytest.approx(params["income_median"][group] if pd.isna(row.income) else row.income)
        tenure = params["tenure_median"][group] if pd.isna(row.tenure_months) else row.tenure_months
        assert got.tenure_months == pytest.approx(tenure)
        assert got.num_products == len(row.held)
        assert np.isnan(got.is_active) if row.is_active is None else got.is_active == row.is_active
        for name in ("gender", "segment", "country", "channel"):
            values = params[f"{name}_values"].tolist()
            assert got[f"{name}_code"] == (values.index(row[name]) + 1 if row[name] in values else 0)
        ranked = params["age_group_values"].tolist()
        assert got.age_group_code == (ranked.index(group) + 1 if group in ranked else 0)
        incomes = params["income_group_values"].tolist()
        income_group = 0 if pd.isna(row.income) else 1 + int((row.income >= params["income_edges"]).sum())
        assert got.income_group_code == (incomes.index(income_group) + 1 if income_group in incomes else 0)


def test_a_category_unseen_in_train_is_coded_zero(world: Any, new_lake: Any, month: Month) -> None:
    snapshots = dict(world.panel.snapshots)
    table = snapshots[month]
    position = table.schema.get_field_index("country")
    snapshots[month] = table.set_column(position, "country", pa.array(["Atlantis"] * table.num_rows))
    lake = type(world.panel)(snapshots, world.panel.transactions).write(new_lake())
    results = world.compute(lake)
    assert set(lake.read("features/demographics", month.key)["country_code"].to_pylist()) == {0.0}
    drift = next(s.psi for s in results["demographics"].statistics if s.name == "country_code")
    assert drift > 0.25


def test_an_event_past_the_cutoff_makes_no_kernel_write_behind_its_arrays() -> None:
    from finai_assets.features.groups.txn_behavior import _behavior

    # In plain Python an index out of range raises; compiled, it would write into foreign memory.
    bounds = np.array([0, 10, 20], np.int64) * 86_400_000_000
    ts = np.array([5, 15, 25], np.int64) * 86_400_000_000  # the last one lies past the last bound
    start, amount = np.array([0, 3], np.int64), np.array([-1.0, -2.0, -4.0])
    mcc, merchant = np.array([10, 11, 12], np.int32), np.array([1, 2, 3], np.int64)
    out = np.empty((1, 14), np.float32, order="F")
    _behavior.py_func((start, ts, amount, mcc, merchant), bounds, np.array([0]), 0, 8, out)
    assert out[0, 0] == 1.5  # it counts in the last month
    assert np.isfinite(out).all()
