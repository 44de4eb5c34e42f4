"""The commands ``finai incidents`` and ``finai schema``: what only a person may decide, and the decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from finai_cli.options import AsJson, Dataset, HomeOption, Profile, Source, chosen_settings, filled_home, refusing
from finai_cli.output import Terminal, print_json, styled

if TYPE_CHECKING:
    from finai_assets.governance.incidents import Incident, State

incidents_app = typer.Typer(help="List, show and close incidents: what waits for a person.", no_args_is_help=True)
schema_app = typer.Typer(
    help="Compare the source's schema with the accepted one; accept or reject a change that is held.",
    no_args_is_help=True,
)

By = Annotated[str, typer.Option("--by", help="who decides; it stays in the log")]
Reason = Annotated[str, typer.Option("--reason", help="why, in words; it stays in the log")]
IncidentArgument = Annotated[str, typer.Argument(metavar="INCIDENT", help="id, from `finai incidents list`")]
ChangeArgument = Annotated[
    str, typer.Argument(metavar="CHANGE", help="id of a held change, from `finai schema status`")
]
_COLOURS = {"open": "red", "accepted": "green", "rejected": "yellow", "closed": "dim"}


def _chosen(dataset: str, profile: str, home: Any, source: str | None = None) -> tuple[Any, Any, Any]:
    """Return the home, its platform and its lake."""
    settings = chosen_settings(dataset, profile, source)
    from finai_assets.platform import Platform
    from finai_cli.run import lake_of
    from finai_resources.secrets import SecretStore

    place = filled_home(dataset, profile, home)
    platform = Platform.of(settings, SecretStore(place.root))
    return place, platform, lake_of(platform, place)


@incidents_app.command("list")
def incidents_list(
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    every: Annotated[bool, typer.Option("--all", help="those that are decided too")] = False,
    as_json: AsJson = False,
) -> None:
    """List the incidents that are open, newest first."""
    _, platform, lake = _chosen(dataset, profile, home)
    with refusing():
        from finai_assets.governance.incidents import Incidents

        found = [each for each in Incidents(lake, platform.secrets).all.values() if every or each.state == "open"]
    found.reverse()
    if as_json:
        print_json([each.as_dict() for each in found])
        return
    if not found:
        Terminal().print("no incident is open" if not every else "no incident was ever opened")
        return
    table = Table(title="Incidents", title_justify="left")
    for name in ("id", "state", "severity", "opened", "what", "months"):
        table.add_column(name, overflow="fold", no_wrap=name == "id")
    for each in found:
        state = styled((each.state, _COLOURS[each.state]))
        table.add_row(each.id, state, each.severity, each.opened_at[:16], each.what, _span(each.partitions))
    Terminal().print(table)


@incidents_app.command("show")
def incidents_show(
    incident: IncidentArgument,
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Show an incident: what it is about, the evidence that tells of it, and who decided what."""
    _, platform, lake = _chosen(dataset, profile, home)
    with refusing():
        from finai_assets.governance.incidents import Incidents

        found = Incidents(lake, platform.secrets).find(incident)
    _show(found, as_json=as_json)


@incidents_app.command("close")
def incidents_close(
    incident: IncidentArgument,
    by: By,
    reason: Reason,
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Close an incident that asked for something which was done, or will not be; a held change is accepted or rejected."""
    _, platform, lake = _chosen(dataset, profile, home)
    with refusing():
        from finai_assets.governance.incidents import SCHEMA_CHANGE, Incidents
        from finai_resources.errors import ConfigError

        incidents = Incidents(lake, platform.secrets)
        if incidents.find(incident).kind == SCHEMA_CHANGE:
            raise ConfigError(
                "a held change of the schema is decided, not closed",
                where=f"incident {incident}",
                fix=f"finai schema accept {incident}, or finai schema reject {incident}",
            )
        found = incidents.decide(incident, "closed", by=by, why=reason)
    _show(found, as_json=as_json)


def _show(found: Incident, *, as_json: bool) -> None:
    if as_json:
        print_json(found.as_dict())
        return
    table = Table(show_header=False, box=None)
    rows: dict[str, Any] = {
        "incident": found.id,
        "kind": found.kind,
        "state": styled((found.state, _COLOURS[found.state])),
        "severity": found.severity,
        "opened": found.opened_at,
        "what": found.what,
        "assets": ", ".join(found.assets) or "none",
        "months": _span(found.partitions) or "none",
        "groups": ", ".join(found.facts.get("groups", ())),
        "evidence": ", ".join(map(str, found.evidence)) or "none yet",
        "decided": f"{found.decided_at} by {found.by}: {found.why}" if found.by else "",
    }
    for name, value in rows.items():
        if value:
            table.add_row(styled((name, "dim")), value)
    Terminal().print(table)


def _span(months: tuple[str, ...]) -> str:
    return months[0] if len(months) == 1 else f"{months[0]} to {months[-1]} ({len(months)})" if months else ""


@schema_app.command("status")
def schema_status(
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    source: Source = None,
    as_json: AsJson = False,
) -> None:
    """Compare the source's schema with the accepted one, and list what was recorded; nothing is written.

    Exit code 1 where a change waits for a decision.
    """
    place, platform, lake = _chosen(dataset, profile, home, source)
    with refusing():
        from finai_assets.governance.schema_watch import judged, look

        seen = look(platform, lake, platform.secrets, place.cache)
        new = judged(platform, lake, platform.secrets, place.cache, seen, seen.unrecorded) if seen else []
    recorded = list(reversed(seen.state.changes)) if seen is not None else []
    rows = [{**each.as_dict(), "stands": "not recorded yet"} for each in new]
    rows += [
        {**each.as_dict(), "stands": seen.state.standing(each) if seen else "", "at": each.at} for each in recorded
    ]
    waits = any(
        row["stands"] == "open" or (row["stands"] == "not recorded yet" and row["policy"] == "hold") for row in rows
    )
    if as_json:
        print_json({"source": "compared" if seen else "nothing to compare", "changes": rows})
    elif not rows:
        none = (
            "the source has the schema that was accepted"
            if seen
            else "no month was loaded from files: nothing to compare"
        )
        Terminal().print(none)
    else:
        Terminal().print(_changes_table(rows))
    if waits:
        raise typer.Exit(1)


def _changes_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Changes of the source's schema", title_justify="left")
    for name in ("change", "stands", "policy", "what", "touches", "months"):
        table.add_column(name, overflow="fold", no_wrap=name == "change")
    for row in rows:
        touches = f"{len(row['groups'])} groups, {len(row['tasks'])} tasks" if row["touched"] else "nothing"
        name, months = row["incident"] or row["change"]["id"], _span(tuple(row["months"]))
        stands = styled((row["stands"], _COLOURS.get(row["stands"], "")))
        table.add_row(name, stands, row["policy"], row["change"]["told"], touches, months)
    return table


@schema_app.command("accept")
def schema_accept(
    change: ChangeArgument,
    by: By,
    reason: Reason,
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Accept a held change: it is the schema from now on, the gates open, and the months that it alters are loaded again."""
    _decide(change, "accepted", by, reason, (dataset, profile, home), as_json=as_json)


@schema_app.command("reject")
def schema_reject(
    change: ChangeArgument,
    by: By,
    reason: Reason,
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Reject a held change: the stored months stay as they are and their gates open; what is loaded under it stays closed."""
    _decide(change, "rejected", by, reason, (dataset, profile, home), as_json=as_json)


def _decide(change: str, state: State, by: str, reason: str, at: tuple[str, str, Any], *, as_json: bool) -> None:
    place, platform, lake = _chosen(*at)
    with refusing():
        from finai_checks.assets import as_evaluation
        from finai_checks.schema.watch import decide
        from finai_cli.execute import dagster_instance
        from finai_resources.event_log import log_evaluations

        found, spoken = decide(platform, lake, platform.secrets, change, state, by=by, why=reason)
    with dagster_instance(place) as instance:
        log_evaluations(
            instance, "schema_change", [as_evaluation(each.check, each.month, each.outcome) for each in spoken]
        )
    _show(found, as_json=as_json)
    if not as_json:
        closed = [each for each in spoken if not each.outcome.passed]
        told = f"{len(closed)} of {len(spoken)} months of raw tables stay closed" if closed else "the gates are open"
        after = "; `finai run` loads the months that the change alters" if state == "accepted" else ""
        Terminal(soft_wrap=True).print(told + after)
