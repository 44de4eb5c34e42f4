"""The loop: each call of a case fails in turn, until a run has none left to fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from studies.faults.injector import Kind, Point
from studies.faults.trial import Bench, Case, Ended, differences, unsaid

CLOCK = "clock"
SKEWS = (86_400.0, -86_400.0)  # seconds: a day ahead, a day behind
Told = Callable[[str], None]


@dataclass(slots=True)
class Found:
    """What came of one fault on one kind of asset.

    Parameters
    ----------
    case, fault : str
    calls : int
        That a run makes and the fault could meet.
    points : int
        At which it was injected.
    outcomes : Counter
        Runs by how they ended: ``refused``, ``killed``, or ``done`` (what failed was not needed).
    wrong : list of str
        Each trial that was not as promised, in words; empty where all were.
    """

    case: str
    fault: str
    calls: int = 0
    points: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "case": self.case,
            "fault": self.fault,
            "calls": self.calls,
            "points": self.points,
            "outcomes": dict(sorted(self.outcomes.items())),
            "wrong": self.wrong,
        }


def loop(bench: Bench, case: Case, fault: Kind, *, each: int, wanted: Ended, told: Told = lambda _: None) -> Found:
    """Inject a fault at every call of a case in turn.

    Parameters
    ----------
    each
        How many calls of one name are let fail, the first ones; 0 for all.
    wanted
        What an undisturbed run left.
    """
    counted = bench.disturbed(case, fault)
    bench.rerun(case)
    found = Found(case.name, fault, sum(counted.counts.values()))
    for name, times in counted.counts.items():
        for time in range(1, min(times, each or times) + 1):
            _trial(bench, case, found, Point(name, time), wanted, told)
    return found


def skewed(bench: Bench, case: Case, *, wanted: Ended, told: Told = lambda _: None) -> Found:
    """Kill a case at its last rename under a clock that is wrong by a day, and go on by the right one; and run it whole so."""
    found = Found(case.name, CLOCK)
    names = [name for name in bench.disturbed(case, "killed").counts if name.startswith("rename")]
    bench.rerun(case)
    for seconds in SKEWS:
        for at in (None, Point(names[-1], 1), Point(names[0], 1)):
            ended = bench.disturbed(case, "killed", at, skewed=seconds)
            _judge(bench, case, found, f"{seconds:+.0f} s, {at.name if at else 'whole'}", ended, wanted, told)
    return found


def _trial(bench: Bench, case: Case, found: Found, at: Point, wanted: Ended, told: Told) -> None:
    ended = bench.disturbed(case, found.fault, at)  # type: ignore[arg-type] # of a fault that is injected
    if not ended.hit:  # another run made fewer calls of this name
        bench.rerun(case)
        return
    _judge(bench, case, found, f"{at.name}, {at.time}", ended, wanted, told)


def _judge(bench: Bench, case: Case, found: Found, where: str, ended: Ended, wanted: Ended, told: Told) -> None:
    found.points += 1
    outcome = "killed" if ended.said == "killed" else "refused" if ended.said else "done"
    found.outcomes[outcome] += 1
    lacking = _lacking(ended, case)
    wrong = [f"it does not say: {', '.join(lacking)}: {ended.said[-600:]}"] if lacking else []
    again = bench.rerun(case)
    if again.said:
        wrong.append(f"the rerun is refused: {again.said[-1200:]}")
    wrong += differences(again.state, wanted.state)
    found.wrong += [f"{where}: {each}" for each in wrong]
    told(f"{case.name}, {found.fault}, {where}: {outcome} ({ended.seconds:.1f} s, rerun {again.seconds:.1f} s)")
    for each in wrong:
        told(f"  WRONG: {each}")


def _lacking(ended: Ended, case: Case) -> list[str]:
    if not ended.said or ended.said == "killed":
        return []
    return unsaid(ended.said, case, begun=ended.begun) if ended.told else ["a sentence in the place of a traceback"]


def summary(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return how many injections there were, and how many were not as promised."""
    points = sum(each["points"] for each in found.values())
    wrong = sum(len(each["wrong"]) for each in found.values())
    return f"{points} faults at {sum(each['calls'] for each in found.values())} calls, {wrong} not as promised"
