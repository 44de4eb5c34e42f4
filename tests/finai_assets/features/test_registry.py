"""The registry lists the reference's 1,211 columns."""

from __future__ import annotations

import re

import pytest

from finai_assets.features.registry import Registry, build_registry
from finai_assets.settings import load_settings
from finai_resources.errors import ConfigError

REFERENCE = {
    "demographics": 11, "product_holdings": 24, "txn_behavior": 14, "derived_temporal": 4, "tda_global": 16,
    "tda_local": 16, "hmm_states": 25, "mamba_temporal": 50, "product_hierarchy": 34, "merchant_hierarchy": 27,
    "graph_collaborative": 66, "gmm_clustering": 22, "model_derived": 27, "txn_lag_tensor": 800,
    "txn_rolling_stats": 20, "nba_history_multihot": 24, "mcc_top30_multihot": 31,
}  # fmt: skip


def test_the_17_groups_declare_the_columns_of_the_reference(registry: Registry) -> None:
    assert {group.name: len(group.declared) for group in registry} == REFERENCE
    assert sum(len(group.declared) for group in registry) == 1211


def test_the_default_data_set_carries_every_column(registry: Registry) -> None:
    assert len(registry.available) == 17
    assert len(registry.columns) == 1211


def test_a_group_of_which_no_column_is_left_is_not_available() -> None:
    settings = load_settings(
        "synthetic", "smoke", overrides={"dataset": {"unavailable_columns": {"hmm_*": "no history"}}}
    )
    registry = build_registry(settings)
    assert "hmm_states" not in {group.name for group in registry.available}
    assert len(registry.columns) == 1211 - 25
    assert set(registry.group("hmm_states").unavailable.values()) == {"no history"}


def test_a_group_fits_exactly_where_a_column_says_so(registry: Registry) -> None:
    for group in registry.available:
        assert hasattr(group.module, "fit") == group.fits, group.name


def test_names_are_snake_case_unique_and_described_in_both_languages(registry: Registry) -> None:
    columns = [column for group in registry for column in group.declared]
    assert len({column.name for column in columns}) == 1211
    for column in columns:
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", column.name), column.name
        assert column.description
        assert re.search(r"[가-힣]", column.description_ko), column.name
        assert "." not in column.description_ko
        assert column.inputs
        assert all(re.fullmatch(r"raw/[a-z_]+\.[a-z0-9_]+", source) for source in column.inputs)


def test_no_column_reads_further_back_than_the_look_back(registry: Registry) -> None:
    assert max(column.window_days or 0 for group in registry for column in group.declared) <= 366


def test_a_column_that_the_data_set_cannot_carry_is_left_out() -> None:
    settings = load_settings(
        "synthetic", "smoke", overrides={"dataset": {"unavailable_columns": {"lag_hour_*": "no time of day"}}}
    )
    registry = build_registry(settings)
    assert len(registry.columns) == 1011
    assert len(registry.group("txn_lag_tensor").kept) == 600


def test_a_pattern_that_matches_no_column_is_refused_by_name() -> None:
    settings = load_settings(
        "synthetic", "smoke", overrides={"dataset": {"unavailable_columns": {"shoe_size": "unknown"}}}
    )
    with pytest.raises(ConfigError, match="shoe_size"):
        build_registry(settings)


def test_an_unknown_group_is_refused_with_the_names_that_exist(registry: Registry) -> None:
    with pytest.raises(ConfigError, match="demographics"):
        registry.group("horoscope")


def test_counts_follow_the_configuration() -> None:
    settings = load_settings(
        "synthetic", "smoke", overrides={"feature_groups": {"txn_rolling_stats": {"windows_days": [14]}}}
    )
    assert build_registry(settings).group("txn_rolling_stats").names == (
        "roll_sum_14d", "roll_mean_14d", "roll_std_14d", "roll_count_14d", "roll_active_days_14d",
    )  # fmt: skip
