"""The benchmark of feature groups measures the groups it is asked for, and says how time grows."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks.feature_stages import DIRECT, Bench
from benchmarks.features import benchmark, demand_space, growth_exponent, print_groups, print_sizes
from finai_resources.errors import ConfigError


def test_the_exponent_is_the_slope_of_logarithms() -> None:
    sizes = [{"customers": n, "wall_s": 3e-4 * n**1.5} for n in (10, 300, 2000)]
    assert growth_exponent(sizes, "wall_s") == pytest.approx(1.5)


def test_groups_are_chosen_by_word_or_by_name() -> None:
    assert tuple(group.name for group in Bench.of(1, "direct", 100).groups) == DIRECT
    assert [group.name for group in Bench.of(1, "demographics,txn_rolling_stats", 100).groups] == [
        "demographics",
        "txn_rolling_stats",
    ]
    with pytest.raises(ConfigError, match="no feature group 'nonsense'"):
        Bench.of(1, "nonsense", 100)


def test_a_size_that_the_disk_cannot_hold_is_refused_before_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="are free"):
        demand_space(tmp_path, 1e18, 10)
    demand_space(tmp_path, 1.0, 10)


@pytest.mark.slow
def test_every_stage_of_two_sizes_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    groups = "demographics,txn_rolling_stats"
    given = argparse.Namespace(
        customers=[300, 150], months=1, groups=groups, repeats=1, fit_rows=100, events_a_month=5.0
    )
    result = benchmark(given, tmp_path)
    assert [size["customers"] for size in result["sizes"]] == [150, 300]
    assert result["fit"]["rows"] == 100
    assert set(result["fit"]["groups_s"]) == set(groups.split(","))
    for size in result["sizes"]:
        assert size["raw_events"] == pytest.approx(size["customers"] * 5 * 12, rel=0.3)
        assert size["columns"] == 31
        assert size["ratio_cpu"] > 1  # the floor is part of what is computed
        assert 50 < size["peak_mib"] < 2000
    assert not list(tmp_path.iterdir())
    print_groups(result, Bench.of(1, groups, 100))
    print_sizes(result)
    shown = capsys.readouterr().out
    assert "txn_rolling_stats" in shown
    assert "stored_bytes grows as customers **" in shown
