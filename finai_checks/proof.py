"""Proof that a check can fail: every kind of check, run on inputs that keep its promise and on inputs that break it.

A *canary* is such an input. Those on plain values stand here; those on a poisoned copy of a small lake, in
``poisoned.py``. The check that runs is the real one: the same function, and on the lake the same declared check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from finai_assets.settings import Settings
from finai_checks import gates
from finai_checks.catalogue import KINDS, Kind, kind
from finai_checks.outcome import NO_EVIDENCE, CheckOutcome
from finai_checks.schema_contract import canaries as contract_canaries
from finai_checks.schema_contract import schema_contract


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
class Sung:
    """What came of a canary."""

    canary: Canary
    outcome: CheckOutcome
    raised: bool = False  # then the check has said nothing, whatever its reason would match

    @property
    def right(self) -> bool:
        """Tell whether the check did what it must."""
        if self.raised:
            return False
        if self.canary.expects is None:
            return self.outcome.passed
        return not self.outcome.passed and self.canary.expects in self.outcome.reason

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "check": self.canary.kind.id,
            "name": self.canary.kind.name,
            "input": self.canary.label,
            "must": "pass" if self.canary.expects is None else f"fail naming {self.canary.expects!r}",
            "passed": self.outcome.passed,
            "reason": self.outcome.reason,
            "right": self.right,
        }


@dataclass(frozen=True, slots=True)
class Proof:
    """The canaries of one kind of check."""

    kind: Kind
    sung: tuple[Sung, ...]

    @property
    def good(self) -> tuple[Sung, ...]:
        """Return the inputs that the check must let pass."""
        return tuple(sung for sung in self.sung if sung.canary.expects is None)

    @property
    def bad(self) -> tuple[Sung, ...]:
        """Return the inputs that it must reject."""
        return tuple(sung for sung in self.sung if sung.canary.expects is not None)

    @property
    def proved(self) -> bool:
        """Tell whether the check passed on something, failed on something, and was right on everything."""
        return bool(self.good and self.bad) and all(sung.right for sung in self.sung)


def sing(canaries: Iterable[Canary], *, each: Callable[[str], object] = str) -> list[Proof]:
    """Run canaries and return a proof for every kind of check there is, also for one without canaries (unproved).

    ``each`` is told the name of every check whose canary is done.
    """
    sung: dict[str, list[Sung]] = {known.name: [] for known in KINDS}
    for canary in canaries:
        try:
            song = Sung(canary, canary.evaluate())
        except Exception as error:  # shown in the proof as a wrong answer
            song = Sung(canary, CheckOutcome(False, f"raised {type(error).__name__}: {error}", 0), raised=True)
        sung[canary.kind.name].append(song)
        each(canary.kind.name)
    return [Proof(known, tuple(sung[known.name])) for known in KINDS]


def plain_canaries(settings: Settings) -> list[Canary]:
    """Return the canaries on plain values."""
    return [*_contract(settings), *_gaps(), *_fits(), *_columns(), *_students()]


def _contract(settings: Settings) -> list[Canary]:
    known = kind("schema_contract")
    found = []
    for label, inputs, expects in contract_canaries(settings):
        snapshots, transactions, month, given = inputs
        found.append(Canary(known, label, expects, _call(schema_contract, snapshots, transactions, month, given)))
    return found


def _call(function: Callable[..., CheckOutcome], *args: Any, **named: Any) -> Callable[[], CheckOutcome]:
    return lambda: function(*args, **named)


def _gaps() -> list[Canary]:
    known = kind("gap_split")
    months = {
        "train": ["2015-01", "2015-02"], "validation": ["2015-04"], "test": ["2015-06"], "purged": ["2015-03", "2015-05"],
    }  # fmt: skip

    def rows(first: int, second: int = 30) -> list[dict[str, Any]]:
        return [
            {"before": "validation", "window_end": "2015-04-01", "cutoff": "2015-05-01", "days": first},
            {"before": "test", "window_end": "2015-06-01", "cutoff": "2015-07-01", "days": second},
        ]

    def canary(label: str, expects: str | None, gaps: list[dict[str, Any]], used: Mapping[str, list[str]]) -> Canary:
        return Canary(known, label, expects, _call(gates.gap_split, gaps, 30, months=used))

    return [
        canary("gaps of 30 days", None, rows(30), months),
        canary("a gap of 3 days before validation", "the gap before validation has 3 days", rows(3), months),
        canary("a gap of 29 days before test", "the gap before test has 29 days", rows(30, 29), months),
        canary(
            "a purged month in train", "purged months are used", rows(30), {**months, "train": ["2015-02", "2015-03"]}
        ),
        canary("a test month in train", "not in order", rows(30), {**months, "train": ["2015-01", "2015-06"]}),
        canary("no split", NO_EVIDENCE, [], {}),
    ]


def _fits() -> list[Canary]:
    known = kind("fitted_on_train_only")
    train = ["2015-01", "2015-02"]

    def canary(label: str, expects: str | None, months: list[str], digest: str, rows: int) -> Canary:
        evaluate = _call(
            gates.fitted_on_train_only, fitted_months=months, fitted_digest=digest, fitted_rows=rows,
            train_months=train, train_digest="d1",
        )  # fmt: skip
        return Canary(known, label, expects, evaluate)

    return [
        canary("a state of the train sample", None, train, "d1", 10),
        canary("a state that saw a test month", "outside train", [*train, "2015-06"], "d1", 10),
        canary("a state of other rows of train", "digests differ", train, "d2", 10),
        canary("a state of no row", NO_EVIDENCE, [], "d1", 0),
    ]


def _columns() -> list[Canary]:
    names = ("age", "income", "spend")
    found = []
    for name in ("columns_vary_on_train", "columns_vary"):
        known = kind(name)
        for label, expects, std, rows in (
            ("columns that vary", None, [1.0, 2.0, 3.0], 10),
            ("a constant column", "1 of 3 columns are constant: income", [1.0, 0.0, 3.0], 10),
            ("a column of missing values", "1 of 3 columns are constant: spend", [1.0, 1.0, np.nan], 10),
            ("a single row", NO_EVIDENCE, [1.0, 2.0, 3.0], 1),
        ):
            evaluate = _call(gates.columns_vary, names, np.array(std), rows, allowed=0)
            found.append(Canary(known, label, expects, evaluate))
    return found


def _students() -> list[Canary]:
    known = kind("student_fidelity")

    def card(**more: Any) -> dict[str, Any]:
        return {"route": "DISTILL", "reason": "", **more}

    def fidelity(observed: float, n: int = 100) -> dict[str, Any]:
        verdict = {"measure": "kl", "observed": observed, "floor": 0.2, "passed": observed <= 0.2}
        return {"n": n, "verdicts": [verdict]}

    metrics = {"test": {"student": {"auc": {"n": 100}}}}
    inputs: list[tuple[str, str | None, dict[str, Any] | None]] = [
        ("a copy within its floors", None, card(fidelity=fidelity(0.1))),
        ("a student of its own, evaluated", None, {"route": "DIRECT", "reason": "", "metrics": metrics}),
        ("a copy over its floor", "kl 0.9 (floor 0.2)", card(fidelity=fidelity(0.9))),
        ("a copy that was never compared", NO_EVIDENCE, card(fidelity=None)),
        ("a copy compared on no row", NO_EVIDENCE, card(fidelity=fidelity(0.1, n=0))),
        ("a student of its own that was never evaluated", NO_EVIDENCE, {"route": "DIRECT", "reason": ""}),
        ("no student", NO_EVIDENCE, None),
    ]
    return [
        Canary(known, label, expects, _call(gates.student_fidelity, "churn_signal", stored))
        for label, expects, stored in inputs
    ]
