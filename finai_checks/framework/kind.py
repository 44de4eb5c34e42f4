"""What a kind of check is: its number, what it asserts, what it needs to look at, and what happens when it fails."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of check.

    Parameters
    ----------
    id, name
        Number and name, as in evidence and in the user interface.
    asserts
        What holds when it passes.
    blocking
        True: what follows waits for it, and its failure has severity ERROR. False: its failure is a warning.
    minimum
        Fewer units of evidence than this are no evidence, and no evidence is a failure.
    units
        What ``n`` counts.
    thresholds
        Settings that it compares with, as dotted paths.
    binds
        Setting, as a dotted path, that lets a blocking kind block: where it is false, nothing waits, and a failure warns.
    audit
        True: too dear for every run of the main job; ``finai recheck --audit`` and the job ``audit`` run it.
    """

    id: str
    name: str
    asserts: str
    blocking: bool
    minimum: int
    units: str
    thresholds: tuple[str, ...] = ()
    binds: str | None = None
    audit: bool = False
