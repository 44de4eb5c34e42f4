"""What is known and what was decided of the source's schema: the accepted shape, the changes that were seen, and their policies.

The log ``source_schema`` of the lake holds a baseline and every change that was ever recorded. The accepted shape is the baseline
with the changes that are not held, and with those whose incident was accepted. What the source shows beyond it is a change that
is new, or one that waits for a person.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from finai_assets.governance.incidents import SCHEMA_CHANGE, Incident, Incidents
from finai_assets.ingest.schema_diff import SchemaChange, accepted
from finai_assets.ingest.schema_shape import SourceShape
from finai_assets.settings.schema_changes import Policy
from finai_resources import objects
from finai_resources.anchors import Anchors
from finai_resources.chained_log import ChainedLog
from finai_resources.json_text import to_json
from finai_resources.lake import Lake

LOG = "source_schema"
SEEN = "seen.json"  # sketches of the values that were seen last; it can be made again from the source, and is no record


@dataclass(frozen=True)
class Recorded:
    """A change that was recorded.

    Parameters
    ----------
    change : SchemaChange
    policy : Policy
        What was done about it; ``ignore`` where nothing reads the column, whatever the settings say.
    touched : tuple of str
        The raw columns that are made from it: ``raw/snapshots.age``, ``raw/snapshots.`` for a whole table.
    assets : tuple of str
        The raw tables that they are of.
    groups, tasks : tuple of str
        Feature groups and tasks whose declared inputs are among them.
    months : tuple of str
        Stored raw months whose rows are others by it, or cannot be read any more.
    files : str
        Digest of the source's files at which it was seen.
    loaded : tuple of str
        Digests of the files that the stored months had been loaded from by then: a month that was loaded from other files while
        the source shows the change was loaded under it.
    incident : str
        Id of the incident of a change that is held; else empty.
    at : str
        ISO time.
    """

    change: SchemaChange
    policy: Policy
    touched: tuple[str, ...]
    assets: tuple[str, ...]
    groups: tuple[str, ...]
    tasks: tuple[str, ...]
    months: tuple[str, ...]
    files: str
    loaded: tuple[str, ...] = ()
    incident: str = ""
    at: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it for a log and for JSON."""
        names = ("policy", "touched", "assets", "groups", "tasks", "months", "files", "loaded", "incident")
        plain = {name: getattr(self, name) for name in names}
        return {
            "change": self.change.as_dict(),
            **{k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()},
        }


@dataclass(frozen=True)
class SchemaState:
    """What the logs say together.

    Parameters
    ----------
    accepted : SourceShape or None
        None where no schema was ever looked at.
    changes : tuple of Recorded
        Every recorded change, oldest first.
    incidents : mapping
        Those of schema changes, by id.
    """

    accepted: SourceShape | None
    changes: tuple[Recorded, ...]
    incidents: Mapping[str, Incident]

    def standing(self, recorded: Recorded) -> str:
        """Return how a recorded change stands: its policy, or the state of its incident."""
        return self.incidents[recorded.incident].state if recorded.incident else recorded.policy

    def unsettled(self) -> list[Recorded]:
        """Return the changes that wait for a person, or that a person refused and the source still shows."""
        return [each for each in self.changes if self.standing(each) in {"open", "rejected"}]


def schema_log(lake: Lake) -> ChainedLog:
    """Return the log; every entry is anchored outside the lake."""
    return ChainedLog(lake, LOG, anchors=Anchors.of(lake))


def read_state(lake: Lake, incidents: Incidents) -> SchemaState:
    """Read what is known and decided of the source's schema.

    Raises
    ------
    LakeError
        An entry of the log is gone or damaged.
    """
    shape: SourceShape | None = None
    found: list[Recorded] = []
    for entry in schema_log(lake).entries():
        if entry.record["event"] == "baseline":
            shape = SourceShape.of(entry.record["shape"])
            continue
        recorded = _recorded(entry.record, entry.recorded_at)
        found.append(recorded)
        settled = incidents.all[recorded.incident].state == "accepted" if recorded.incident else True
        if settled and shape is not None:
            shape = accepted(shape, recorded.change)
    known = {name: each for name, each in incidents.all.items() if each.kind == SCHEMA_CHANGE}
    return SchemaState(shape, tuple(found), known)


def write_baseline(lake: Lake, shape: SourceShape, files: str) -> None:
    """Record the shape that changes are counted from."""
    schema_log(lake).append({"event": "baseline", "files": files, "shape": shape.without_values().as_dict()})


def write_changes(lake: Lake, changes: Iterable[Recorded]) -> None:
    """Record changes."""
    schema_log(lake).append_all({"event": "change", **each.as_dict()} for each in changes)


def read_seen(lake: Lake) -> SourceShape:
    """Return the sketches that were seen last; an empty shape where there are none."""
    content = objects.get(lake, f"{lake.root}/{LOG}/{SEEN}")
    return SourceShape.of(json.loads(content)) if content else SourceShape()


def write_seen(lake: Lake, now: SourceShape, known: SourceShape) -> None:
    """Keep the present sketches, and those of accepted columns that the source lacks now: they may have been renamed."""
    before = read_seen(lake)
    kept = dict(now.tables)
    for table, columns in known.tables.items() if before.key == now.key else ():
        here = now.tables.get(table, ())
        gone = [each for each in columns if now.column(table, each.name) is None]
        kept[table] = (*here, *(seen for each in gone if (seen := before.column(table, each.name)) is not None))
    shape = SourceShape(kept, now.ordered, now.key)
    if shape != before:
        objects.put(lake, f"{lake.root}/{LOG}/{SEEN}", to_json(shape.as_dict(), sort_keys=True), durable=False)


def digest_of_files(files: Mapping[str, str]) -> str:
    """Return one digest of the source's files, as manifests and adapters list them."""
    return hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()[:16]


def _recorded(record: Mapping[str, Any], at: str) -> Recorded:
    return Recorded(
        SchemaChange.of(record["change"]),
        record["policy"],
        tuple(record["touched"]),
        tuple(record["assets"]),
        tuple(record["groups"]),
        tuple(record["tasks"]),
        tuple(record["months"]),
        record["files"],
        tuple(record["loaded"]),
        record["incident"],
        at,
    )
