"""Sensors that let checks speak: a changed schema of the source, months that drift. A person switches them on in the UI."""

from collections.abc import Mapping, Sequence

import dagster as dg

from finai_assets.asset_graph import SOURCE
from finai_assets.automation.sensors import answer
from finai_assets.automation.wants import FEATURES, INGEST, months_of_changes
from finai_assets.governance.incidents import RETRAIN, Incident, Incidents
from finai_assets.governance.schema_watch import look
from finai_assets.platform import Platform
from finai_checks.assets import as_evaluation, check_key
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import NO_EVIDENCE, Declared
from finai_checks.framework.ledger import Ledger
from finai_checks.schema.watch import watch
from finai_checks.stability.checks import DRIFT
from finai_resources.event_log import log_evaluations
from finai_resources.home_resource import HomeResource
from finai_resources.lake import Lake
from finai_resources.lake_resource import LakeResource
from finai_resources.months import Month
from finai_resources.secrets import SecretStore


def build_check_sensors(
    platform: Platform, jobs: "Sequence[dg.UnresolvedAssetJobDefinition]"
) -> list[dg.SensorDefinition]:
    """Return the sensors of a data set; one that is generated has no schema to watch."""
    watched = [] if SOURCE in platform.graph else [_schema_change(platform, jobs)]
    return [*watched, _drift(platform)]


def _schema_change(platform: Platform, jobs: "Sequence[dg.UnresolvedAssetJobDefinition]") -> dg.SensorDefinition:
    checks = _checks_of_every_run(platform)

    @dg.sensor(
        name="schema_change",
        jobs=[job for job in jobs if job.name in {INGEST, FEATURES}],
        description="Records changes of the source's schema, holds those that the settings hold, and has the months and groups "
        "computed again that an accepted change touches.",
        minimum_interval_seconds=platform.settings.automation.sensor_seconds,
    )
    def schema_change(context: dg.SensorEvaluationContext, lake: LakeResource, home: HomeResource) -> dg.SensorResult:
        opened, secrets, cache = lake.open(), home.secrets(), home.path / "cache"
        found = watch(platform, opened, secrets, cache)
        if found.look is None:
            return dg.SensorResult(skip_reason="no raw month is stored: `finai run` loads the first ones")
        if found.spoken:
            log_evaluations(
                context.instance,
                "schema_change",
                [as_evaluation(each.check, each.month, each.outcome) for each in found.spoken],
            )
        for each in found.recorded:
            context.log.info(f"{each.policy}: {each.change.told} ({each.incident or each.change.id})")
        seen = look(platform, opened, secrets, cache) if found.recorded or found.closed else found.look
        assert seen is not None  # noqa: S101 - it was there a moment ago
        wanted = months_of_changes(platform, opened, secrets, cache, seen, checks)
        told = [f"{each.change.told} ({each.incident or each.policy})" for each in found.recorded]
        told += [f"{each.id} is closed: the source shows it no longer" for each in found.closed]
        return answer(context, opened, wanted, "; ".join(told))

    return schema_change


def _checks_of_every_run(platform: Platform) -> Mapping[str, Sequence[dg.AssetCheckKey]]:
    """Return the checks of each asset that are no audits: a run of a part of a job asks these."""
    found: dict[str, list[dg.AssetCheckKey]] = {}
    for check in declared_checks(platform):
        if not check.kind.audit:
            found.setdefault(check.asset, []).append(check_key(check))
    return found


def _drift(platform: Platform) -> dg.SensorDefinition:
    @dg.sensor(
        name="drift",
        job_name=FEATURES,  # it requests nothing: a person who reads the incident starts the job train
        description="Opens an incident that asks for a retraining where a group drifts for months in a row; it starts nothing.",
        minimum_interval_seconds=platform.settings.automation.sensor_seconds,
    )
    def drift(_context: dg.SensorEvaluationContext, lake: LakeResource, home: HomeResource) -> dg.SkipReason:
        opened = ask_for_retraining(platform, lake.open(), home.secrets())
        return dg.SkipReason(
            "; ".join(f"{each.id}: {each.what}" for each in opened) or "no group drifts for months in a row"
        )

    return drift


def ask_for_retraining(platform: Platform, lake: Lake, secrets: SecretStore) -> list[Incident]:
    """Open an incident for each feature group that drifts for so many months in a row, and return those that are new.

    One that is open for the group stands for all later months; one that was closed, for its months.
    """
    ledger, incidents = Ledger(lake, secrets), Incidents(lake, secrets)
    ledger.refresh()
    new = []
    for check in declared_checks(platform):
        if check.kind != DRIFT:
            continue
        known = [each for each in incidents.of_kind(RETRAIN, "open", "closed") if check.asset in each.assets]
        if any(each.state == "open" for each in known):
            continue
        told = {month for each in known for month in each.partitions}
        run = drifting(ledger, check, platform.settings.automation.drift_months)
        if run and not {month.key for month in run} & told:
            new.append(_ask(ledger, incidents, check, run))
    return new


def drifting(ledger: Ledger, check: Declared, count: int) -> list[Month]:
    """Return the last so many months of a group, where each is stored, follows the other, and has drifted; else none."""
    asked = [month for month in check.months or () if ledger.content(check.asset, month.key) is not None][-count:]
    if len(asked) < count or asked[-1].ordinal - asked[0].ordinal != count - 1:
        return []
    standings = [ledger.standing(check, month.key) for month in asked]
    return asked if all(each.state == "failed" and each.reason != NO_EVIDENCE for each in standings) else []


def _ask(ledger: Ledger, incidents: Incidents, check: Declared, months: Sequence[Month]) -> Incident:
    records = [ledger.standing(check, month.key).record or {} for month in months]
    group = check.asset.rpartition("/")[2]
    opened = incidents.open(
        f"retrain-{group}",
        RETRAIN,
        f"{group} has drifted for {len(months)} months in a row ({months[0]} to {months[-1]}): consider a retraining; "
        f"{records[-1].get('reason', '')}",
        severity="warning",
        assets=[check.asset],
        partitions=[month.key for month in months],
        facts={"groups": [group]},
    )
    return incidents.tell(opened.id, [int(record["sequence"]) for record in records])
