"""Whatever a check does, it leaves a verdict, a record, and an entry in the evidence log."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from finai_assets.platform import Platform
from finai_assets.settings import Settings, load_settings
from finai_checks.framework.check import (
    NO_EVIDENCE,
    CheckContext,
    CheckKind,
    CheckOutcome,
    Declared,
    EvaluateTogether,
    declare_together,
)
from finai_checks.framework.evidence_log import EVIDENCE
from finai_checks.framework.ledger import Ledger
from finai_checks.framework.run import model_version, run_check, run_checks
from finai_resources.chained_log import ChainedLog
from finai_resources.errors import StorageError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.secrets import SecretStore

KIND = CheckKind("C05", "schema_contract", "it holds", True, 5, "rows", ("gap_days",))
MONTH = Month.parse("2015-01")


def declared(asset: str, outcome: CheckOutcome | Exception) -> Declared:
    def evaluate(_context: CheckContext, _asset: str) -> CheckOutcome:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return Declared(KIND, asset, evaluate, thresholds={"gap_days": 30})


def declared_together(together: EvaluateTogether) -> list[Declared]:
    return declare_together(KIND, ["features/a", "features/b"], together, load_settings("synthetic", "smoke"))


@pytest.fixture
def context(lake: Lake, settings: Settings, secrets: SecretStore) -> CheckContext:
    return CheckContext(LakeSession(lake), Platform.of(settings, secrets), MONTH)


def last(lake: Lake) -> dict[str, Any]:
    return list(ChainedLog(lake, EVIDENCE).entries())[-1].record


def put(lake: Lake, asset: str) -> str:
    with lake.write(asset, MONTH.key, code_version="v1", config_hash="c1") as out:
        out.put("x.json", b"{}")
    return lake.manifest(asset, MONTH.key).content_hash


def test_a_check_that_could_not_read_what_it_judges_has_no_result_and_the_run_says_why(
    lake: Lake, context: CheckContext
) -> None:
    put(lake, "raw/snapshots")
    broken = declared("raw/snapshots", OSError(errno.EIO, "Input/output error", "/a/part-0.parquet"))
    with pytest.raises(StorageError, match=r"^/a/part-0.parquet: the disk does not answer"):
        run_check(broken, context)
    assert list(ChainedLog(lake, EVIDENCE).entries()) == []
    assert Ledger(lake, context.platform.secrets).standing(broken, MONTH.key).state == "missing"


def test_the_evidence_says_what_was_looked_at_against_which_threshold_and_for_which_article(
    lake: Lake, context: CheckContext
) -> None:
    content = put(lake, "raw/snapshots")
    outcome = CheckOutcome(
        True, "", 9, {"share": np.float32(0.5), "interval": [0.1, 0.2]}, [{"row": k} for k in range(40)]
    )
    check = declared("raw/snapshots", outcome)
    run_check(check, context)
    record = last(lake)
    assert record["asset"] == "raw/snapshots@2015-01"
    assert record["data_version"] == content
    assert (record["code_version"], record["config_hash"]) == ("v1", "c1")
    assert record["as_of"] == MONTH.cutoff.isoformat()
    assert (record["n"], record["minimum"], record["passed"], record["severity"]) == (9, 5, True, "error")
    assert record["thresholds"] == {"gap_days": 30}
    assert record["observed"]["share"] == 0.5
    assert record["interval"] == [0.1, 0.2]
    assert "EU AI Act 10" in record["articles"]
    assert (len(record["table"]), record["table_rows"]) == (20, 40)
    assert Ledger(lake, context.platform.secrets).has_passed(check, MONTH.key)


def test_a_pass_on_too_little_evidence_is_a_failure(lake: Lake, context: CheckContext) -> None:
    put(lake, "raw/snapshots")
    check = declared("raw/snapshots", CheckOutcome(True, "", 4))
    outcome = run_check(check, context)
    assert (outcome.passed, outcome.reason) == (False, NO_EVIDENCE)
    assert last(lake)["passed"] is False
    assert not Ledger(lake, context.platform.secrets).has_passed(check, MONTH.key)


def test_an_exception_is_a_failure_with_its_traceback_in_the_evidence(lake: Lake, context: CheckContext) -> None:
    put(lake, "raw/snapshots")
    outcome = run_check(declared("raw/snapshots", ValueError("boom")), context)
    assert not outcome.passed
    assert "boom" in outcome.reason
    assert "ValueError" in last(lake)["observed"]["traceback"]


def test_of_checks_that_share_their_work_one_without_a_result_fails_alone(lake: Lake, context: CheckContext) -> None:
    def together(_context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
        return {assets[0]: CheckOutcome(True, "", 7)}

    checks = declared_together(together)
    for check in checks:
        put(lake, check.asset)
    outcomes = run_checks(checks, context)
    assert {asset: outcome.passed for asset, outcome in outcomes.items()} == {"features/a": True, "features/b": False}
    assert outcomes["features/b"].reason == NO_EVIDENCE
    assert len(list(ChainedLog(lake, EVIDENCE).entries())) == 2


def test_where_the_shared_work_raises_all_of_them_fail(context: CheckContext) -> None:
    def together(_context: CheckContext, _assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
        raise RuntimeError("gone")

    outcomes = run_checks(declared_together(together), context)
    assert not any(outcome.passed for outcome in outcomes.values())
    assert all("gone" in outcome.reason for outcome in outcomes.values())


def test_the_evidence_names_the_model_that_a_partition_is_or_was_made_with(lake: Lake) -> None:
    made = {}
    for asset, reads in (("teacher/ple", ()), ("students/churn_signal", ("teacher/ple",)), ("serving/bundle", ()),
                         ("recommendations/customers", ("serving/bundle", "teacher/ple")), ("raw/products", ())):  # fmt: skip
        session = LakeSession(lake)
        for upstream in reads:
            session.manifest(upstream)
        with session.write(asset, code_version="v1") as out:
            out.put("x.json", asset.encode())
        made[asset] = lake.manifest(asset)
    versions = {asset: model_version(lake, manifest) for asset, manifest in made.items()}
    assert versions == {
        "teacher/ple": made["teacher/ple"].content_hash,
        "students/churn_signal": made["students/churn_signal"].content_hash,
        "serving/bundle": made["serving/bundle"].content_hash,
        "recommendations/customers": made["serving/bundle"].content_hash,
        "raw/products": None,
    }
    assert model_version(lake, None) is None
