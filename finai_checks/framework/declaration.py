"""One kind of check on one asset, with the function that looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from finai_assets.settings import Settings
from finai_checks.framework.kind import Kind
from finai_checks.framework.outcome import CheckOutcome
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

Evaluate = Callable[[LakeSession, Month | None], CheckOutcome]
EvaluateTogether = Callable[[LakeSession, Month | None, Sequence[str]], Mapping[str, CheckOutcome]]


@dataclass(frozen=True)
class Declared:
    """One kind of check on one asset.

    Parameters
    ----------
    kind : Kind
    asset : str
        Path of the asset it sits on.
    evaluate
        Looks, and says; the month is None for an asset without partitions.
    months : tuple of Month, optional
        The partitions of the asset.
    together
        Looks at several assets (of a month, where they have months) at the cost of one; checks that share the function are
        evaluated by it.
    thresholds
        What it compares with, by dotted path of the setting.
    binding
        Whether the settings let a blocking kind block.
    """

    kind: Kind
    asset: str
    evaluate: Evaluate
    months: tuple[Month, ...] | None = None
    together: EvaluateTogether | None = None
    thresholds: Mapping[str, Any] = field(default_factory=dict)
    binding: bool = True

    @property
    def id(self) -> str:
        """Return the number of the kind."""
        return self.kind.id

    @property
    def name(self) -> str:
        """Return the name of the kind."""
        return self.kind.name

    @property
    def blocking(self) -> bool:
        """Tell whether what follows waits for it."""
        return self.kind.blocking and self.binding


def declare(
    kind: Kind, asset: str, evaluate: Evaluate, settings: Settings, *, months: tuple[Month, ...] | None = None
) -> Declared:
    """Put a kind of check on an asset."""
    return Declared(
        kind,
        asset,
        evaluate,
        months=months,
        thresholds=threshold_values(settings, kind),
        binding=_binding(settings, kind),
    )


def declare_together(
    kind: Kind,
    assets: Sequence[str],
    together: EvaluateTogether,
    settings: Settings,
    *,
    months: tuple[Month, ...] | None = None,
) -> list[Declared]:
    """Put a kind of check on assets that it looks at together."""
    thresholds, binding = threshold_values(settings, kind), _binding(settings, kind)

    def alone(asset: str) -> Evaluate:
        return lambda session, month: together(session, month, [asset])[asset]

    return [
        Declared(kind, asset, alone(asset), months=months, together=together, thresholds=thresholds, binding=binding)
        for asset in assets
    ]


def threshold_values(settings: Settings, known: Kind) -> dict[str, Any]:
    """Return what a kind of check compares with, by dotted path of the setting."""
    found = {}
    for path in known.thresholds:
        value = _setting(settings, path)
        found[path] = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
    return found


def _binding(settings: Settings, known: Kind) -> bool:
    return known.binds is None or bool(_setting(settings, known.binds))


def _setting(settings: Settings, path: str) -> Any:
    value: Any = settings
    for part in path.split("."):
        value = getattr(value, part)
    return value
