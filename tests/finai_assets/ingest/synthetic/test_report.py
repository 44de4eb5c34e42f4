"""The panel is realistic, in figures: each lies in the range that the design asks for."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from finai_assets.ingest.synthetic import render
from finai_assets.ingest.synthetic.report import _auc

ACQUISITION = [f"will_acquire_{name}" for name in ("deposits", "investments", "accounts", "lending", "payments")]


@pytest.mark.parametrize("task", ACQUISITION)
def test_acquisitions_are_rare_but_not_absent_in_any_month(panel, task: str) -> None:
    figures = panel.report.figures["tasks"][task]
    assert 0.015 <= figures["mean"] <= 0.08
    assert all(0.008 <= rate <= 0.15 for rate in figures["by_month"].values())


@pytest.mark.parametrize(
    ("task", "low"), [(name, 0.80) for name in ACQUISITION] + [("churn_signal", 0.75), ("top_mcc_shift", 0.7)]
)
def test_the_best_possible_model_would_do_well_and_not_perfectly(panel, task: str, low: float) -> None:
    assert low <= panel.report.figures["tasks"][task]["auc_ceiling"] <= 0.99


def test_labels_have_the_rates_of_the_design(panel) -> None:
    tasks = panel.report.figures["tasks"]
    assert 0.01 <= tasks["churn_signal"]["mean"] <= 0.10
    assert 0.20 <= tasks["top_mcc_shift"]["mean"] <= 0.60
    assert 0.75 <= tasks["nba_primary"]["shares"][0] <= 0.90
    assert min(tasks["nba_primary"]["shares"]) >= 0.005
    assert min(tasks["next_mcc"]["shares"]) > 0
    assert tasks["next_mcc"]["log_loss_ceiling"] < tasks["next_mcc"]["log_loss_of_shares"] - 0.5
    assert 0.9 <= tasks["product_stability"]["mean"] <= 0.99
    assert tasks["product_stability"]["r2_ceiling"] > 0.1
    assert tasks["cross_sell_count"]["r2_ceiling"] > 0.12


def test_segments_and_customers_move_slowly(panel) -> None:
    state, size = panel.report.figures["state"], panel.report.figures["size"]
    assert 0.06 <= state["segment_moves_a_year"] <= 0.10
    assert all(share > 0.01 for share in state["segments"].values())
    assert 0.05 <= size["joined_a_year"] <= 0.12
    assert 0.005 <= size["left_a_year"] <= 0.06
    assert 0.01 <= state["dormant"] <= 0.06
    assert 0.03 <= state["leaving"] <= 0.12


def test_payments_look_like_payments(panel) -> None:
    payments = panel.report.figures["payments"]
    assert 20 <= payments["a_month_mean"] <= 32
    assert payments["a_month_quantiles"]["0.1"] <= 15
    assert payments["a_month_quantiles"]["0.9"] >= 40
    assert 0.003 <= payments["months_without"] <= 0.04
    assert 0.005 <= payments["refund_share"] <= 0.03
    hours = np.array(payments["hours"])
    assert hours.sum() == pytest.approx(1)
    assert hours[:6].sum() < 0.12
    assert hours[12:18].sum() > hours[18:].sum() > hours[:6].sum()
    assert payments["weekdays"][4] > 1.1 * payments["weekdays"][0]  # Friday over Monday
    lags = payments["autocorrelation"]
    assert lags["1"] > 0.6
    assert lags["1"] > lags["6"] > lags["12"] > 0.2


def test_the_order_of_categories_carries_information(panel) -> None:
    categories = panel.report.figures["categories"]
    assert categories["entropy"] > 3  # of log 50 = 3.9
    assert categories["mutual_information"] > 0.3
    assert categories["asymmetry"] > 0.1
    assert min(categories["shares"].values()) > 0.0005


def test_every_product_is_held_opened_and_closed(panel) -> None:
    products = panel.report.figures["products"]
    assert 4 <= products["held_mean"] <= 9
    for code, row in products["by_product"].items():
        assert 0.01 <= row["held"] <= 0.95, code
        assert 0.0005 <= row["opened_a_month"] <= 0.05, code
        assert 0.003 <= row["closed_a_month"] <= 0.4, code


def test_an_episode_shows_in_payments_before_it_shows_in_products(panel) -> None:
    """Who buys a travel insurance next month pays airlines, hotels and agencies this month, more than others do."""
    ids = {product.code: i for i, product in enumerate(panel.settings.products)}
    travel = {c.mcc for c in panel.settings.merchant_categories if c.l1 == "travel"}
    buyers, others = [], []
    for month in panel.settings.dataset.snapshot_months:
        now, later = (
            panel.lake.read("source/snapshots", m.key).to_pandas().set_index("customer_id").held
            for m in (month, month + 1)
        )
        now, later = (held.map(lambda products: ids["travel_insurance"] in products) for held in (now, later))
        paid = panel.lake.read("source/transactions", month.key).to_pandas()
        number = paid[paid.mcc.isin(travel)].groupby("customer_id").size().reindex(now.index, fill_value=0)
        without = now.index[~now].intersection(later.index)
        bought = later[without]
        buyers += number[without][bought].tolist()
        others += number[without][~bought].tolist()
    assert len(buyers) > 25
    assert np.mean(buyers) > 2 * np.mean(others)


def test_the_report_is_stored_and_rendered(panel) -> None:
    stored = json.loads(panel.lake.read_bytes("source/report", None, "report.json"))
    assert stored == json.loads(json.dumps(panel.report.figures))
    text = io.StringIO()
    for table in render(panel.report):
        Console(file=text, width=140).print(table)
    for name in (*panel.report.figures["tasks"], "mortgage", "refund_share"):
        assert name in text.getvalue()


def test_the_ceiling_is_the_area_under_the_curve() -> None:
    assert _auc(np.array([0, 0, 2.0]), np.array([3.0, 1, 0])) == 1.0
    assert _auc(np.array([1.0, 1]), np.array([1.0, 1])) == 0.5
    assert _auc(np.array([0, 1.0]), np.array([2.0, 2.0])) == 0.75
    assert _auc(np.array([0.0]), np.array([4.0])) is None
