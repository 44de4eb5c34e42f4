"""A month whose incomes jumped, run through Dagster: its check fails, and what reads the group is not run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pyarrow.compute as pc
from vouched import vouch

from finai_assets.definitions import build_definitions
from finai_checks.framework.small_lake import SmallLake, small_settings
from finai_cli.execute import dagster_instance
from finai_resources.home import Home
from finai_resources.secrets import SecretStore

GROUP, CONSUMER, BESIDE = "features/demographics", "recommendations/customers", "recommendations/decisions"
CHECK = "C17_feature_drift_psi_important"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def build(home: Home) -> dg.Definitions:
    """Return the definitions of the small lake in a home."""
    return build_definitions(settings=small_settings(), home=home)


def make(home: Home) -> tuple[str, str]:
    """Fill a home, run the spoiled month, and return the run's id and the month's partition key."""
    small = SmallLake.build(Path(home.lake_root))
    shutil.rmtree(
        Path(home.lake_root) / "students", ignore_errors=True
    )  # so that the raw groups' columns count as important
    month = small.month_of("test")
    table = small.lake.read("raw/snapshots", month.key)
    at = table.schema.get_field_index("income")
    spoiled = table.set_column(at, table.schema.field(at), pc.multiply(table["income"], 20.0))
    small.rewrite("raw/snapshots", month.key, spoiled)
    vouch(small.lake, replace(small.platform, secrets=SecretStore(home.root)))
    definitions = build(home)
    keys = [dg.AssetKey(path.split("/")) for path in (GROUP, CONSUMER, BESIDE)]
    with dagster_instance(home) as instance:
        result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            asset_selection=keys,
            partition_key=month.partition_key,
            raise_on_error=False,
            run_config=QUIET,
        )
    return result.run_id, month.partition_key
