"""Each sensor, tick by tick: what it requests or opens, and that a second tick on the same state does nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from dagster_aws.s3 import S3Resource
from small_bank import MONTHS, Bank, loaded_bank
from vouched import tell

from finai_assets.asset_graph import BUNDLE, PUBLISHED, RECOMMENDATIONS, TRANSACTIONS, group_asset, state_asset
from finai_assets.automation.jobs import build_jobs
from finai_assets.automation.requests import Wanted, requested
from finai_assets.automation.schedules import build_monthly_schedules, score_last_month
from finai_assets.automation.sensors import build_source_sensors
from finai_assets.automation.wants import features_of_new_months, lists_of_last_month
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import NO_EVIDENCE, CheckOutcome
from finai_checks.schema.watch import decide
from finai_checks.sensors import ask_for_retraining, build_check_sensors
from finai_checks.stability.checks import DRIFT
from finai_resources.home_resource import HomeResource
from finai_resources.lake_resource import LakeResource
from finai_resources.lake_session import LakeSession
from tests.finai_assets.ingest.tables.test_berka import KEY

BY = {"by": "Kim, data office", "why": "the core system renamed it on purpose"}
DRIFTED = CheckOutcome(False, "age has a PSI of .4", 1000)


class Watcher:
    """The sensors of a bank, each with its cursor."""

    def __init__(self, bank: Bank, instance: dg.DagsterInstance) -> None:
        self.bank, self.instance, self.cursors = bank, instance, dict[str, str | None]()
        jobs = build_jobs(bank.platform)
        sensors = [*build_source_sensors(bank.platform, jobs), *build_check_sensors(bank.platform, jobs)]
        self.sensors = {sensor.name: sensor for sensor in sensors}

    def tick(self, name: str) -> tuple[list[tuple[str | None, str | None]], str]:
        """Return the jobs and months that a tick requests, and why none."""
        resources = {
            "lake": LakeResource(root=self.bank.lake.root, s3=S3Resource()),
            "home": HomeResource(root=str(self.bank.root / "home")),
        }
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursors.get(name), resources=resources
        ) as context:
            result = self.sensors[name](context)
        if isinstance(result, dg.SkipReason):
            return [], str(result.skip_message)
        assert isinstance(result, dg.SensorResult)
        self.cursors[name] = result.cursor
        self.last = list(result.run_requests or [])
        told = str(result.skip_reason.skip_message) if isinstance(result.skip_reason, dg.SkipReason) else ""
        return [(each.job_name, each.partition_key) for each in self.last], told


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FINAI_PSEUDONYM_KEY", KEY.hex())
        return loaded_bank(tmp_path_factory.mktemp("bank"))


@pytest.fixture
def bank(loaded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bank:
    monkeypatch.setenv("FINAI_PSEUDONYM_KEY", KEY.hex())
    shutil.copytree(loaded, tmp_path, dirs_exist_ok=True)
    return Bank(tmp_path)


@pytest.fixture
def watcher(bank: Bank) -> Iterator[Watcher]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Watcher(bank, instance)


def add_row(bank: Bank, row: str = '30;1;930220;"VYBER";"VYBER";5;0;"";"";') -> None:
    with (bank.source / "trans.asc").open("a") as file:
        file.write(f"{row}\n")


def test_every_sensor_is_off_until_somebody_switches_it_on(watcher: Watcher) -> None:
    assert set(watcher.sensors) == {"late_data", "new_month", "schema_change", "drift"}
    assert {sensor.default_status for sensor in watcher.sensors.values()} == {dg.DefaultSensorStatus.STOPPED}


def test_a_late_row_requests_exactly_its_month_once(watcher: Watcher) -> None:
    assert watcher.tick("late_data") == ([], "nothing has changed")
    add_row(watcher.bank)
    assert watcher.tick("late_data")[0] == [("ingest_month", "1993-02-01")]
    again, why = watcher.tick("late_data")
    assert again == []
    assert "requested before: late:1993-02" in why
    watcher.bank.load("1993-02")
    assert watcher.tick("late_data") == ([], "nothing has changed")


def test_a_correction_that_comes_and_goes_is_requested_each_time_under_a_key_of_its_own(watcher: Watcher) -> None:
    text = (watcher.bank.source / "trans.asc").read_text()
    keys = []
    for _ in range(2):
        add_row(watcher.bank)
        assert watcher.tick("late_data")[0] == [("ingest_month", "1993-02-01")]
        keys.append(watcher.last[0].run_key)
        watcher.bank.load("1993-02")
        (watcher.bank.source / "trans.asc").write_text(text)
        assert watcher.tick("late_data")[0] == [("ingest_month", "1993-02-01")]
        keys.append(watcher.last[0].run_key)
        watcher.bank.load("1993-02")
        assert watcher.tick("late_data")[0] == []
    assert len(set(keys)) == 4  # Dagster starts no second run under a key


def test_nothing_is_loaded_while_a_change_of_the_schema_awaits_a_decision(watcher: Watcher) -> None:
    add_row(watcher.bank)
    watcher.bank.edit("account", "frequency", "statement_cycle")
    for name in ("late_data", "new_month"):  # before the other sensor has seen it, and after
        assert "awaits a decision" in watcher.tick(name)[1]
    watcher.tick("schema_change")
    for name in ("late_data", "new_month"):
        requests, why = watcher.tick(name)
        assert requests == []
        assert "awaits a decision" in why


def test_a_held_change_is_told_once_and_its_months_are_requested_once_it_is_accepted(watcher: Watcher) -> None:
    bank = watcher.bank
    bank.edit("trans", "account_id", "konto")
    requests, told = watcher.tick("schema_change")
    assert requests == []
    assert "account_id is called konto" in told
    assert watcher.tick("schema_change") == ([], "nothing has changed")
    (name,) = bank.incidents.all
    key = dg.AssetCheckKey(dg.AssetKey(TRANSACTIONS.split("/")), "C05_source_schema_accepted")
    history = watcher.instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
    assert {(each.partition, each.status.value) for each in history} == {(f"{month}-01", "FAILED") for month in MONTHS}
    decide(bank.platform, bank.lake, bank.secrets, name, "accepted", **BY)
    assert watcher.tick("schema_change")[0] == [("ingest_month", f"{month}-01") for month in MONTHS]
    assert watcher.tick("schema_change")[0] == []
    assert watcher.tick("late_data")[0] == []  # the months are in the other sensor's hands


def test_a_change_that_rematerialises_asks_for_its_months_and_then_for_the_groups_that_it_touches(
    loaded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINAI_PSEUDONYM_KEY", KEY.hex())
    shutil.copytree(loaded, tmp_path, dirs_exist_ok=True)
    bank = Bank(tmp_path, vocabulary="rematerialise")
    graph, touched, other = bank.platform.graph, group_asset("mcc_top30_multihot"), group_asset("demographics")
    for path in (touched, other):
        for month in ("1993-01", "1993-02", "1993-03"):
            session = LakeSession(bank.lake)
            for read in MONTHS[: MONTHS.index(month) + 1]:
                session.manifest(TRANSACTIONS, read)
            with session.write(path, month, **graph.versions(path)) as out:
                out.write(pa.table({"customer_id": [1]}))
    # Words that the mapping knows and the column had not: February's rows are others.
    bank.edit("trans", '"PREVOD NA UCET";100;40910;"SIPO"', '"PREVOD NA UCET";100;40910;"loan_pmt"')
    with dg.DagsterInstance.ephemeral() as instance:
        watcher = Watcher(bank, instance)
        requests, _ = watcher.tick("schema_change")
        assert {job for job, _ in requests} == {"ingest_month"}
        months = [str(month)[:7] for _, month in requests]
        assert watcher.tick("schema_change")[0] == []
        bank.load(*months)
        requests, _ = watcher.tick("schema_change")
        assert {job for job, _ in requests} == {"monthly_features"}
        assert months == [
            "1993-02",
            "1993-03",
        ]  # what is held since a household payment in February is held in March too
        assert [str(month)[:7] for _, month in requests] == ["1993-02", "1993-03"]
        for request in watcher.last:
            assert dg.AssetKey(touched.split("/")) in request.asset_selection
            assert request.asset_check_keys
            assert not any("C11" in key.name for key in request.asset_check_keys)  # no audit
        assert watcher.tick("schema_change")[0] == []


def test_a_new_month_is_loaded_then_its_features_then_its_lists(watcher: Watcher) -> None:
    bank = watcher.bank
    bank.lake.fs.delete_dir(f"{bank.lake.folder('raw/snapshots', '1993-03')}")
    assert watcher.tick("new_month")[0] == [("ingest_month", "1993-03-01")]
    assert watcher.tick("new_month")[0] == []
    bank.load("1993-03")
    assert watcher.tick("new_month")[0] == []  # nothing was computed yet: a person runs the first job
    groups = [group.name for group in bank.platform.registry.available]
    for name in groups:
        _put(bank, state_asset(name))
        _put(bank, group_asset(name), "1993-02")
    assert watcher.tick("new_month")[0] == [("monthly_features", "1993-03-01")]
    assert watcher.tick("new_month")[0] == []
    for name in groups:
        _put(bank, group_asset(name), "1993-03")
    assert features_of_new_months(bank.platform, bank.lake) == []
    assert lists_of_last_month(bank.platform, bank.lake) == []  # no bundle is published
    for path in (BUNDLE, PUBLISHED):
        _put(bank, path)
    assert watcher.tick("new_month")[0] == [("score_month", "1993-03-01")]
    assert watcher.tick("new_month")[0] == []
    _put(bank, RECOMMENDATIONS, "1993-03")
    assert watcher.tick("new_month") == ([], "nothing has changed")


def _put(bank: Bank, path: str, month: str | None = None) -> None:
    with bank.lake.write(path, month) as out:
        out.put("x.json", f"{path} {month}".encode())


def drift(bank: Bank, group: str, *months: str, outcome: CheckOutcome = DRIFTED) -> None:
    path = group_asset(group)
    (check,) = [each for each in declared_checks(bank.platform) if (each.kind, each.asset) == (DRIFT, path)]
    for month in months:
        if bank.lake.find(path, month) is None:
            _put(bank, path, month)
    tell(bank.lake, bank.platform, [(check, month) for month in months], outcome)


def asked(bank: Bank) -> list[str]:
    return [each.id for each in ask_for_retraining(bank.platform, bank.lake, bank.secrets)]


def test_three_drifting_months_in_a_row_ask_for_a_retraining_once(watcher: Watcher) -> None:
    bank = watcher.bank
    drift(bank, "demographics", "1993-09", "1993-10")
    assert watcher.tick("drift") == ([], "no group drifts for months in a row")
    drift(bank, "demographics", "1993-11")
    requests, told = watcher.tick("drift")
    assert requests == []  # nothing is retrained silently
    assert "demographics has drifted for 3 months in a row (1993-09 to 1993-11)" in told
    (incident,) = bank.incidents.all.values()
    assert (incident.kind, incident.state, len(incident.evidence)) == ("retrain", "open", 3)
    drift(bank, "demographics", "1993-12")
    assert asked(bank) == []
    bank.incidents.decide(incident.id, "closed", by="Lee", why="retrained on the months of 1993")
    assert asked(bank) == []  # 1993-12 is new, the two before it were told
    drift(bank, "demographics", "1994-01", "1994-02")
    assert asked(bank) == [f"{incident.id}-2"]


@pytest.mark.parametrize(
    ("months", "outcome"),
    [
        (("1993-08", "1993-10", "1993-11"), DRIFTED),
        (("1993-09", "1993-10", "1993-11"), CheckOutcome(False, NO_EVIDENCE, 0)),
        (("1993-09", "1993-10", "1993-11"), CheckOutcome(True, "", 1000)),
    ],
)
def test_months_with_a_gap_without_evidence_or_without_drift_ask_for_nothing(
    bank: Bank, months: tuple[str, ...], outcome: CheckOutcome
) -> None:
    drift(bank, "demographics", *months, outcome=outcome)
    assert asked(bank) == []


def test_the_schedule_scores_the_last_month_that_has_all_its_features(bank: Bank) -> None:
    jobs = build_jobs(bank.platform)
    schedules = {each.name: each for each in build_monthly_schedules(bank.platform, jobs, freshness=True)}
    assert {each.default_status for each in schedules.values()} == {dg.DefaultScheduleStatus.STOPPED}
    assert schedules["monthly_scoring"].cron_schedule == "0 6 3 * *"
    answer = score_last_month(bank.platform, bank.lake)
    assert isinstance(answer, dg.SkipReason)
    for group in bank.platform.registry.available:
        _put(bank, group.asset, "1993-02")
    answer = score_last_month(bank.platform, bank.lake)
    assert isinstance(answer, dg.SkipReason)
    assert "nothing can score" in str(answer.skip_message)


def test_what_is_wanted_again_after_it_was_gone_gets_another_run_key() -> None:
    wanted = [Wanted("late:x", "ingest_month", "1993-01-01")]
    first, cursor = requested(wanted, None, 5)
    assert requested(wanted, cursor, 9) == ([], cursor)
    _, emptied = requested([], cursor, 9)
    second, _ = requested(wanted, emptied, 9)
    assert (first[0].run_key, second[0].run_key) == ("late:x:5", "late:x:9")
