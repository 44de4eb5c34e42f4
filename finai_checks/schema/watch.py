"""Looks at the source's schema, records what has changed, and lets the check speak where a change touches a month."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from finai_assets.asset_graph import SNAPSHOTS
from finai_assets.governance.incidents import SCHEMA_CHANGE, Incident, Incidents, State
from finai_assets.governance.schema_watch import Look, judged, look, stored_months
from finai_assets.governance.source_schema import Recorded, read_state, write_baseline, write_changes, write_seen
from finai_assets.platform import Platform
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckContext, CheckOutcome, Declared
from finai_checks.framework.evidence_log import evidence_log
from finai_checks.framework.overrides import Overrides
from finai_checks.framework.run import run_checks
from finai_checks.schema.checks import SCHEMA_ACCEPTED
from finai_resources.errors import ConfigError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.secrets import SecretStore

WATCHER = "sensor schema_change"


@dataclass(frozen=True)
class Spoken:
    """What the check said of one month of a raw table."""

    check: Declared
    month: Month
    outcome: CheckOutcome


@dataclass(frozen=True)
class Watched:
    """What one look at the source led to.

    Parameters
    ----------
    look : Look or None
        None where there is nothing to look at.
    recorded : tuple of Recorded
        The changes that were new.
    closed : tuple of Incident
        Those whose change the source shows no longer.
    spoken : tuple of Spoken
        What the check said of the months concerned.
    """

    look: Look | None = None
    recorded: tuple[Recorded, ...] = ()
    closed: tuple[Incident, ...] = ()
    spoken: tuple[Spoken, ...] = field(default=(), repr=False)


def watch(platform: Platform, lake: Lake, secrets: SecretStore, cache: Path | None) -> Watched:
    """Look at the source, and record what is new; a second look at the same source records nothing.

    Of each change: its policy, what it touches, an incident where it is held, and an evaluation of the check on each raw table
    and month that it touches, or on the last stored month where it touches none.

    Raises
    ------
    ConfigError, ContractError
        The source is not there, or cannot be read.
    """
    seen = look(platform, lake, secrets, cache)
    if seen is None:
        return Watched()
    new = judged(platform, lake, secrets, cache, seen, seen.unrecorded)
    if seen.is_baseline:
        write_baseline(lake, seen.accepted, seen.files)
    incidents = seen.incidents
    closed = [
        incidents.decide(each.incident, "closed", by=WATCHER, why="the source shows the change no longer")
        for each in seen.reverted
    ]
    recorded = [_with_incident(incidents, each) for each in new]
    if recorded:  # the incident first: a change that is recorded as held has one
        write_changes(lake, recorded)
    if recorded or closed or seen.is_baseline or not seen.state.unsettled():
        write_seen(lake, seen.now, read_state(lake, incidents).accepted or seen.now)
    spoken, told = _speak(platform, lake, secrets, [*recorded, *seen.reverted])
    for each in recorded:
        if each.incident:
            incidents.tell(each.incident, told)
    return Watched(seen, tuple(recorded), tuple(closed), tuple(spoken))


def _with_incident(incidents: Incidents, recorded: Recorded) -> Recorded:
    """Return a change with the incident that holds it: one that was opened when the recording was cut off, or a new one."""
    if recorded.policy != "hold":
        return recorded
    name = f"schema-{recorded.change.id}"
    waiting = [
        each for each in incidents.of_kind(SCHEMA_CHANGE, "open") if each.facts["change"]["id"] == recorded.change.id
    ]
    opened = waiting or [
        incidents.open(
            name,
            SCHEMA_CHANGE,
            recorded.change.told,
            severity="error",
            assets=recorded.assets,
            partitions=recorded.months,
            facts=recorded.as_dict(),
        )
    ]
    return replace(recorded, incident=opened[0].id)


def decide(platform: Platform, lake: Lake, secrets: SecretStore, name: str, state: State, *, by: str, why: str) -> tuple[
    Incident, list[Spoken]
]:  # fmt: skip
    """Accept or reject a held change, and let the check speak again; return its incident as it stands then.

    Raises
    ------
    ConfigError
        There is no such held change, or it is decided already.
    """
    incidents = Incidents(lake, secrets)
    matching = [
        each
        for each in incidents.all.values()
        if each.kind == SCHEMA_CHANGE and name in (each.id, each.facts["change"]["id"])
    ]
    if not matching:
        waiting = ", ".join(each.id for each in incidents.of_kind(SCHEMA_CHANGE, "open")) or "none waits"
        raise ConfigError(f"there is no held change {name!r}", where="schema", fix=f"`finai schema status`: {waiting}")
    incident = incidents.decide(matching[-1].id, state, by=by, why=why)
    changes = read_state(lake, incidents).changes
    spoken, told = _speak(platform, lake, secrets, [each for each in changes if each.incident == incident.id])
    return incidents.tell(incident.id, told), spoken


def _speak(
    platform: Platform, lake: Lake, secrets: SecretStore, changes: Iterable[Recorded]
) -> tuple[list[Spoken], list[int]]:
    """Evaluate the check on what changes concern; return what it said, and the numbers of its entries in the evidence log."""
    stored = [manifest.partition for manifest in stored_months(platform, lake)]
    concerned: dict[str, set[str]] = {}
    for change in changes:
        since = stored if change.incident else []
        for partition in {*change.months, *since, *([] if change.months or since else stored[-1:])}:
            if partition is not None:
                concerned.setdefault(partition, set()).update(change.assets or (SNAPSHOTS,))
    log = evidence_log(lake, secrets, appends=True)
    first, spoken = log.head().count, list[Spoken]()
    overrides = Overrides.read(lake, secrets)
    checks = [check for check in declared_checks(platform) if check.kind == SCHEMA_ACCEPTED]
    for key in sorted(concerned):
        month = Month.parse(key)
        members = [
            check for check in checks if check.asset in concerned[key] and lake.find(check.asset, key) is not None
        ]
        if members:
            outcomes = run_checks(members, CheckContext(LakeSession(lake), platform, month), overrides)
            spoken += [Spoken(check, month, outcomes[check.asset]) for check in members]
    own = SCHEMA_ACCEPTED.name
    told = [found[1].sequence for found in log.stored(first) if found is not None and found[1].record["name"] == own]
    return spoken, told
