"""``finai features diff`` tells what a change adds, drops and alters by comparing manifests and columns; nothing is computed."""

from __future__ import annotations

import pyarrow as pa
import pytest

from finai_assets.asset_graph import group_asset
from finai_assets.platform import Platform
from finai_assets.settings import load_settings
from finai_cli import feature_difference
from finai_cli.feature_difference import GroupChange, difference
from finai_resources.lake import Lake

GROUP = "demographics"


@pytest.fixture(scope="module")
def platform() -> Platform:
    return Platform.of(load_settings("synthetic", "smoke"))


def stored(lake: Lake, platform: Platform, names: list[str], group: str = GROUP, **versions: str) -> None:
    asset = group_asset(group)
    made = {
        **(platform.graph.versions(asset) if group == GROUP else {"code_version": "", "config_hash": ""}),
        **versions,
    }
    with lake.write(asset, "2015-01", **made) as out:
        out.write(pa.table({"customer_id": [1], **{name: [0.0] for name in names}}))


def change(lake: Lake, platform: Platform, group: str = GROUP) -> GroupChange:
    return next(each for each in difference(platform, lake).groups if each.group == group)


def test_what_is_stored_as_it_would_be_made_is_the_same(lake: Lake, platform: Platform) -> None:
    stored(lake, platform, list(platform.registry.group(GROUP).names))
    assert change(lake, platform) == GroupChange(GROUP, "same", 1)


def test_columns_that_come_and_go_and_those_that_are_computed_anew_are_told(lake: Lake, platform: Platform) -> None:
    names = list(platform.registry.group(GROUP).names)
    stored(lake, platform, [*names[1:], "gone"], code_version="older")
    found = change(lake, platform)
    assert (found.change, found.added, found.dropped) == ("code", (names[0],), ("gone",))
    assert found.altered == tuple(names[1:])


def test_a_group_of_other_settings_says_so(lake: Lake, platform: Platform) -> None:
    stored(lake, platform, list(platform.registry.group(GROUP).names), config_hash="older")
    assert change(lake, platform).change == "settings"


def test_a_group_that_is_no_more_drops_all_its_columns(lake: Lake, platform: Platform) -> None:
    stored(lake, platform, ["a", "b"], group="old_group")
    found = change(lake, platform, "old_group")
    assert (found.change, found.dropped) == ("gone", ("a", "b"))


def test_a_group_that_was_never_stored_adds_all_its_columns(lake: Lake, platform: Platform) -> None:
    assert change(lake, platform).added == platform.registry.group(GROUP).names
    stages = [stage for stage in difference(platform, lake).stages if stage.stage != "judge"]  # no month was scored
    assert all(stage.runs == stage.of for stage in stages)


def test_what_is_printed_fits_80_columns(lake: Lake, platform: Platform) -> None:
    from rich.console import Console

    stored(lake, platform, ["gone"], code_version="older")
    console = Console(width=80)
    with console.capture() as captured:
        feature_difference.print_difference(difference(platform, lake), console)
    text = captured.get()
    assert max(map(len, text.splitlines())) <= 80
    assert "- demographics: gone" in text
    assert "+ demographics: age" in text
