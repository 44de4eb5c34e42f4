"""What a run of some assets of a job takes along: their checks of every run, and no audit."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster_shared.error import SerializableErrorInfo

from finai_assets.platform import Platform
from finai_assets.settings import load_settings
from finai_checks.catalogue import declared_checks
from finai_checks.framework.evidence_log import EVIDENCE
from finai_cli.execute import Runner, _chain, _error_of, dagster_instance
from finai_cli.plan import main_job
from finai_cli.run import lake_of
from finai_resources.chained_log import ChainedLog
from finai_resources.errors import LakeError
from finai_resources.home import Home
from finai_resources.secrets import SecretStore


@pytest.mark.slow
def test_a_run_of_some_assets_evaluates_their_checks_and_leaves_audits_alone(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    settings = load_settings("synthetic", "smoke", overrides={"generator": {"customers": 300}})
    platform = Platform.of(settings, SecretStore(home.root))
    checks = declared_checks(platform)
    stages = {stage.name: stage for stage in main_job(platform)}
    with dagster_instance(home) as instance:
        lake = lake_of(platform, home)
        runner = Runner(platform, home, lake, instance)
        for unit in (*stages["source"].units, *stages["ingest"].units):
            runner.run(unit, list(unit.assets), checks)
        volume = dg.AssetCheckKey(dg.AssetKey(["raw", "snapshots"]), "C06_volume_stable")
        volumes = instance.event_log_storage.get_asset_check_execution_history(volume, limit=100)
        (fit,) = stages["fit"].units
        runner.run(fit, ["feature_state/demographics"], checks)
    # It is asked of fewer months than there are; planned for another one, it would show as skipped.
    (asked,) = [check for check in checks if (check.asset, check.name) == ("raw/snapshots", "volume_stable")]
    assert asked.months
    assert len(volumes) == len(asked.months) < len(stages["ingest"].units)
    assert {each.status.value for each in volumes} <= {"SUCCEEDED", "FAILED"}
    done = {
        entry.record["name"]
        for entry in ChainedLog(lake, EVIDENCE).entries()
        if entry.record["asset"] == "feature_state/demographics"
    }
    here = [check for check in checks if check.asset == "feature_state/demographics"]
    assert done == {check.name for check in here if not check.kind.audit}
    assert any(check.kind.audit for check in here)


def serialised(error: Exception) -> list[SerializableErrorInfo]:
    """Return an error and its causes as a failed step of Dagster tells them."""
    try:
        raise error
    except Exception:
        return list(_chain(serializable_error_info_from_exc_info(sys.exc_info())))


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (caused(RuntimeError("step"), LakeError("it is gone", where="raw/x", fix="run")), "train: raw/x: it is gone"),
        (caused(LakeError("it is gone"), OSError(errno.EIO, "Input/output error")), "train: it is gone"),
        (caused(RuntimeError("step"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a")), "/a: the disk is full"),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "train: too many files are open"),
        (caused(RuntimeError("step"), ValueError("an age is 200")), "train: ValueError: an age is 200"),
    ],
)
def test_a_failed_step_ends_with_the_sentence_that_says_most(error: Exception, said: str) -> None:
    told = str(_error_of(serialised(error), "train"))
    assert told.startswith(said)
    assert "Traceback" not in told
