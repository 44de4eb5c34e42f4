"""What Dagster is told of a result."""

from __future__ import annotations

import dagster as dg

from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks.assets import as_evaluation
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
