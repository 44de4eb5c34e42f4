"""The Dagster definitions of the platform: assets, checks, jobs, schedules and resources.

The UI, the command line, the tests and production build their definitions here. ``FINAI_DATASET``, ``FINAI_PROFILE`` and
``FINAI_HOME`` choose when nothing is given.
"""

from __future__ import annotations

import os
import warnings

import dagster as dg

from finai_assets.automation.conditions import build_condition_sensor
from finai_assets.automation.freshness import build_freshness_checks, freshness_job
from finai_assets.automation.jobs import EXECUTOR, build_jobs
from finai_assets.automation.schedules import build_monthly_schedules
from finai_assets.automation.sensors import build_source_sensors
from finai_assets.automation.specs import require_known_groups
from finai_assets.bundle import assets as bundle
from finai_assets.choice import assets as choice
from finai_assets.evaluation import assets as evaluation
from finai_assets.features import assets as features
from finai_assets.ingest import assets as ingest
from finai_assets.ingest.last_month import with_last_month
from finai_assets.labels import assets as labels
from finai_assets.platform import Platform
from finai_assets.promotion import assets as promotion
from finai_assets.recommend import assets as recommend
from finai_assets.settings import Settings, load_settings
from finai_assets.source import kept_versions
from finai_assets.students import assets as students
from finai_assets.teacher import assets as teacher
from finai_assets.training import assets as training
from finai_checks.assets import audit_keys, build_checks
from finai_checks.gates import CheckGates
from finai_checks.nightly import build_schedules, verification
from finai_checks.sensors import build_check_sensors
from finai_resources.errors import ConfigError, ContractError
from finai_resources.home import Home
from finai_resources.home_resource import HomeResource
from finai_resources.lake_resource import LakeResource, lake_of_home
from finai_resources.secrets import SecretStore
from finai_resources.warehouse_resource import WarehouseResource

PACKAGES = (ingest, features, labels, training, teacher, evaluation, students, choice, bundle, promotion, recommend)


def settings_from_environment() -> Settings:
    """Return the settings that ``FINAI_DATASET``, ``FINAI_PROFILE`` and ``FINAI_SOURCE`` choose."""
    source = os.environ.get("FINAI_SOURCE")
    return load_settings(
        os.environ.get("FINAI_DATASET", "synthetic"),
        os.environ.get("FINAI_PROFILE", "demo"),
        overrides={"dataset": {"source": source}} if source else None,
    )


def build_definitions(
    *, settings: Settings | None = None, home: Home | None = None, resources: dict[str, object] | None = None
) -> dg.Definitions:
    """Return assets, checks, jobs, schedules and resources of one data set in one profile.

    Parameters
    ----------
    settings
        By default those that the environment chooses, their months as far as its source has them.
    home
        By default ``FINAI_HOME``, or ``.finai/<dataset>-<profile>``.
    resources
        Replacements by name (``lake``, ``warehouse``, ``home``, ``gates``), for tests and deployments.
    """
    chosen = settings or settings_from_environment()
    home = home or Home.choose(chosen.dataset.name, chosen.profile)
    settings = settings or _with_end(chosen, home)
    platform = Platform.of(settings, SecretStore(home.root))
    require_known_groups(platform)
    given = resources or {}
    used = {**default_resources(settings, home), "gates": CheckGates(platform), **given}
    if "warehouse" not in given and isinstance(lake := used["lake"], LakeResource):
        used["warehouse"] = WarehouseResource(lake=lake)  # queries go to the replaced lake
    audits = audit_keys(platform)
    with warnings.catch_warnings():
        # Virtual assets and partitioned checks are previews; tests/dagster_behaviour pins the behaviour relied on (ADR 1).
        warnings.simplefilter("ignore", dg.PreviewWarning)
        warnings.simplefilter("ignore", dg.BetaWarning)
        freshness = build_freshness_checks(platform)
        jobs = build_jobs(platform, audits, freshness)
        definitions = dg.Definitions(
            assets=[asset for package in PACKAGES for asset in package.build_assets(platform)],
            asset_checks=[*build_checks(platform), *freshness],
            jobs=[*jobs, *freshness_job(freshness), verification],
            schedules=[
                *build_schedules(platform, audits=bool(audits)),
                *build_monthly_schedules(platform, jobs, freshness=bool(freshness)),
            ],
            sensors=[
                *build_source_sensors(platform, jobs),
                *build_check_sensors(platform, jobs),
                build_condition_sensor(settings.automation.sensor_seconds),
            ],
            resources=used,
            executor=EXECUTOR,  # of Dagster's own asset job, too: what is selected in the UI runs as the jobs do
        )
    kept_versions().write()
    return definitions


def _with_end(settings: Settings, home: Home) -> Settings:
    """Return the settings with an end for months that go on; a source that cannot be read leaves that which the home knows.

    A database is not queried each time that a process loads the definitions: what `finai run` was told last is remembered.
    """
    if not settings.dataset.raw_months.goes_on:
        return settings
    lake = lake_of_home(home).open()
    of_files = settings.tables is None or all(source.url is None for source in settings.tables.sources.values())
    cache = home.cache if home.root.is_dir() else None
    try:
        return with_last_month(settings, lake, cache, ask=of_files)[0]
    except (ConfigError, ContractError) as error:
        dg.get_dagster_logger("finai").warning("the source is not asked for its last month: %s", error)
        return with_last_month(settings, lake, cache, ask=False)[0]


def default_resources(settings: Settings, home: Home) -> dict[str, object]:
    """Return the lake, the warehouse over it, and the home folder."""
    lake = lake_of_home(home, compression=settings.lake.compression, compression_level=settings.lake.compression_level)
    return {
        "lake": lake,
        "warehouse": WarehouseResource(lake=lake),
        "home": HomeResource(root=str(home.root)),
    }


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions that the environment chooses; what ``workspace.yaml`` loads."""
    return build_definitions()
