"""Incidents: what the platform found and only a person may decide, in one schema, append-only in a chained log of the lake.

An incident is opened, gets the numbers of the evidence that tells of it, and is accepted, rejected or closed, by whom and why.
Each is an entry of the log; an incident is what its entries say together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from finai_resources.anchors import Anchors
from finai_resources.chained_log import ChainedLog, Entry, Head
from finai_resources.errors import ConfigError
from finai_resources.lake import Lake
from finai_resources.secrets import SecretStore

LOG = "incidents"
KEY = "incident"  # FINAI_INCIDENT_KEY seals the log
SCHEMA_CHANGE, RETRAIN = "schema_change", "retrain"
SHORTEST_REASON = 10  # characters
State = Literal["open", "accepted", "rejected", "closed"]
Severity = Literal["warning", "error"]


@dataclass(frozen=True)
class Incident:
    """One incident as it stands.

    Parameters
    ----------
    id, kind : str
    opened_at : str
        ISO time.
    severity : Severity
        ``error`` where gates are closed until it is decided.
    assets, partitions : tuple of str
        What it is about: paths of assets, and the months of them (``2016-05``).
    what : str
        What was found, in words.
    evidence : tuple of int
        Numbers of entries of the evidence log.
    state : State
    by, why, decided_at : str
        Who decided, why and when; empty while it is open.
    facts : mapping
        What a program needs of it; of a schema change, the change.
    """

    id: str
    kind: str
    opened_at: str
    severity: Severity
    assets: tuple[str, ...]
    partitions: tuple[str, ...]
    what: str
    evidence: tuple[int, ...] = ()
    state: State = "open"
    by: str = ""
    why: str = ""
    decided_at: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def concerns(self, asset: str, partition: str | None) -> bool:
        """Return whether it is about a partition of an asset."""
        return asset in self.assets and (not self.partitions or partition in self.partitions)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


class Incidents:
    """The incidents of one lake, as its log told them when they were read.

    Parameters
    ----------
    lake : Lake
    secrets : SecretStore or None
        Where the key of the log lies; without it entries are neither sealed nor are their seals verified.
    """

    def __init__(self, lake: Lake, secrets: SecretStore | None) -> None:
        self._lake, self._secrets = lake, secrets
        log = incident_log(lake, secrets)
        self._head: Head = log.head()
        self.all: dict[str, Incident] = _folded(
            entry for _, entry in zip(range(self._head.count), log.entries(), strict=False)
        )

    def find(self, name: str) -> Incident:
        """Return an incident by its id.

        Raises
        ------
        ConfigError
            There is none.
        """
        if name not in self.all:
            known = ", ".join(list(self.all)[-5:]) or "none was ever opened"
            raise ConfigError(
                f"there is no incident {name!r}", where="incidents", fix=f"`finai incidents list`: {known}"
            )
        return self.all[name]

    def of_kind(self, kind: str, *states: State) -> list[Incident]:
        """Return the incidents of a kind in some states, oldest first."""
        return [each for each in self.all.values() if each.kind == kind and each.state in states]

    def open(
        self,
        name: str,
        kind: str,
        what: str,
        *,
        severity: Severity,
        assets: Sequence[str],
        partitions: Sequence[str],
        facts: Mapping[str, Any],
    ) -> Incident:
        """Open an incident and return it; a further one of the same name gets a number behind it."""
        again = sum(each == name or each.rpartition("-")[0] == name for each in self.all)
        found = {
            "id": f"{name}-{again + 1}" if again else name,
            "kind": kind,
            "severity": severity,
            "assets": list(assets),
            "partitions": list(partitions),
            "what": what,
            "facts": dict(facts),
        }
        return self._append({"event": "opened", **found})

    def tell(self, name: str, evidence: Iterable[int]) -> Incident:
        """Add the numbers of entries of the evidence log that tell of an incident."""
        return self._append({"event": "evidence", "id": name, "evidence": sorted(evidence)})

    def decide(self, name: str, state: State, *, by: str, why: str) -> Incident:
        """Accept, reject or close an incident that is open, or close a rejected one.

        Raises
        ------
        ConfigError
            There is no such incident; it is decided already; nobody is named; or the reason is too short.
        """
        found = self.find(name)
        if found.state != "open" and not (found.state == "rejected" and state == "closed"):
            raise ConfigError(
                f"the incident is {found.state} already, by {found.by}: {found.why}", where=f"incident {name}",
                fix="what was decided stands; a later change is another incident",
            )  # fmt: skip
        if not by.strip():
            raise ConfigError("nobody is named who decides", where=f"incident {name}", fix="--by NAME")
        if len(why.strip()) < SHORTEST_REASON:
            raise ConfigError(
                f"the reason {why!r} has fewer than {SHORTEST_REASON} characters",
                where=f"incident {name}",
                fix="say by --reason what was found and why this follows: it stays in the log",
            )
        return self._append({"event": state, "id": name, "by": by.strip(), "why": why.strip()}, decides=True)

    def _append(self, record: Mapping[str, Any], *, decides: bool = False) -> Incident:
        log = incident_log(self._lake, self._secrets, appends=True)
        if decides:  # on what was read: of two who decide at once, the second is told
            if log.append_after(self._head, record) is None:
                raise ConfigError(
                    "the log of incidents was added to in this moment", where=LOG, fix="look again, and decide again"
                )
        else:
            log.append(record)
        again = Incidents(self._lake, self._secrets)
        self._head, self.all = again._head, again.all
        name = str(record["id"])
        return self.all[name]


def incident_log(lake: Lake, secrets: SecretStore | None, *, appends: bool = False) -> ChainedLog:
    """Return the log; every entry is anchored outside the lake.

    Parameters
    ----------
    appends
        Whether entries are to be appended: then the key is made where there is none yet.
    """
    if secrets is None:
        return ChainedLog(lake, LOG)
    key = secrets.key(KEY) if appends else secrets.find(KEY)
    return ChainedLog(lake, LOG, key=key, anchors=Anchors.of(lake))


def _folded(entries: Iterable[Entry]) -> dict[str, Incident]:
    found: dict[str, Incident] = {}
    for entry in entries:
        record, name = entry.record, str(entry.record["id"])
        event = record["event"]
        if event == "opened":
            found[name] = Incident(
                name,
                record["kind"],
                entry.recorded_at,
                record["severity"],
                tuple(record["assets"]),
                tuple(record["partitions"]),
                record["what"],
                facts=record["facts"],
            )
        elif event == "evidence":
            found[name] = replace(found[name], evidence=(*found[name].evidence, *record["evidence"]))
        else:
            found[name] = replace(
                found[name], state=event, by=record["by"], why=record["why"], decided_at=entry.recorded_at
            )
    return found
