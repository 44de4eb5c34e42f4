"""Fidelity: whether a student agrees with its teacher on rows that neither was fitted on, by the one comparison with the floors.

:mod:`finai_assets.students.fidelity_measures` computes the figures. :func:`compare_fidelity` alone decides whether a copy is
faithful enough: when the route is chosen, when the check C23 judges a stored student by the floors of the configuration, and when
a bundle is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from finai_assets.scoring.resampling import Interval
from finai_assets.settings.method import FidelitySettings, MetricSettings
from finai_assets.students.fidelity_measures import Compared, figures_of

_PLACES = ("agreement", "quartile_agreement", "decile_overlap")
AT_LEAST = frozenset(
    {"rank_correlation", "explained_variance", "pair_order", *_PLACES, *(f"{name}_exact" for name in _PLACES)}
)
# The whole interval of these must keep the floor, not only the figure.
BY_BOUND = frozenset({"pair_order"})


@dataclass(frozen=True)
class Floor:
    """One measure beside the bound that it must keep; an undefined measure (NaN) keeps none."""

    measure: str
    observed: Interval
    floor: float

    @property
    def passed(self) -> bool:
        """Whether the bound is kept: by the figure, or by the end of its interval where the measure is in :data:`BY_BOUND`."""
        return self._kept(self._near if self.measure in BY_BOUND else self.observed.value)

    def replicates(self, confidence: float, assurance: float) -> bool:
        """Return whether as many other rows would keep the bound too, with this probability.

        Two samples of the same size differ by sqrt(2) standard errors, and the end of the interval tells the standard error. A
        figure without an interval is taken as it is.
        """
        from scipy.stats import norm

        value, near = self.observed.value, self._near
        if not np.isfinite(near):
            return self.passed
        error = (value - near) / float(norm.ppf((1 + confidence) / 2))
        reached = near if self.measure in BY_BOUND else value
        return self._kept(reached - float(norm.ppf(assurance)) * np.sqrt(2) * error)

    @property
    def _near(self) -> float:
        """Return the end of the interval that lies nearer to missing the floor."""
        return self.observed.low if self.measure in AT_LEAST else self.observed.high

    def _kept(self, value: float) -> bool:
        return bool(value >= self.floor if self.measure in AT_LEAST else value <= self.floor)

    def __str__(self) -> str:
        if not np.isfinite(self.observed.value):
            return f"{self.measure} is not defined"
        bound = "at least" if self.measure in AT_LEAST else "at most"
        ends = f" [{self.observed.low:.3f}, {self.observed.high:.3f}]" if np.isfinite(self.observed.low) else ""
        return f"{self.measure} {self.observed.value:.3f}{ends} ({bound} {self.floor})"


@dataclass(frozen=True)
class Fidelity:
    """Figures of fidelity: each measure (NaN where it is undefined) on ``n`` rows, of which ``labelled`` have a label."""

    measures: Mapping[str, Interval]
    n: int
    labelled: int

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Fidelity:
        """Read the figures from what :meth:`FidelityVerdict.to_json` wrote."""
        measures = {name: _interval(entry) for name, entry in stored["figures"].items()}
        return cls(measures, int(stored["n"]), int(stored.get("labelled", 0)))


@dataclass(frozen=True)
class FidelityVerdict:
    """Figures of fidelity beside the floors that some of them were compared with."""

    fidelity: Fidelity
    floors: tuple[Floor, ...]

    @property
    def n(self) -> int:
        """Return the number of rows."""
        return self.fidelity.n

    @property
    def passed(self) -> bool:
        """Whether there is evidence and every floor is kept."""
        return bool(self.n and self.floors) and not self.failures

    @property
    def failures(self) -> tuple[str, ...]:
        """Return the floors that are missed, in words."""
        return tuple(str(entry) for entry in self.floors if not entry.passed)

    def doubts(self, confidence: float, assurance: float) -> tuple[str, ...]:
        """Return the floors that as many other rows may miss, in words."""
        return tuple(str(entry) for entry in self.floors if not entry.replicates(confidence, assurance))

    def bounds(self) -> dict[str, float]:
        """Return the floor of each measure that has one."""
        return {entry.measure: entry.floor for entry in self.floors}

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values; what is undefined is null."""
        verdicts = [
            {
                "measure": entry.measure,
                "observed": entry.observed.plain()["value"],
                "low": entry.observed.plain()["low"],
                "high": entry.observed.plain()["high"],
                "bound": "at least" if entry.measure in AT_LEAST else "at most",
                "floor": entry.floor,
                "passed": entry.passed,
            }
            for entry in self.floors
        ]
        figures = {name: interval.plain() for name, interval in self.fidelity.measures.items()}
        return {
            "passed": self.passed,
            "n": self.n,
            "labelled": self.fidelity.labelled,
            "verdicts": verdicts,
            "figures": figures,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> FidelityVerdict:
        """Read what :meth:`to_json` wrote: the figures, and the floors that the route was chosen with."""
        fidelity = Fidelity.from_json(stored)
        return cls(fidelity, _floors(fidelity, {v["measure"]: float(v["floor"]) for v in stored["verdicts"]}))


def measure_fidelity(compared: Compared, settings: MetricSettings, seed: int) -> Fidelity:
    """Measure how far a student agrees with its teacher."""
    return Fidelity(figures_of(compared, settings, seed), len(compared.label), int(np.isfinite(compared.label).sum()))


def compare_fidelity(kind: str, fidelity: Fidelity, settings: FidelitySettings) -> FidelityVerdict:
    """Compare a student's figures with the floors of its kind of task; a measure without a figure misses its floor."""
    return FidelityVerdict(fidelity, _floors(fidelity, {"kl": settings.kl, **getattr(settings, kind)}))


def compare_stored(card: Mapping[str, Any], settings: FidelitySettings) -> FidelityVerdict | None:
    """Compare the stored figures of a student with the floors of some settings, without training.

    Parameters
    ----------
    card
        ``student.json``. The verdict in it is not looked at: it belongs to the floors that the route was chosen with.

    Returns
    -------
    FidelityVerdict or None
        None where no copy was measured, or on no row.
    """
    stored = card.get("fidelity") or {}
    if not stored.get("n") or not stored.get("figures"):
        return None
    return compare_fidelity(card["kind"], Fidelity.from_json(stored), settings)


def _floors(fidelity: Fidelity, bounds: Mapping[str, float]) -> tuple[Floor, ...]:
    nothing = Interval(float("nan"), float("nan"), float("nan"))
    return tuple(Floor(name, fidelity.measures.get(name, nothing), bound) for name, bound in bounds.items())


def _interval(stored: Mapping[str, Any]) -> Interval:
    return Interval(
        *(float("nan") if stored.get(end) is None else float(stored[end]) for end in ("value", "low", "high"))
    )
