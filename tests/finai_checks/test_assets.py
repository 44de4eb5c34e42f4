"""What Dagster is told of a result."""

from __future__ import annotations

import dagster as dg

from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_assets.source import kept_versions
from finai_checks.assets import as_evaluation, build_checks, check_key
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckOutcome
from finai_resources.months import Month


def test_rows_with_different_columns_are_shown_under_all_of_them(settings: Settings) -> None:
    check = next(iter(declared_checks(Platform.of(settings))))
    found = CheckOutcome(False, "why", 2, {}, [{"task": "a", "rows": 3}, {"column": "b"}])
    told = as_evaluation(check, Month.parse("2015-01"), found).metadata["table"]
    assert isinstance(told, dg.TableMetadataValue)
    assert [dict(record.data) for record in told.records] == [
        {"task": "a", "rows": 3, "column": ""},
        {"task": "", "rows": "", "column": "b"},
    ]


def test_definitions_tell_the_code_version_of_each_check_and_keep_them_for_the_next_process(settings: Settings) -> None:
    platform = Platform.of(settings)
    specs = [spec for definition in build_checks(platform) for spec in definition.check_specs]
    told = {spec.key: spec.metadata["code_version"] for spec in specs}
    assert told == {check_key(check): check.code for check in declared_checks(platform)}
    assert len(set(told.values())) > 20
    assert set(told.values()) <= set(kept_versions().versions.values())
