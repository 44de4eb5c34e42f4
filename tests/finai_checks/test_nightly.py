"""The nightly jobs: what is stored is verified, a fault fails the run with its way out, and schedules wait for a person."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from finai_assets.definitions import build_definitions
from finai_assets.settings import load_settings
from finai_checks.framework.evidence_log import evidence_log
from finai_resources.errors import ConfigError
from finai_resources.home import Home
from finai_resources.lake import Lake


@pytest.fixture
def home(tmp_path: Path) -> Home:
    lake = Lake.on_disk(tmp_path / "lake")
    with lake.write("raw/products") as out:
        out.put("x.bin", b"12345678")
    evidence_log(lake, None).append_all({"n": n} for n in range(3))
    return Home.at(tmp_path)


def _definitions(home: Home) -> dg.Definitions:
    return build_definitions(settings=load_settings("synthetic", "smoke"), home=home)


def test_the_job_passes_on_a_home_as_it_was_written_and_fails_on_a_flipped_bit(home: Home) -> None:
    job = _definitions(home).resolve_job_def("verify_home")
    assert job.execute_in_process().success
    file = next((home.root / "lake" / "raw").rglob("x-*.bin"))
    content = bytearray(file.read_bytes())
    content[3] ^= 1
    file.write_bytes(content)
    ended = job.execute_in_process(raise_on_error=False)
    assert not ended.success
    (failure,) = [event for event in ended.all_events if event.is_step_failure]
    told = failure.step_failure_data.user_failure_data
    assert "hash is not the one in its manifest" in told.description
    (row,) = told.metadata["faults"].records
    assert "`finai run` computes raw/products again" in row.data["fix"]


def test_a_log_that_was_edited_fails_it_too(home: Home) -> None:
    entry = home.root / "lake" / "evidence" / "000000001.json"
    entry.write_bytes(entry.read_bytes().replace(b'"n":1', b'"n":7').replace(b'"n": 1', b'"n": 7'))
    assert not _definitions(home).resolve_job_def("verify_home").execute_in_process(raise_on_error=False).success


def test_the_schedules_run_both_nightly_jobs_and_are_off_until_somebody_switches_them_on(home: Home) -> None:
    repository = _definitions(home).get_repository_def()
    schedules = {each.name: each for each in repository.schedule_defs if not each.name.startswith("monthly_")}
    assert set(schedules) == {"nightly_verify_home", "nightly_audit"}
    for schedule in schedules.values():
        assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 3 * * *", "Asia/Seoul")
        assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
        assert repository.has_job(schedule.job_name)
        assert repository.get_job(schedule.job_name).partitions_def is None  # a tick needs no month


@pytest.mark.parametrize(("cron", "timezone"), [("at night", "Asia/Seoul"), ("0 3 * * *", "Asia/Pyongchang")])
def test_a_time_that_is_none_is_refused_by_its_setting(cron: str, timezone: str) -> None:
    with pytest.raises(ConfigError, match=r"checks\.audits\.(cron|timezone)"):
        load_settings("synthetic", "smoke", overrides={"checks": {"audits": {"cron": cron, "timezone": timezone}}})
