"""``finai promote | approve | rollback``: the steps of a promotion on one home, and their tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from finai_assets.asset_graph import CHAMPION
from finai_assets.bundle.registry import CHALLENGER, Registry
from finai_assets.definitions import build_definitions
from finai_assets.platform import Platform
from finai_assets.promotion.assets import desk_of, read_decision, register_stored
from finai_assets.promotion.decide import (
    Decision,
    approve,
    decide,
    propose,
    roll_back,
    signer_or_refusal,
    standing_proposal,
)
from finai_assets.promotion.gather import Desk
from finai_assets.promotion.signatures import OF_PERSON, Statement
from finai_checks.gates import CheckGates
from finai_cli.execute import QUIET, dagster_instance, failure_of
from finai_cli.output import styled
from finai_cli.plan import Unit
from finai_cli.run import lake_of
from finai_resources.errors import SecretError
from finai_resources.home import Home
from finai_resources.home_resource import HomeResource
from finai_resources.lake_session import LakeSession
from finai_resources.secrets import SecretStore
from finai_resources.signing import new_private_key, public_key

JOB, STEP = "promote", "champion"


@dataclass(frozen=True)
class Office:
    """The promotions of one home."""

    platform: Platform
    home: Home

    @property
    def secrets(self) -> SecretStore:
        """Return the keys of the home."""
        return SecretStore(self.home.root)

    def desk(self) -> Desk:
        """Return a desk on the lake as it stands."""
        session = LakeSession(lake_of(self.platform, self.home))
        return desk_of(self.platform, session, CheckGates(self.platform), HomeResource(root=str(self.home.root)))

    def chosen(self, name: str) -> str:
        """Return the id of a bundle that an alias or an id names; the stored one is registered first, where it was not yet."""
        desk = self.desk()
        if name == CHALLENGER:
            register_stored(self.platform, desk.session)
        return Registry.read(desk.session.lake).find(name)

    def dry_run(self, name: str) -> Decision:
        """Judge a bundle and write no decision."""
        return decide(self.desk(), self.chosen(name), dry_run=True)

    def promote(self, name: str, person: str | None, reason: str) -> Decision:
        """Sign as author, where no proposal counts yet, and materialise the champion.

        Parameters
        ----------
        reason
            In words; one that is given is signed anew.
        """
        bundle_id, desk = self.chosen(name), self.desk()
        standing = standing_proposal(desk, bundle_id)
        if standing is None or (reason and reason != standing.reason):
            propose(desk, bundle_id, signer_or_refusal(desk, "propose", self.secrets, person), reason)
        return self.materialise(bundle_id)

    def approve(self, name: str, person: str | None) -> Statement:
        """Sign as approver."""
        desk = self.desk()
        bundle_id = Registry.read(desk.session.lake).find(name)
        return approve(desk, bundle_id, signer_or_refusal(desk, "approve", self.secrets, person))

    def roll_back(self, person: str | None, reason: str) -> dict[str, str]:
        """Exchange champion and previous."""
        desk = self.desk()
        return roll_back(desk, signer_or_refusal(desk, "rollback", self.secrets, person), reason)

    def materialise(self, bundle_id: str) -> Decision:
        """Run the job that decides, so that the verdict, its checks and the champion show in the UI; return the decision.

        Raises
        ------
        FinaiError
            The asset itself failed; a refusal is none.
        """
        definitions = build_definitions(settings=self.platform.settings, home=self.home)
        config = {**QUIET, "ops": {STEP: {"config": {"bundle": bundle_id}}}}
        with dagster_instance(self.home) as instance:
            result = definitions.resolve_job_def(JOB).execute_in_process(
                instance=instance, run_config=config, raise_on_error=False
            )
        if not result.asset_materializations_for_node(STEP):
            raise failure_of(result, Unit(JOB, (CHAMPION,)), [CHAMPION])
        return read_decision(LakeSession(lake_of(self.platform, self.home)), bundle_id)

    def new_key(self, name: str) -> str:
        """Make a person's key, store its private half in the home, and return the public one.

        Raises
        ------
        SecretError
            The name is none that the configuration takes, or has a key already.
        """
        if not (name.isascii() and name.isidentifier() and name == name.lower() and name[0].isalpha()):
            raise SecretError(
                f"{name!r} is no name of a person here",
                where="finai keys new",
                fix="write lower-case letters, digits and underscores, beginning with a letter",
            )
        private = new_private_key()
        self.secrets.put(f"{OF_PERSON}_{name}", private)
        return public_key(private)


def decision_json(decision: Decision) -> dict[str, Any]:
    """Return a decision for JSON: the verdict, and what was compared."""
    facts = decision.facts.to_json() if decision.facts else {}
    told: dict[str, Any] = {name: facts[name] for name in ("comparison", "shifts", "checks") if name in facts}
    return {"promoted": decision.promoted, **decision.verdict.to_json(), **told}


def print_decision(decision: Decision, console: Console, *, dry_run: bool) -> None:
    """Print the verdict criterion by criterion, the comparison, and what comes next."""
    verdict, facts = decision.verdict, decision.facts
    table = Table(title=f"Bundle {verdict.bundle} against {verdict.champion or 'no champion'}", title_justify="left")
    for name in ("criterion", "verdict", "code", "n", "why"):
        table.add_column(name, overflow="fold", justify="right" if name == "n" else "left")
    for criterion in verdict.criteria:
        mark = styled(("holds", "green") if criterion.passed else ("refused", "red"))
        table.add_row(criterion.name, mark, criterion.code, str(criterion.n), criterion.reason)
    console.print(table)
    if facts is not None and facts.comparison:
        console.print(comparison_table(facts.comparison))
    if verdict.awaited:
        told = ", ".join(verdict.awaited)
        console.print(f"awaited, and mandatory as soon as they exist: {told}", highlight=False)
    for warning in verdict.warnings:
        console.print(styled(("moved", "yellow"), f" {warning}"), highlight=False)
    console.print(_last_line(decision, dry_run=dry_run), highlight=False, soft_wrap=True)


def comparison_table(rows: Any) -> Table:
    """Return paired differences of primary metrics as a table."""
    table = Table(title="Test rows, challenger - champion", title_justify="left")
    for name in ("task", "metric", "n", "challenger", "champion", "difference", "interval", "verdict"):
        table.add_column(name, justify="left" if name in {"task", "metric", "verdict"} else "right")
    for row in rows:
        interval = "" if row.low is None else f"{row.low:+.4f} .. {row.high:+.4f}"
        colour = {"better": "green", "worse": "red"}.get(row.verdict, "dim")
        table.add_row(
            row.task, row.metric, f"{row.n:,}", _figure(row.challenger), _figure(row.champion),
            _figure(row.difference, "+.4f"), interval, styled((row.verdict, colour)),
        )  # fmt: skip
    return table


def _figure(value: float | None, form: str = ".4f") -> str:
    return "" if value is None else format(value, form)


def _last_line(decision: Decision, *, dry_run: bool) -> Text:
    verdict = decision.verdict
    if decision.promoted:
        return styled(("promoted", "bold green"), f": {verdict.bundle} is champion; `finai rollback` takes it back")
    if verdict.passed and dry_run:
        return styled(("would be promoted", "bold green"), ": nothing was written")
    if verdict.codes == ("APPROVAL_MISSING",):
        told = f": somebody else runs `finai approve {verdict.bundle[:12]}`; the champion stays"
        return styled(("waiting", "bold yellow"), told)
    told = f": {', '.join(verdict.codes)}; the champion stays (docs/promotion.md tells the codes)"
    return styled(("refused", "bold red"), told)


def people_rows(office: Office) -> list[dict[str, Any]]:
    """Return the people of the configuration, and those whose private key the home holds."""
    people = office.platform.settings.promotion.people
    stored = {name.removeprefix(f"{OF_PERSON}_") for name in office.secrets.names(f"{OF_PERSON}_")}
    return [
        {
            "name": name,
            "key": people[name].key if name in people else None,
            "roles": list(people[name].roles) if name in people else [],
            "configured": name in people,
            "private_key_in_home": name in stored,
        }
        for name in sorted({*people, *stored})
    ]
