"""Results of mandatory checks on given contents: audits, checks by name, months, and what nobody has built."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Theme, declare
from finai_checks.framework.record import record_path
from finai_checks.framework.run import run_check
from finai_checks.gates import CheckGates
from finai_resources.errors import GateError
from finai_resources.gates import CheckResult
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.secrets import SecretStore

WHOLE, MONTHLY = "labels/splits", "features/demographics"
PLAIN = CheckKind("C91", "plain", "it holds", True, 1, "rows")
WARNS = replace(PLAIN, name="warns", blocking=False)
AUDIT = replace(PLAIN, name="audit", audit=True)
BY_MONTH = replace(PLAIN, id="C92", name="by_month")
MONTHS = (Month.parse("2015-01"), Month.parse("2015-02"))
VERDICT = {"passes": True}


def judged(_context: CheckContext, _asset: str) -> CheckOutcome:
    return CheckOutcome(VERDICT["passes"], "" if VERDICT["passes"] else "it does not hold", 5)


THEME = Theme(
    (PLAIN, WARNS, AUDIT, BY_MONTH),
    lambda platform: [
        *(declare(kind, WHOLE, judged, platform.settings) for kind in (PLAIN, WARNS, AUDIT)),
        declare(BY_MONTH, MONTHLY, judged, platform.settings, months=MONTHS),
    ],
    __name__,
)


class Checked:
    """A lake with three partitions, and the checks on them."""

    def __init__(self, lake: Lake, settings: Settings) -> None:
        self.lake, self.platform = lake, Platform.of(settings, SecretStore(Path(lake.root).parent))
        for asset, month in ((WHOLE, None), (MONTHLY, "2015-01"), (MONTHLY, "2015-02")):
            with lake.write(asset, month) as out:
                out.put("x.json", f"{month}".encode())
        self.contents = {
            WHOLE: lake.manifest(WHOLE).content_hash,
            f"{MONTHLY}@2015-01": lake.manifest(MONTHLY, "2015-01").content_hash,
        }

    def run(self, name: str, month: Month | None = None, *, passes: bool = True) -> None:
        VERDICT["passes"] = passes
        check = next(check for check in THEME.declare(self.platform) if check.name == name)
        run_check(check, CheckContext(LakeSession(self.lake), self.platform, month))

    def results(self, *mandatory: str) -> tuple[dict[tuple[str, str], CheckResult], list[str]]:
        found, awaited = CheckGates(self.platform, (THEME,)).results(self.lake, self.contents, mandatory)
        return {(result.name, result.address): result for result in found}, awaited

    def states(self, *mandatory: str) -> dict[tuple[str, str], str]:
        return {name: result.state for name, result in self.results(*mandatory)[0].items()}


@pytest.fixture
def checked(lake: Lake, settings: Settings) -> Checked:
    return Checked(lake, settings)


def test_a_number_stands_for_its_blocking_kinds_and_for_audits_that_have_a_result(checked: Checked) -> None:
    assert checked.states("C91") == {("plain", WHOLE): "missing"}
    checked.run("plain")
    checked.run("warns", passes=False)
    assert checked.states("C91") == {("plain", WHOLE): "passed"}
    checked.run("audit", passes=False)
    assert checked.states("C91") == {("plain", WHOLE): "passed", ("audit", WHOLE): "failed"}
    checked.run("audit")
    assert checked.states("C91")["audit", WHOLE] == "passed"


def test_a_kind_that_is_named_is_demanded_whatever_its_severity(checked: Checked) -> None:
    assert checked.states("audit", "warns") == {("warns", WHOLE): "missing", ("audit", WHOLE): "missing"}


def test_only_the_months_that_were_read_count(checked: Checked) -> None:
    checked.run("by_month", MONTHS[0])
    checked.run("by_month", MONTHS[1], passes=False)
    assert checked.states("C92") == {("by_month", f"{MONTHLY}@2015-01"): "passed"}


def test_a_result_tells_when_it_was_recorded_and_where_in_the_log(checked: Checked) -> None:
    checked.run("warns")
    checked.run("plain")
    result = checked.results("plain")[0]["plain", WHOLE]
    head = CheckGates(checked.platform, (THEME,)).head(checked.lake)
    assert (result.sequence, head.count) == (1, 2)
    assert result.recorded_at.endswith("+00:00")
    assert CheckGates(checked.platform, (THEME,)).faults(checked.lake, head) == []


def test_what_is_not_built_is_awaited_and_what_sits_elsewhere_is_missing(checked: Checked) -> None:
    found, awaited = checked.results("C91", "C99", "list_beats_simple_rivals")
    assert awaited == ["C99", "list_beats_simple_rivals"]
    del checked.contents[f"{MONTHLY}@2015-01"]
    found, awaited = checked.results("C92")
    assert awaited == []
    assert [(result.check, result.state) for result in found.values()] == [("C92", "missing")]


def test_a_record_of_before_the_signatures_is_unproved(checked: Checked) -> None:
    checked.run("plain")
    path = Path(record_path(checked.lake, "plain", WHOLE, None))
    unsigned = json.loads(path.read_text())
    del unsigned["mac"]
    path.write_text(json.dumps(unsigned))
    assert checked.states("C91") == {("plain", WHOLE): "unproved"}


def test_a_gate_tells_how_to_mend_what_failed_and_to_run_what_has_no_result(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finai_checks.ways_out.WAYS_OUT", {"plain": "mend it", "by_month": "mend the month"})
    gates, asked = CheckGates(checked.platform, (THEME,)), [(WHOLE, None), (MONTHLY, "2015-01")]
    with pytest.raises(GateError, match="2 blocking checks have not passed") as refused:
        gates.demand(checked.lake, asked)
    assert "mend" not in refused.value.fix
    assert refused.value.fix.startswith("`finai recheck`")
    checked.run("plain", passes=False)
    with pytest.raises(GateError, match="it does not hold") as refused:
        gates.demand(checked.lake, asked)
    assert refused.value.fix.split("\n  ")[0] == "plain: mend it"
    assert "mend the month" not in refused.value.fix
