"""Inputs that a check must let pass or reject: on plain values, or on a small lake and spoiled copies of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from finai_checks.framework.kind import Kind
from finai_checks.framework.outcome import CheckOutcome
from finai_checks.framework.small_lake import SmallLake


@dataclass(frozen=True, slots=True)
class Canary:
    """One input of a check.

    Parameters
    ----------
    kind : Kind
    label : str
        What the input is, in words.
    expects : str or None
        None where the check must pass; else a text that the reason of its failure must contain: failing for another reason
        proves nothing.
    evaluate
        Runs the real check on the input.
    """

    kind: Kind
    label: str
    expects: str | None
    evaluate: Callable[[], CheckOutcome]


@dataclass(frozen=True, slots=True)
class LakeCanary:
    """A small lake, as it was made or spoiled, on which a declared check of an asset is run.

    Parameters
    ----------
    kind, label, expects
        As for a :class:`Canary`.
    asset : str
        Where the check sits.
    poison
        Spoils a copy of the lake; None leaves the lake as it was made.
    month
        ``train`` (the last month of train, by default), ``validation`` or ``test``, for an asset that has months.
    """

    kind: Kind
    asset: str
    label: str
    expects: str | None = None
    poison: Callable[[SmallLake], None] | None = None
    month: str = "train"
