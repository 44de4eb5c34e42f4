"""A check: its kind, what it looks at, its outcome, where it is declared, and the canaries that prove it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from finai_assets.asset_graph import state_asset
from finai_assets.features.registry import Group
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_assets.source import PACKAGES, code_version
from finai_resources.errors import ConfigError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

if TYPE_CHECKING:
    from finai_checks.framework.small_lake import SmallLake

NO_EVIDENCE = "no_evidence"


@dataclass(frozen=True, slots=True)
class CheckKind:
    """One kind of check: what it asserts, how much evidence it needs, and what happens when it fails.

    Parameters
    ----------
    id, name
        Number and name, as in evidence and in the user interface.
    asserts
        What holds when the check passes: a sentence without its full stop.
    blocking
        True: downstream assets wait for the check, and its failure has severity ERROR. False: its failure is a warning.
    minimum
        Fewer units of evidence than this are no evidence, and no evidence is a failure.
    units
        What ``n`` counts.
    thresholds
        Settings that the check compares with, as dotted paths.
    binds
        Setting, as a dotted path, that lets a blocking kind block: where it is false, nothing waits, and a failure warns.
    audit
        True: too expensive for every run of the main job; ``finai recheck --audit`` and the job ``audit`` run it.
    compares_months
        True: judges a month by the stored months before it, so that it is asked when these are there.
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
    compares_months: bool = False


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """The verdict of one check on one input.

    Parameters
    ----------
    passed : bool
    reason : str
        Why the check failed, in words; ``no_evidence`` where there was nothing to look at; empty, or a remark, where it
        passed.
    n : int
        Rows (or other units) that the verdict rests on.
    observed : dict
        Figures that were compared with the thresholds, JSON-serialisable.
    table : list of dict
        One row for each thing that was examined, JSON-serialisable.
    """

    passed: bool
    reason: str
    n: int
    observed: dict[str, Any] = field(default_factory=dict)
    table: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def no_evidence(cls, **observed: Any) -> CheckOutcome:
        """Return the failure of a check that had nothing to look at."""
        return cls(False, NO_EVIDENCE, 0, observed)


@dataclass(frozen=True)
class CheckContext:
    """What every check looks at: the stored assets, the platform, and a month.

    Parameters
    ----------
    session : LakeSession
        Reads the lake that is examined.
    platform : Platform
        Settings, columns, tasks and splits of the data set.
    month : Month or None
        None for an asset without months.
    """

    session: LakeSession
    platform: Platform
    month: Month | None = None

    @property
    def settings(self) -> Settings:
        """Return the platform's settings."""
        return self.platform.settings

    @property
    def partition(self) -> str | None:
        """Return the key of the month (``2016-05``), None for an asset without months."""
        return self.month.key if self.month else None

    @property
    def required_month(self) -> Month:
        """Return the month.

        Raises
        ------
        ConfigError
            The context has none.
        """
        if self.month is None:
            raise ConfigError(
                "the check examines one month of its asset, and was evaluated without a month",
                where="checks",
                fix="give the month: CheckContext(session, platform, month)",
            )
        return self.month

    def groups(self, assets: Sequence[str]) -> dict[str, Group]:
        """Return the feature group of each asset that holds features (``features/x``) or a state (``feature_state/x``)."""
        return {
            asset: group
            for group in self.platform.registry.available
            for asset in (group.asset, state_asset(group.name))
            if asset in assets
        }

    def group(self, asset: str) -> Group:
        """Return the feature group whose features or state an asset holds."""
        return self.groups([asset])[asset]


Evaluate = Callable[[CheckContext, str], CheckOutcome]
EvaluateTogether = Callable[[CheckContext, Sequence[str]], Mapping[str, CheckOutcome]]


@dataclass(frozen=True)
class Declared:
    """One kind of check on one asset.

    Exactly one of ``alone`` and ``together`` is given: a function of a module, which finds all that it looks at in the context.

    Parameters
    ----------
    kind : CheckKind
    asset : str
        Path of the asset that the check sits on.
    alone
        Evaluates the check on the asset.
    together
        Evaluates the check on several assets (of a month, where they have months) at the cost of one. Checks of one kind that
        have the same function and the same months are evaluated by one call.
    months : tuple of Month, optional
        The partitions of the asset.
    thresholds
        What the check compares with, by dotted path of the setting.
    binding
        Whether the settings let a blocking kind block.
    """

    kind: CheckKind
    asset: str
    alone: Evaluate | None = None
    together: EvaluateTogether | None = None
    months: tuple[Month, ...] | None = None
    thresholds: Mapping[str, Any] = field(default_factory=dict)
    binding: bool = True

    def __post_init__(self) -> None:
        if (self.alone is None) == (self.together is None):
            raise ValueError(f"{self.name} on {self.asset} needs one function: either alone or together")

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
        """Whether downstream assets wait for the check."""
        return self.kind.blocking and self.binding

    @cached_property
    def code(self) -> str:
        """Return the hash of the source that the function reaches; empty for one that is no function of the product."""
        function: Any = self.alone or self.together
        reachable = function.__module__.partition(".")[0] in PACKAGES and "<locals>" not in function.__qualname__
        return code_version(f"{function.__module__}:{function.__qualname__}") if reachable else ""

    @cached_property
    def basis(self) -> str:
        """Return a short hash of what the verdict follows from beside the data: thresholds, and source of the function."""
        stated = json.dumps([dict(self.thresholds), self.kind.minimum, self.code], sort_keys=True, default=str)
        return hashlib.sha256(stated.encode()).hexdigest()[:16]

    @cached_property
    def month_keys(self) -> frozenset[str | None]:
        """Return the partitions that the check is declared on; None stands for that of an asset without months."""
        return frozenset({None} if self.months is None else (month.key for month in self.months))

    def evaluate(self, context: CheckContext) -> CheckOutcome:
        """Evaluate the check on its asset, and store nothing."""
        return self.evaluate_on(context, [self.asset]).get(self.asset, CheckOutcome.no_evidence())

    def evaluate_on(self, context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
        """Evaluate the check on its asset and on others that are declared with the same function."""
        if self.alone is not None:
            return {asset: self.alone(context, asset) for asset in assets}
        return self.together(context, assets) if self.together is not None else {}


def declare(
    kind: CheckKind, asset: str, evaluate: Evaluate, settings: Settings, *, months: tuple[Month, ...] | None = None
) -> Declared:
    """Put a kind of check on an asset."""
    thresholds, binding = threshold_values(settings, kind), _binding(settings, kind)
    return Declared(kind, asset, alone=evaluate, months=months, thresholds=thresholds, binding=binding)


def declare_together(
    kind: CheckKind,
    assets: Sequence[str],
    evaluate: EvaluateTogether,
    settings: Settings,
    *,
    months: tuple[Month, ...] | None = None,
) -> list[Declared]:
    """Put a kind of check on assets that one call examines together."""
    thresholds, binding = threshold_values(settings, kind), _binding(settings, kind)
    return [
        Declared(kind, asset, together=evaluate, months=months, thresholds=thresholds, binding=binding)
        for asset in assets
    ]


def sharing_work(checks: Sequence[Declared]) -> list[list[Declared]]:
    """Group checks by the call that evaluates them; a check that shares its work with no other is alone in its group."""
    groups: dict[Any, list[Declared]] = {}
    for check in checks:
        shared = (check.name, check.together, check.months) if check.together else (check.name, check.asset)
        groups.setdefault(shared, []).append(check)
    return list(groups.values())


def threshold_values(settings: Settings, kind: CheckKind) -> dict[str, Any]:
    """Return what a kind of check compares with, by dotted path of the setting."""
    return {path: _dumped(_setting(settings, path)) for path in kind.thresholds}


def _dumped(value: Any) -> Any:
    """Return a setting as plain values, a section within a mapping too."""
    if isinstance(value, dict):
        return {name: _dumped(entry) for name, entry in value.items()}
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _binding(settings: Settings, kind: CheckKind) -> bool:
    return kind.binds is None or bool(_setting(settings, kind.binds))


def _setting(settings: Settings, path: str) -> Any:
    value: Any = settings
    for part in path.split("."):
        value = getattr(value, part)
    return value


@dataclass(frozen=True, slots=True)
class Canary:
    """One input that a check must let pass or reject, to be proved.

    Parameters
    ----------
    kind : CheckKind
    label : str
        What the input is, in words.
    expects : str or None
        None where the check must pass; else a text that the reason of its failure must contain: failing for another reason
        proves nothing.
    evaluate
        Runs the real check on the input.
    """

    kind: CheckKind
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
        Path of the asset that the check sits on.
    poison
        Spoils a copy of the lake; None leaves the lake as it was made.
    month
        ``train`` (the last month of train, by default), ``validation`` or ``test``, for an asset that has months.
    """

    kind: CheckKind
    asset: str
    label: str
    expects: str | None = None
    poison: Callable[[SmallLake], None] | None = None
    month: str = "train"


@dataclass(frozen=True, slots=True)
class Theme:
    """What a room of checks offers to the catalogue, from which all else derives.

    Parameters
    ----------
    kinds : tuple of CheckKind
    declare
        Puts the kinds on the assets of a data set.
    canaries : str
        The module whose ``plain_canaries(settings)`` returns inputs on plain values, and whose ``lake_canaries()`` inputs on the
        small lake and on spoiled copies of it. Only a proof imports it: canaries train, and what trains takes seconds to load.
    """

    kinds: tuple[CheckKind, ...]
    declare: Callable[[Platform], Sequence[Declared]]
    canaries: str

    def plain_canaries(self, settings: Settings) -> Sequence[Canary]:
        """Return inputs on plain values."""
        return import_module(self.canaries).plain_canaries(settings)

    def lake_canaries(self) -> Sequence[LakeCanary]:
        """Return inputs on the small lake, and on spoiled copies of it."""
        return import_module(self.canaries).lake_canaries()
