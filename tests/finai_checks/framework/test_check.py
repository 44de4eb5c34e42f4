"""What a check is given to look at, and how checks that share their work are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import (
    CheckContext,
    CheckKind,
    CheckOutcome,
    Declared,
    declare,
    declare_together,
    sharing_work,
)
from finai_resources.errors import ConfigError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

KIND = CheckKind("C99", "tiny", "it holds", blocking=True, minimum=1, units="rows")
MONTH = Month.parse("2015-02")


@pytest.fixture(scope="module")
def platform(settings: Settings) -> Platform:
    return Platform.of(settings)


def alone(context: CheckContext, asset: str) -> CheckOutcome:
    return CheckOutcome(True, f"{asset} in {context.partition}", 1)


def together(context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
    return {asset: CheckOutcome(True, f"{asset} of {len(assets)}", 1) for asset in assets if asset != "features/gone"}


def test_a_month_that_is_needed_and_not_given_is_named_as_the_error(lake: Lake, platform: Platform) -> None:
    context = CheckContext(LakeSession(lake), platform)
    assert context.partition is None
    with pytest.raises(ConfigError, match="evaluated without a month"):
        _ = context.required_month
    of_month = replace(context, month=MONTH)
    assert (of_month.required_month, of_month.partition) == (MONTH, "2015-02")


def test_a_group_is_found_by_its_features_and_by_its_state(lake: Lake, platform: Platform) -> None:
    context = CheckContext(LakeSession(lake), platform)
    assert context.group("features/demographics").name == "demographics"
    assert context.group("feature_state/demographics").name == "demographics"
    # In the order of the registry, whatever the order of the assets.
    found = context.groups(["features/txn_behavior", "features/demographics", "teacher/ple"])
    assert list(found) == ["features/demographics", "features/txn_behavior"]


def test_a_check_has_exactly_one_function(platform: Platform) -> None:
    for functions in ({}, {"alone": alone, "together": together}):
        with pytest.raises(ValueError, match="either alone or together"):
            Declared(KIND, "features/a", **functions)  # type: ignore[arg-type]


def test_a_check_is_evaluated_on_its_own_asset_whichever_function_it_has(lake: Lake, platform: Platform) -> None:
    context, settings = CheckContext(LakeSession(lake), platform, MONTH), platform.settings
    assert declare(KIND, "features/a", alone, settings).evaluate(context).reason == "features/a in 2015-02"
    one, gone = declare_together(KIND, ["features/a", "features/gone"], together, settings)
    assert one.evaluate(context).reason == "features/a of 1"
    assert gone.evaluate(context).reason == "no_evidence"


def test_checks_share_their_work_by_kind_function_and_months(platform: Platform) -> None:
    settings, other = platform.settings, replace(KIND, name="other")
    shared = declare_together(KIND, ["features/a", "features/b"], together, settings)
    checks = [
        *shared,
        *declare_together(KIND, ["features/c"], together, settings, months=(MONTH,)),
        *declare_together(other, ["features/a"], together, settings),
        declare(KIND, "teacher/a", alone, settings),
        declare(KIND, "teacher/b", alone, settings),
    ]
    groups = sharing_work(checks)
    assert groups[0] == shared
    assert [len(group) for group in groups] == [2, 1, 1, 1, 1]
    assert [check for group in groups for check in group] == checks


def test_every_declared_check_finds_what_it_looks_at_in_the_context_alone(platform: Platform) -> None:
    functions = {
        function for check in declared_checks(platform) for function in (check.alone, check.together) if function
    }
    nested = {function.__qualname__ for function in functions if function.__closure__ or "<" in function.__qualname__}
    assert nested == set()
