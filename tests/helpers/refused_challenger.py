"""A home with a champion and a poisoned challenger that two people signed for, judged through Dagster."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
import numpy as np
from bundle_fixtures import KEY, make
from promotion_fixtures import THEME, Office, furnished, promotion_settings, retrained

from finai_assets.definitions import build_definitions
from finai_assets.platform import Platform
from finai_assets.settings import Settings, load_settings
from finai_checks.gates import CheckGates
from finai_cli.execute import dagster_instance
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.secrets import SecretStore

CHAMPION = "serving/champion"
CHECK = "C29_challenger_beats_champion"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def settings() -> Settings:
    return promotion_settings(load_settings("synthetic", "smoke"))


def build(home: Home) -> dg.Definitions:
    """Return the definitions of a home whose one mandatory check is that of the fixtures."""
    gates = CheckGates(Platform.of(settings(), SecretStore(home.root)), (THEME,))
    return build_definitions(settings=settings(), home=home, resources={"gates": gates})


def poison(home: Home) -> Office:
    """Fill a home, promote a bundle, let a poisoned one be judged, and return the office."""
    os.environ["FINAI_SIGNING_KEY"] = KEY.hex()
    office = furnished(make(), Lake.on_disk(Path(home.lake_root)), home.root)
    with dagster_instance(home) as instance:
        for reason in ("", "it looked fine to us"):
            office.sign("challenger", reason)
            job = build(home).resolve_job_def("promote")
            job.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET)
            office.store(retrained(office.made, np.random.default_rng(0).permutation, "churn_signal"))
    return office
