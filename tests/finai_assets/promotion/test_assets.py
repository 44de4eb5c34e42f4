"""The champion in Dagster: a poisoned challenger shows as failed checks, and the champion stays."""

from __future__ import annotations

import json

import dagster as dg
import numpy as np
import pytest
from bundle_fixtures import KEY
from promotion_fixtures import THEME, Office, retrained

from finai_assets.asset_graph import CHAMPION
from finai_assets.bundle.registry import Registry
from finai_assets.definitions import build_definitions
from finai_assets.platform import Platform
from finai_checks.gates import CheckGates
from finai_resources.home import Home

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def materialised(office: Office, monkeypatch: pytest.MonkeyPatch) -> object:
    """Return what materialises the champion and returns the checks that passed, by name, and the metadata."""
    monkeypatch.setenv("FINAI_SIGNING_KEY", KEY.hex())
    home = Home(office.home, office.lake.root)
    gates = CheckGates(office.platform, (THEME,))
    definitions = build_definitions(settings=office.settings, home=home, resources={"gates": gates})

    def run() -> tuple[dict[str, bool], dict[str, object]]:
        result = definitions.resolve_job_def("promote").execute_in_process(raise_on_error=False, run_config=QUIET)
        [made] = result.asset_materializations_for_node("champion")
        checks = {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
        return checks, {name: value.value for name, value in made.metadata.items()}

    return run


def test_a_poisoned_challenger_fails_its_check_and_leaves_the_champion(office: Office, materialised: object) -> None:
    assert callable(materialised)
    office.sign("challenger")
    checks, told = materialised()
    first = Registry.read(office.lake).aliases["champion"]
    assert checks == {"C29_challenger_beats_champion": True, "C30_promotion_signed_by_other": True}
    assert (told["promoted"], told["champion"]) == (True, first)
    checks, told = materialised()  # again: nothing to decide, and nothing is written
    assert set(checks.values()) == {True}
    assert "champion already" in str(told["remark"])
    office.store(retrained(office.made, np.random.default_rng(0).permutation, "churn_signal"))
    office.sign("challenger", "it looked fine to us")
    checks, told = materialised()
    assert checks == {"C29_challenger_beats_champion": False, "C30_promotion_signed_by_other": True}
    assert (told["promoted"], told["champion"], told["codes"]) == (False, first, "TASK_WORSE")
    assert Registry.read(office.lake).aliases["champion"] == first
    stored = json.loads(office.lake.read_bytes(CHAMPION, None, "verdict.json"))
    assert stored["codes"] == ["TASK_WORSE"]


def test_a_challenger_that_nobody_signed_fails_the_check_of_signatures_alone(
    office: Office, materialised: object
) -> None:
    assert callable(materialised)
    checks, told = materialised()
    assert checks == {"C29_challenger_beats_champion": True, "C30_promotion_signed_by_other": False}
    assert told["codes"] == "PROPOSAL_MISSING"
    assert told["champion"] == "none"


def test_the_job_is_no_stage_of_the_main_job(office: Office) -> None:
    from finai_cli.plan import main_job

    platform = Platform.of(office.settings)
    assert CHAMPION not in [path for stage in main_job(platform) for unit in stage.units for path in unit.assets]
    assert dg.AssetKey(CHAMPION.split("/")) in {
        spec.key for spec in build_definitions(settings=office.settings).resolve_all_asset_specs()
    }
