"""What the path asks of the world around it, each behind a protocol, so that a test or a deployment hands in its own.

A port that is None is absent: its step is not done, and every answer says so (``steps_absent``). Only the clock is always there.
Without a store of standings, consent and suitability are judged by what the request brings.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from serving_lambda.standing import Standing

# Steps of a complete deployment for which this code has no place yet.
UNBUILT = ("safety_gate",)


class Clock(Protocol):
    """Measures how long an answer takes, and tells what time it is."""

    def seconds(self) -> float:
        """Return seconds since some moment; never less than before."""

    def timestamp(self) -> float:
        """Return seconds since 1970 (UTC): the date decides whether a risk profile counts, the hour whether it is quiet."""


class FeatureStore(Protocol):
    """Keeps the features of known customers (the online store)."""

    def features(self, customer_id: int) -> Mapping[str, float | None] | None:
        """Return the contract's columns of a customer, or None where the customer is unknown."""


class KillSwitch(Protocol):
    """Stops models."""

    def stops(self, task: str) -> bool:
        """Return whether the models of a task (or the product model) may not be used now; unreadable is yes."""


class ContactHistory(Protocol):
    """Knows what a customer was lately written about."""

    def recent(self, customer_id: int) -> Mapping[int, int]:
        """Return the number of recent messages about each product, by id."""


class StandingStore(Protocol):
    """Keeps the risk profile, the assets, the consents and the number of recent messages of known customers."""

    def standing(self, customer_id: int) -> Standing | None:
        """Return what is known of a customer, or None where the customer is unknown."""


class AuditSink(Protocol):
    """Takes a record of every answer."""

    def append(self, record: Mapping[str, Any]) -> None:
        """Store a record, or raise: an answer that cannot be recorded is not given."""


class SystemClock:
    """The clock of the process."""

    def seconds(self) -> float:
        """Return the process's performance counter."""
        return time.perf_counter()

    def timestamp(self) -> float:
        """Return the system's time."""
        return time.time()


@dataclass(frozen=True)
class Ports:
    """The ports of one deployment."""

    clock: Clock = field(default_factory=SystemClock)
    store: FeatureStore | None = None
    switch: KillSwitch | None = None
    contacts: ContactHistory | None = None
    standings: StandingStore | None = None
    audit: AuditSink | None = None

    @property
    def steps_absent(self) -> list[str]:
        """Return the steps that no answer of this deployment takes: those of absent ports, then the unbuilt ones."""
        given = {
            "online_store": self.store,
            "kill_switch": self.switch,
            "fatigue": self.contacts,
            "audit": self.audit,
        }
        return [*(name for name, port in given.items() if port is None), *UNBUILT]
