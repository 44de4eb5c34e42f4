"""Which bundle may score a month: today's always, a named one where somebody vouches for it and nobody's table is lost."""

from __future__ import annotations

import json

import pytest

from finai_assets.asset_graph import BUNDLE, PUBLISHED, RECOMMENDATIONS, SCORED_BY
from finai_assets.bundle.registry import Registry, register, scoring
from finai_assets.recommend.named_bundle import beside, bundle_for
from finai_resources.errors import BundleError
from finai_resources.lake import Lake
from finai_resources.months import Month

MONTH = Month.parse("2015-05")
OLD, FIRST, SECOND = "aaaa11112222", "bbbb11112222", "cccc11112222"  # never champion; champion; the stored challenger


def add(lake: Lake, bundle_id: str) -> None:
    """Store a bundle as the asset and register it as challenger."""
    manifest = json.dumps({"bundle_id": bundle_id, "files": {}}).encode()
    with lake.write(BUNDLE, code_version="1") as out:
        out.put("manifest.json", manifest)
    register(lake, {"manifest.json": manifest}, {})


def crown(lake: Lake, bundle_id: str) -> None:
    registry = Registry.read(lake)
    assert registry.append(
        {"kind": "promotion", "bundle": bundle_id, "aliases": {**registry.aliases, "champion": bundle_id}}
    )


def score(lake: Lake, bundle_id: str) -> None:
    with lake.write(RECOMMENDATIONS, MONTH.key, code_version="1", extra={SCORED_BY: bundle_id}) as out:
        out.put("rows.json", b"{}")


@pytest.fixture
def bundles(lake: Lake) -> Lake:
    add(lake, OLD)
    add(lake, FIRST)
    crown(lake, FIRST)
    add(lake, SECOND)
    return lake


def test_before_there_is_a_bundle_no_check_is_left_out_and_none_is_named(lake: Lake) -> None:
    assert beside(lake) == ()
    with pytest.raises(BundleError):
        bundle_for(lake, MONTH, "champion")


def test_a_named_bundle_scores_a_month_that_has_no_table_or_one_of_its_own(bundles: Lake) -> None:
    assert bundle_for(bundles, MONTH, "challenger") == bundle_for(bundles, MONTH, SECOND[:6]) == SECOND
    score(bundles, SECOND)
    assert bundle_for(bundles, MONTH, "challenger") == SECOND


def test_the_table_of_another_bundle_is_replaced_only_where_that_is_said(bundles: Lake) -> None:
    score(bundles, FIRST)
    with pytest.raises(BundleError, match=rf"2015-05 was scored by {FIRST}, whose table would be lost(.|\n)*--replace"):
        bundle_for(bundles, MONTH, "challenger")
    assert bundle_for(bundles, MONTH, "challenger", replace=True) == SECOND


def test_the_bundle_of_today_takes_its_month_back_by_its_name_too(bundles: Lake) -> None:
    score(bundles, SECOND)
    assert scoring(bundles) == bundle_for(bundles, MONTH, "champion") == FIRST


def test_a_former_champion_may_score_and_a_bundle_that_nobody_vouches_for_may_not(bundles: Lake) -> None:
    crown(bundles, SECOND)
    assert bundle_for(bundles, MONTH, FIRST) == FIRST
    with pytest.raises(BundleError, match=f"{OLD} was never champion and is no longer serving/bundle"):
        bundle_for(bundles, MONTH, OLD, replace=True)


def test_an_unknown_bundle_is_told_with_the_nearest_ones(bundles: Lake) -> None:
    with pytest.raises(BundleError, match=r"no bundle 'chalenger'(.|\n)*did you mean challenger\?"):
        bundle_for(bundles, MONTH, "chalenger")
    with pytest.raises(BundleError, match=f"did you mean {SECOND}"):
        bundle_for(bundles, MONTH, "cccc11112223")


def test_the_checks_of_the_stored_bundle_are_asked_where_it_scores_and_not_where_a_champion_does(bundles: Lake) -> None:
    assert beside(bundles, SECOND) == ()
    assert beside(bundles, FIRST) == beside(bundles) == (BUNDLE, PUBLISHED)
    crown(bundles, SECOND)
    assert beside(bundles, FIRST) == (BUNDLE, PUBLISHED)  # a champion of before
    assert beside(bundles, SECOND) == ()


def test_while_there_is_no_champion_they_are_always_asked(lake: Lake) -> None:
    add(lake, OLD)
    assert beside(lake, OLD) == ()
