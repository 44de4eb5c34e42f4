"""Incidents: opened, told of, decided once, and whole or found out."""

from __future__ import annotations

from pathlib import Path

import pytest

from finai_assets.governance.incidents import RETRAIN, Incident, Incidents, incident_log
from finai_resources.errors import ConfigError, LakeError
from finai_resources.lake import Lake
from finai_resources.secrets import SecretStore

BY = {"by": "Kim", "why": "looked at with the data office"}


def opened(lake: Lake, secrets: SecretStore | None, name: str = "retrain-x") -> Incident:
    return Incidents(lake, secrets).open(
        name,
        RETRAIN,
        "x drifts",
        severity="warning",
        assets=["features/x"],
        partitions=["2016-05"],
        facts={"groups": ["x"]},
    )


def test_an_incident_is_what_its_entries_say_together(lake: Lake, secrets: SecretStore) -> None:
    assert opened(lake, secrets).state == "open"
    incidents = Incidents(lake, secrets)
    incidents.tell("retrain-x", [7, 5])
    incidents.tell("retrain-x", [9])
    incidents.decide("retrain-x", "closed", **BY)
    found = Incidents(lake, secrets).find("retrain-x")
    assert (found.state, found.by, found.why, found.evidence) == ("closed", *BY.values(), (5, 7, 9))
    assert found.opened_at < found.decided_at
    assert found.concerns("features/x", "2016-05")
    assert not found.concerns("features/x", "2016-06")
    assert not found.concerns("features/y", "2016-05")
    assert incident_log(lake, secrets).head().count == 4  # nothing was replaced


def test_a_further_one_of_the_same_name_gets_a_number(lake: Lake, secrets: SecretStore) -> None:
    assert [opened(lake, secrets).id for _ in range(3)] == ["retrain-x", "retrain-x-2", "retrain-x-3"]


def test_of_two_who_decide_at_once_the_second_is_told(lake: Lake, secrets: SecretStore) -> None:
    opened(lake, secrets)
    one, other = Incidents(lake, secrets), Incidents(lake, secrets)
    one.decide("retrain-x", "accepted", **BY)
    with pytest.raises(ConfigError, match="added to in this moment"):
        other.decide("retrain-x", "rejected", **BY)
    assert Incidents(lake, secrets).find("retrain-x").state == "accepted"


def test_what_is_decided_stands_but_a_rejected_one_may_be_closed(lake: Lake, secrets: SecretStore) -> None:
    opened(lake, secrets)
    incidents = Incidents(lake, secrets)
    incidents.decide("retrain-x", "rejected", **BY)
    with pytest.raises(ConfigError, match="rejected already"):
        incidents.decide("retrain-x", "accepted", **BY)
    assert incidents.decide("retrain-x", "closed", by="the sensor", why="shown no longer").state == "closed"


def test_an_entry_that_was_edited_or_written_without_the_key_is_found(lake: Lake, secrets: SecretStore) -> None:
    opened(lake, secrets)
    Incidents(lake, secrets).decide("retrain-x", "rejected", **BY)
    assert incident_log(lake, secrets).verify() == []
    entry = Path(lake.root) / "incidents" / "000000001.json"
    whole = entry.read_bytes()
    entry.write_bytes(whole.replace(b"rejected", b"accepted"))
    assert incident_log(lake, secrets).verify()
    entry.write_bytes(whole)
    Incidents(lake, None).tell("retrain-x", [1])
    assert [fault.what for fault in incident_log(lake, secrets).verify()] == [
        "the entry is not sealed: it was written without the key"
    ]


def test_a_log_that_lost_an_entry_is_not_read_as_if_it_were_whole(lake: Lake, secrets: SecretStore) -> None:
    opened(lake, secrets)
    Incidents(lake, secrets).tell("retrain-x", [1])
    (Path(lake.root) / "incidents" / "000000000.json").unlink()
    with pytest.raises(LakeError, match="gone or damaged"):
        Incidents(lake, secrets)
