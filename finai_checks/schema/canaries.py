"""C05, the inputs that prove it: months beside changes of the source's schema that are recorded, held, accepted and rejected."""

from __future__ import annotations

from finai_assets.asset_graph import SNAPSHOTS, TRANSACTIONS
from finai_assets.governance.incidents import SCHEMA_CHANGE, Incidents
from finai_assets.governance.source_schema import Recorded, write_changes
from finai_assets.ingest.schema_diff import SchemaChange
from finai_assets.ingest.schema_shape import ColumnShape
from finai_assets.settings import Settings
from finai_checks.framework.check import NO_EVIDENCE, Canary, LakeCanary
from finai_checks.framework.small_lake import SmallLake
from finai_checks.schema.accepted import Loaded, schema_accepted
from finai_checks.schema.checks import SCHEMA_ACCEPTED

_MONTH = "2015-02"
_GONE = SchemaChange("dropped", "snapshots", ColumnShape("age", "int16"), None)
_NAME = f"schema-{_GONE.id}"


def plain_canaries(_settings: Settings) -> list[Canary]:
    """Return months whose schema nobody doubts, and months that a held or a rejected change stands against."""
    before, since = Loaded(SNAPSHOTS, _MONTH, 11, "before"), Loaded(SNAPSHOTS, _MONTH, 10, "since")
    elsewhere, later = Loaded(TRANSACTIONS, _MONTH, 11, "before"), Loaded(SNAPSHOTS, "2015-03", 11, "before")
    held, recorded = _recorded(_MONTH), Recorded(_GONE, "ignore", (), (), (), (), (), "since", ("before",))

    def canary(
        label: str, expects: str | None, loaded: Loaded | None, standing: str, change: Recorded = held, fault: str = ""
    ) -> Canary:
        faults = [fault] if fault else []
        return Canary(
            SCHEMA_ACCEPTED,
            label,
            expects,
            lambda: schema_accepted(loaded, [(change, standing)] if standing else [], faults),
        )

    return [
        canary("no change was ever seen", None, before, ""),
        canary("a change that is recorded and no more", None, before, "ignore", recorded),
        canary("a held change that was accepted", None, since, "accepted"),
        canary("a held change that alters another month", None, later, "open"),
        canary("a held change of another table", None, elsewhere, "open"),
        canary("a rejected change, and a month of before", None, before, "rejected"),
        canary("a held change that alters the month", "awaits a decision", before, "open"),
        canary("a month that was loaded under a held change", "awaits a decision", since, "open"),
        canary("a month that was loaded under a rejected change", "was rejected", since, "rejected"),
        canary("a log of incidents that was altered", "entry 0", before, "", fault="the log incidents, entry 0: gone"),
        canary("a month that is not stored", NO_EVIDENCE, None, ""),
    ]


def lake_canaries() -> list[LakeCanary]:
    """Return a stored month, and one beside a held change that nobody has decided about."""
    return [
        LakeCanary(SCHEMA_ACCEPTED, SNAPSHOTS, "a month as it was loaded"),
        LakeCanary(SCHEMA_ACCEPTED, SNAPSHOTS, "a held change of the source", f"{_NAME} awaits a decision", _hold),
        LakeCanary(SCHEMA_ACCEPTED, SNAPSHOTS, "a log of incidents without its first entry", "entry 0", _lose),
    ]


def _recorded(month: str) -> Recorded:
    return Recorded(
        _GONE, "hold", (f"{SNAPSHOTS}.age",), (SNAPSHOTS,), ("demographics",), (), (month,), "since", ("before",), _NAME
    )


def _hold(small: SmallLake) -> None:
    opened = Incidents(small.lake, small.platform.secrets)
    month = small.month.key
    opened.open(
        _NAME,
        SCHEMA_CHANGE,
        _GONE.told,
        severity="error",
        assets=[SNAPSHOTS],
        partitions=[month],
        facts=_GONE.as_dict(),
    )
    write_changes(small.lake, [_recorded(month)])


def _lose(small: SmallLake) -> None:
    _hold(small)
    Incidents(small.lake, small.platform.secrets).tell(_NAME, [1])
    small.lake.fs.delete_file(f"{small.lake.root}/incidents/000000000.json")
