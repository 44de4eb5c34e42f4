"""What a data set cannot carry follows from what it declares to be without, with that reason."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Any

import pytest

from finai_assets.features.registry import build_registry
from finai_assets.ingest.contract import PRODUCT_CLASSES
from finai_assets.ingest.derive import NEEDS, Derived, derive
from finai_assets.labels.tasks import build_tasks
from finai_assets.settings import Settings, load_settings
from finai_assets.settings.dataset import OptionalTable, Part
from finai_assets.settings.features import FeatureGroupSettings
from finai_assets.settings.lacks import with_usable_experts
from finai_resources.errors import ConfigError

WHY = "because the bank says so"
# What Berka cannot carry, as it was written out by hand before it was derived.
BERKA_COLUMNS = {
    "income", "income_group_code", "is_active", "country_code", "channel_code", "txn_share_morning", "txn_share_afternoon",
    "txn_share_evening", "txn_share_night", "txn_merchants_monthly_mean", "txn_refund_share", "closures_total",
    "held_classic_card", "held_junior_card", "held_gold_card", "acquired_3m_monthly_statement",
    "acquired_3m_weekly_statement", "acquired_3m_statement_per_transaction", "acquired_3m_classic_card",
    "acquired_3m_junior_card", "acquired_3m_gold_card", "merchant_l1_share_1", "merchant_l1_share_4",
    "acquisition_posterior_deposit", "acquisition_posterior_investment", "acquisition_posterior_card", "mcc_seen_other",
    "hmm_behavior_state", "hmm_behavior_dwell", "hmm_behavior_entropy",
    *(f"hmm_behavior_p{state}" for state in range(6)), *(f"lag_hour_{step:03d}" for step in range(40)),
}  # fmt: skip
BERKA_TASKS = {
    "churn_signal", "will_acquire_deposits", "will_acquire_investments", "will_acquire_accounts", "will_acquire_lending",
}  # fmt: skip


def without(**dataset: Any) -> Settings:
    return load_settings("synthetic", "smoke", overrides={"dataset": dataset})


def derived(settings: Settings) -> Derived:
    return derive(build_registry(settings), build_tasks(settings), settings)


def test_what_berka_cannot_carry_is_what_was_written_by_hand() -> None:
    found = derived(load_settings("berka", "demo"))
    assert set(found.columns) == BERKA_COLUMNS
    assert set(found.tasks) == BERKA_TASKS
    assert set(found.tables) == {"risk_profiles", "consents", "contacts", "asset_bands"}
    assert not found.groups
    reasons = [why.reason for part in (found.columns, found.tasks, found.tables) for why in part.values()]
    assert all(len(reason.split()) > 3 for reason in reasons)


def test_the_panel_lacks_nothing() -> None:
    found = derived(load_settings("synthetic", "demo"))
    assert found == Derived({}, {}, {}, {})


@pytest.mark.parametrize("part", [*Part.__args__])
def test_a_part_that_is_not_there_takes_what_needs_it_and_nothing_that_declares_other_inputs(part: str) -> None:
    settings = without(lacks={part: WHY})
    found = derived(settings)
    assert found.columns
    assert {why.fact for why in (*found.columns.values(), *found.tasks.values())} == {f"dataset.lacks.{part}"}
    assert {why.reason for why in found.columns.values()} == {WHY}
    raw = {
        "merchants": "raw/transactions.merchant_id",
        "categories": "raw/transactions.mcc",
        **{name: f"raw/snapshots.{name}" for name in Part.__args__},
    }[part]
    carried = build_registry(settings).columns
    assert not [column.name for column in carried if raw in column.inputs]


@pytest.mark.parametrize("table", [name for name in OptionalTable.__args__ if name != "asset_bands"])
def test_a_table_that_is_not_there_takes_what_reads_it(table: str) -> None:
    settings = without(unavailable_tables={table: WHY})
    found = derived(settings)
    assert found.tables[table].reason == WHY
    registry, tasks = build_registry(settings), build_tasks(settings)
    inputs = [name for column in registry.columns for name in column.inputs]
    inputs += [name for task in tasks if not task.unavailable for name in task.inputs]
    assert not [name for name in inputs if name.startswith(f"raw/{table}.")]
    if table == "transactions":
        assert found.tasks.keys() == {"next_mcc", "mcc_diversity_trend", "top_mcc_shift"}
        assert {"txn_behavior", "tda_local", "mamba_temporal", "merchant_hierarchy"} <= set(found.groups)
        assert found.groups["tda_local"].reason == WHY
    if table == "products":
        assert {name for name in found.tasks if name.startswith("will_acquire")} == {
            "will_acquire_deposits", "will_acquire_investments", "will_acquire_accounts", "will_acquire_lending",
            "will_acquire_payments",
        }  # fmt: skip
        assert {"churn_signal", "product_stability", "nba_primary", "cross_sell_count"} <= set(found.tasks)
        assert not {"next_mcc", "mcc_diversity_trend", "top_mcc_shift", "segment_prediction"} & set(found.tasks)
        assert {"product_holdings", "product_hierarchy", "graph_collaborative"} <= set(found.groups)


def test_a_written_reason_comes_before_a_derived_one() -> None:
    written = without(
        lacks={"income": WHY},
        unavailable_columns={"income": "nobody was asked"},
        unavailable_tables={"transactions": WHY},
        unavailable_tasks={"next_mcc": "nobody pays"},
    )
    found = derived(written)
    assert found.columns["income"].reason == "nobody was asked"
    assert found.columns["income"].fact == "dataset.unavailable_columns.income"
    assert found.columns["income_group_code"].reason == WHY
    assert (found.tasks["next_mcc"].reason, found.tasks["top_mcc_shift"].reason) == ("nobody pays", WHY)


def test_without_an_age_months_of_tenure_stay_and_are_made_from_no_age() -> None:
    registry = build_registry(without(lacks={"age": WHY}))
    (tenure,) = [column for column in registry.columns if column.name == "tenure_months"]
    assert tenure.inputs == ("raw/snapshots.tenure_months",)


def test_a_set_of_which_nothing_is_acquired_takes_its_task_and_its_class() -> None:
    settings = load_settings("synthetic", "smoke")
    loans = [product.code for product in settings.products if product.product_class == "loan"]
    assert sorted(settings.acquisition_sets["lending"]) == sorted(loans)
    some = derived(without(never_acquired={loans[0]: WHY}))
    assert set(some.columns) == {f"acquired_3m_{loans[0]}"}
    assert not some.tasks
    every = derived(without(never_held=dict.fromkeys(loans, WHY)))
    assert set(every.tasks) == {"will_acquire_lending"}
    assert set(every.columns) == {
        *(f"{kind}_{code}" for kind in ("held", "acquired_3m") for code in loans), "acquisition_posterior_loan",
    }  # fmt: skip


def test_products_that_never_change_leave_no_task_about_them() -> None:
    found = derived(without(lacks={"acquisitions": WHY, "closures": WHY}))
    assert {"product_stability", "churn_signal", "nba_primary", "cross_sell_count"} <= set(found.tasks)


def test_every_pattern_of_what_inputs_do_not_tell_names_something() -> None:
    settings = load_settings("synthetic", "smoke")
    columns = [column.name for group in build_registry(settings) for column in group.declared]
    tasks = [task.name for task in build_tasks(settings)]
    for need in NEEDS:
        assert all(any(fnmatch(name, pattern) for name in columns) for pattern in need.columns), need
        assert all(any(fnmatch(name, pattern) for name in tasks) for pattern in need.tasks), need
    posteriors = {
        name.removeprefix("acquisition_posterior_") for name in columns if name.startswith("acquisition_post")
    }
    assert posteriors <= set(PRODUCT_CLASSES)


def test_a_pattern_that_no_product_has_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"dataset.never_held: no product has a code like \['\*_cart'\]"):
        without(never_held={"*_cart": WHY})


def test_an_expert_without_any_of_its_groups_is_left_out() -> None:
    settings = load_settings("synthetic", "smoke")
    every = set(FeatureGroupSettings.names())
    assert with_usable_experts(settings, every) == settings
    left = with_usable_experts(settings, every - {"txn_lag_tensor", "merchant_hierarchy", "tda_global"}).teacher.experts
    assert left == ("deepfm", "perslay", "lightgcn", "causal")
