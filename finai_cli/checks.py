"""``finai checks``, ``finai recheck`` and ``finai evidence``: kinds of checks, their results on stored assets, and the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from finai_assets.bundle.registry import registry_log
from finai_assets.governance.incidents import incident_log
from finai_assets.governance.source_schema import schema_log
from finai_assets.platform import Platform
from finai_checks.assets import as_evaluation
from finai_checks.catalogue import KINDS, declared_checks
from finai_checks.framework.check import CheckContext, CheckOutcome, Declared, sharing_work
from finai_checks.framework.evidence_log import KEY, evidence_log
from finai_checks.framework.overrides import Overrides, overrides_log
from finai_checks.framework.regulations import regulation_map
from finai_checks.framework.run import run_checks
from finai_cli.display import display
from finai_cli.execute import dagster_instance
from finai_cli.output import styled
from finai_cli.run import lake_of
from finai_resources.chained_log import ChainedLog, Head
from finai_resources.errors import ConfigError
from finai_resources.event_log import log_evaluations
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import address
from finai_resources.months import Month
from finai_resources.secrets import SecretStore


@dataclass(frozen=True, slots=True)
class Rechecked:
    """One check evaluated again."""

    check: Declared
    month: Month | None
    outcome: CheckOutcome

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "check": self.check.id,
            "name": self.check.name,
            "asset": address(self.check.asset, self.month.key if self.month else None),
            "passed": self.outcome.passed,
            "blocking": self.check.blocking,
            "reason": self.outcome.reason,
            "n": self.outcome.n,
            "units": self.check.kind.units,
        }


def kind_rows(platform: Platform) -> list[dict[str, Any]]:
    """Return one row for each kind of check: what it asserts, on how many assets, and for which articles."""
    checks = declared_checks(platform)
    return [
        {
            "id": kind.id,
            "name": kind.name,
            "severity": "error" if any(check.blocking for check in checks if check.kind == kind) else "warning",
            "when": "audit" if kind.audit else "every run",
            "assets": sum(check.kind == kind for check in checks),
            "asserts": kind.asserts,
            "thresholds": {k: v for check in checks if check.kind == kind for k, v in check.thresholds.items()},
            "articles": regulation_map().articles(kind.id),
        }
        for kind in KINDS
    ]


def kind_table(platform: Platform) -> Table:
    """Return the rows as a table."""
    table = Table(title="Checks", title_justify="left")
    for name in ("id", "name", "severity", "when", "assets", "asserts", "produces evidence for"):
        table.add_column(name, no_wrap=name in {"id", "severity"}, overflow="fold")
    for row in kind_rows(platform):
        table.add_row(
            row["id"],
            row["name"],
            row["severity"],
            row["when"],
            str(row["assets"]),
            row["asserts"],
            "; ".join(row["articles"]),
        )
    return table


def recheck(
    platform: Platform,
    home: Home,
    console: Console,
    *,
    months: Iterable[Month] | None,
    only: str | None,
    audit: bool = False,
) -> list[Rechecked]:
    """Evaluate checks on the stored assets; nothing is materialised.

    Each result goes to the gates' records, to the evidence log, and to Dagster's event log under its month.

    Parameters
    ----------
    months
        Months to evaluate; None means every stored month, and the assets without months too.
    only
        Number or name of a check.
    audit
        Whether to evaluate also the checks that are too expensive for every run. One that is named by ``only``
        is evaluated in any case.

    Raises
    ------
    ConfigError
        No check, or no stored partition, fits.
    """
    checks = [
        check
        for check in declared_checks(platform)
        if (only in (check.id, check.name) if only is not None else audit or not check.kind.audit)
    ]
    if not checks:
        known = ", ".join(f"{kind.id} ({kind.name})" for kind in KINDS)
        raise ConfigError(f"there is no check {only!r}", where="--check", fix=f"choose one of {known}")
    lake = lake_of(platform, home)
    overrides = Overrides.read(lake, platform.secrets)
    chosen = set(months) if months is not None else None
    units = [unit for unit in _units(checks, lake, chosen) if unit[0]]
    if not units:
        raise ConfigError("no asset of these checks is stored", where=str(home.root), fix="`finai run` first")
    results: list[Rechecked] = []
    with dagster_instance(home) as instance:
        with display(console) as show, show("Checks", sum(len(members) for members, _ in units), 0) as shown:
            for members, month in units:
                shown.note(f"{members[0].id} {members[0].asset if len(members) == 1 else month or members[0].name}")
                results += _evaluate(members, CheckContext(LakeSession(lake), platform, month), overrides)
                shown.advance(len(members))
        evidence_log(lake, platform.secrets).anchor()
        log_evaluations(instance, "recheck", [as_evaluation(r.check, r.month, r.outcome) for r in results])
    return results


def recheck_table(results: list[Rechecked]) -> Table:
    """Return a row for each failure, and for each check a row that counts what passed."""
    table = Table(title="Rechecked", title_justify="left")
    for name in ("check", "asset", "verdict", "n", "why"):
        table.add_column(name, overflow="fold", justify="right" if name == "n" else "left")
    for kind in KINDS:
        of_kind = [result for result in results if result.check.kind == kind]
        passed = [result for result in of_kind if result.outcome.passed]
        if passed:
            where = passed[0].as_dict()["asset"] if len(passed) == 1 else f"{len(passed)} assets and months"
            total = sum(result.outcome.n for result in passed)
            table.add_row(f"{kind.id} {kind.name}", where, styled(("passed", "green")), f"{total:,} {kind.units}", "")
        for result in of_kind:
            if not result.outcome.passed:
                row = result.as_dict()
                verdict = styled(("failed", "red") if kind.blocking else ("warned", "yellow"))
                table.add_row(
                    f"{kind.id} {kind.name}", row["asset"], verdict, f"{row['n']:,} {kind.units}", row["reason"]
                )
    return table


@dataclass(frozen=True)
class Verified:
    """The head of the evidence log, what is wrong with it and with the logs of overrides and bundles, and what cannot be seen."""

    head: Head
    faults: list[str]
    unseen: list[str]


def verify_evidence(lake: Lake, secrets: SecretStore | None, anchor: str | None) -> Verified:
    """Verify the logs of evidence, overrides, bundles, incidents and the source's schema by chain, seals and anchors.

    Parameters
    ----------
    anchor
        ``COUNT:HASH``, an earlier head of the evidence log that was kept by a person.

    Raises
    ------
    ConfigError
        The log is empty, and nothing says that it was not: there is nothing whose truth could be told.
    """
    given = _parse_anchor(anchor) if anchor else None
    evidence = evidence_log(lake, secrets)
    faults = [f"entry {fault.sequence}: {fault.what}" for fault in evidence.verify(anchor=given)]
    for log in (overrides_log(lake), registry_log(lake), incident_log(lake, secrets), schema_log(lake)):
        faults += [f"{log.name}, entry {fault.sequence}: {fault.what}" for fault in log.verify()]
    if not evidence.head().count and not faults:
        raise ConfigError("the evidence log holds no entry", where=lake.root, fix="`finai run` writes it")
    return Verified(evidence.head(), faults, list(_unseen(evidence, secrets, anchored=given is not None)))


def _unseen(log: ChainedLog, secrets: SecretStore | None, *, anchored: bool) -> Iterator[str]:
    """Say in words what a verification of the log could not have found."""
    if secrets is None or secrets.find(KEY) is None:
        yield "there is no key of the log here: an entry that was appended by somebody else is not told from a genuine one"
    anchors = log.anchors
    kept = anchors.kept(log.name) if anchors is not None else []
    if anchors is None:
        yield "no anchors are kept (FINAI_ANCHORS): a log that was cut off, emptied or written anew as a whole looks whole"
    elif not kept and not anchored:
        yield f"no anchor is kept in {anchors.shown} yet: a log that was cut off, emptied or written anew as a whole looks whole"
    elif kept and (later := log.head().count - kept[-1].count) > 0:
        last = kept[-1]
        yield f"the last anchor is of {last.at} and entry {last.count - 1}: whether only {later} entries followed is not known"
    if anchors is not None and (others := anchors.of_other_lakes()):
        yield f"{len(others)} other lakes lay here and were anchored: if nobody made this one anew, it was put in their place"


def last_evidence(lake: Lake, count: int, only: str | None) -> list[dict[str, Any]]:
    """Return the latest entries, newest first."""
    found = [
        {"sequence": entry.sequence, "recorded_at": entry.recorded_at, **entry.record}
        for entry in evidence_log(lake, None).entries()
        if only is None or only in (entry.record.get("check"), entry.record.get("name"))
    ]
    return found[::-1][:count]


def _units(
    checks: list[Declared], lake: Lake, chosen: set[Month] | None
) -> Iterator[tuple[list[Declared], Month | None]]:
    """Yield the checks that share their work, with their month, for stored partitions alone."""
    if chosen is None:
        yield from (
            (members, None) for members in sharing_work([c for c in checks if not c.months and lake.find(c.asset)])
        )
    every = sorted({month for check in checks for month in check.months or ()})
    for month in every if chosen is None else sorted(chosen):
        here = [
            check for check in checks if check.months and month in check.months and lake.find(check.asset, month.key)
        ]
        yield from ((members, month) for members in sharing_work(here))


def _evaluate(members: list[Declared], context: CheckContext, overrides: Overrides) -> Iterator[Rechecked]:
    outcomes = run_checks(members, context, overrides)
    yield from (Rechecked(check, context.month, outcomes[check.asset]) for check in members)


def _parse_anchor(text: str) -> Head:
    count, _, digest = text.partition(":")
    if not count.isdigit() or len(digest) != 64:
        raise ConfigError(
            f"{text!r} is not a head of the log",
            where="--anchor",
            fix="write COUNT:HASH as `finai evidence verify` prints",
        )
    return Head(int(count), digest)


def evidence_table(rows: list[dict[str, Any]]) -> Table:
    """Return entries as a table."""
    table = Table(title="Evidence", title_justify="left")
    for name in ("#", "recorded", "check", "asset", "verdict", "n", "why"):
        table.add_column(name, overflow="fold", justify="right" if name in {"#", "n"} else "left")
    for row in rows:
        verdict = styled(("passed", "green") if row["passed"] else ("failed", "red"))
        check = f"{row['check']} {row['name']}"
        table.add_row(
            str(row["sequence"]), row["recorded_at"], check, row["asset"], verdict, f"{row['n']:,}", row["reason"]
        )
    return table
