"""What a run of some assets of a job takes along: their checks of every run, and no audit."""

from __future__ import annotations

from pathlib import Path

import pytest

from finai_assets.platform import Platform
from finai_assets.settings import load_settings
from finai_checks.catalogue import declared_checks
from finai_checks.framework.evidence_log import EVIDENCE
from finai_cli.execute import Runner, dagster_instance
from finai_cli.plan import main_job
from finai_cli.run import lake_of
from finai_resources.chained_log import ChainedLog
from finai_resources.home import Home


@pytest.mark.slow
def test_a_run_of_some_assets_evaluates_their_checks_and_leaves_audits_alone(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    platform = Platform.of(load_settings("synthetic", "smoke", overrides={"generator": {"customers": 300}}))
    checks = declared_checks(platform)
    stages = {stage.name: stage for stage in main_job(platform)}
    with dagster_instance(home) as instance:
        lake = lake_of(platform, home)
        runner = Runner(platform, home, lake, instance)
        for unit in (*stages["source"].units, *stages["ingest"].units):
            runner.run(unit, list(unit.assets), checks)
        (fit,) = stages["fit"].units
        runner.run(fit, ["feature_state/demographics"], checks)
    done = {
        entry.record["name"]
        for entry in ChainedLog(lake, EVIDENCE).entries()
        if entry.record["asset"] == "feature_state/demographics"
    }
    here = [check for check in checks if check.asset == "feature_state/demographics"]
    assert done == {check.name for check in here if not check.kind.audit}
    assert any(check.kind.audit for check in here)
