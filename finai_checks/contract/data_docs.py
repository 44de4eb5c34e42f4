"""Great Expectations' own pages ("Data Docs") about the raw tables of stored months."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from finai_assets.asset_graph import CATEGORIES
from finai_assets.settings import Settings
from finai_checks.contract.checks import read_tables
from finai_checks.contract.suite import suites
from finai_checks.framework.raw import catalogue_table
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.progress import report_progress


def write_data_docs(session: LakeSession, settings: Settings, months: Sequence[Month], folder: Path) -> Path:
    """Validate the raw tables of some months, and write the pages of it.

    Suites and frames are those of the check ``schema_contract``; every month is a run of its own in the pages. What the folder
    holds already stays, so that the pages grow month by month.

    Returns
    -------
    Path
        ``index.html`` of the site. Its pages load their styles from public networks.

    Raises
    ------
    LakeError
        A month is not stored.
    """
    import great_expectations as gx  # noqa: PLC0415 - takes seconds to import
    from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    context = gx.get_context(mode="file", project_root_dir=folder)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    context.variables.analytics_enabled = False
    mccs = catalogue_table(session, settings, CATEGORIES)["mcc"].to_numpy()
    for done, month in enumerate(months, start=1):
        tables = read_tables(session, month, settings)
        for name, frame, expectations in suites(tables, month, settings, mccs=mccs):
            _validate(context, f"{name} {month}", frame, expectations)
        report_progress("months", done, len(months))
    context.build_data_docs()
    return Path(context.get_docs_sites_urls()[0]["site_url"].removeprefix("file://"))


def _validate(context: Any, name: str, frame: Any, expectations: list[Any]) -> None:
    import great_expectations as gx  # noqa: PLC0415 - see write_data_docs

    whole = context.data_sources.add_or_update_pandas(name).add_dataframe_asset(name)
    suite = context.suites.add_or_update(gx.ExpectationSuite(name=name, expectations=expectations))
    definition = gx.ValidationDefinition(name=name, data=whole.add_batch_definition_whole_dataframe(name), suite=suite)
    known = context.validation_definitions.add_or_update(definition)
    checkpoint = context.checkpoints.add_or_update(gx.Checkpoint(name=name, validation_definitions=[known]))
    checkpoint.run(batch_parameters={"dataframe": frame})
