"""C05: every change of the source's schema that is held was accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from finai_assets.asset_graph import SNAPSHOTS, SOURCE
from finai_assets.governance.incidents import Incidents, incident_log
from finai_assets.governance.source_schema import Recorded, digest_of_files, read_state, schema_log
from finai_assets.platform import Platform
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared, declare_together
from finai_checks.schema.accepted import Loaded, schema_accepted

SCHEMA_ACCEPTED = CheckKind(
    "C05",
    "source_schema_accepted",
    "no change of the source's schema that awaits a decision alters the month's rows, and the month was loaded under no change "
    "that awaits one or was rejected",
    blocking=True,
    minimum=1,
    units="columns of the source",
)
KINDS = (SCHEMA_ACCEPTED,)


def declare_checks(platform: Platform) -> list[Declared]:
    """Put the check on each raw table of each month; of a generated panel, whose schema the code makes, on the snapshots."""
    generated = SOURCE in platform.graph
    tables = (SNAPSHOTS,) if generated else platform.graph.in_groups([platform.graph[SNAPSHOTS].group])
    months = tuple(platform.settings.dataset.raw_months)
    return declare_together(SCHEMA_ACCEPTED, tables, evaluate_schema, platform.settings, months=months)


def evaluate_schema(context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
    """Judge the raw tables of a month by what was recorded and decided of the source's schema."""
    lake, month, secrets = context.session.lake, context.required_month.key, context.platform.secrets
    logs = (incident_log(lake, secrets), schema_log(lake))
    faults = [f"the log {log.name}, entry {fault.sequence}: {fault.what}" for log in logs for fault in log.verify()]
    changes: list[tuple[Recorded, str]] = []
    if not faults:  # of a log that was altered nobody knows what was decided
        state = read_state(lake, Incidents(lake, secrets))
        changes = [(recorded, state.standing(recorded)) for recorded in state.changes]
    outcomes = {}
    for asset in assets:
        manifest = lake.find(asset, month)
        loaded = None
        if manifest is not None:
            schema, files = manifest.extra.get("source_schema", {}), manifest.extra.get("source_files", {})
            loaded = Loaded(asset, month, sum(map(len, schema.values())), digest_of_files(files) if files else "")
        outcomes[asset] = schema_accepted(loaded, changes, faults)
    return outcomes
