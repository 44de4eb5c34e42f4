"""The one list of feature columns. Asset specs, schemas, lineage, checks, docs and the bundle's contract derive from it.

A group's columns are declared in its own module (``groups/<group>.py``, function ``columns``); this module collects them in
the order of the reference, leaves out what a data set cannot carry, and answers questions about them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol, cast

from finai_assets.asset_graph import group_asset
from finai_assets.ingest.derive import unavailable_columns
from finai_assets.settings.features import FeatureGroupSettings
from finai_resources.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from finai_assets.features.block import Block
    from finai_assets.features.tensors import Tensor
    from finai_assets.settings import Settings

Kind = Literal["continuous", "binary", "code", "share", "count"]
Params = Mapping[str, "np.ndarray"]
_PACKAGE = "finai_assets.features.groups"
SETTINGS = ("seed", "look_back_months", "products.code", "lake")  # every group receives these


@dataclass(frozen=True, slots=True)
class Column:
    """One feature column.

    Parameters
    ----------
    name : str
        Unique among all columns.
    kind : Kind
        ``continuous``, ``binary`` (0/1), ``code`` (index of a category), ``share`` (0..1), ``count``.
    unit : str
        ``KRW`` stands for the data set's currency; ``1`` for a pure number.
    inputs : tuple of str
        Raw columns it is computed from, as ``raw/<table>.<column>``.
    window_days : int or None
        Days before the cutoff that it reads; None means the snapshot month's row alone.
    fit_scope : {"none", "train"}
        Whether a fitted state takes part.
    missing : str
        The value where the input is missing: ``never missing``, ``nan``, ``zero`` or how it is imputed.
    low, high : float or None
        Range that a value may have.
    """

    name: str
    group: str
    kind: Kind
    unit: str
    description: str
    description_ko: str
    inputs: tuple[str, ...]
    window_days: int | None
    fit_scope: Literal["none", "train"]
    missing: str
    low: float | None = None
    high: float | None = None
    pii: bool = False


class GroupModule(Protocol):
    """The protocol of a module in ``groups/``: pure functions.

    ``fit`` is there where a column has the fit scope ``train``; ``tensors`` and ``transform_with_tensors``, where the group
    stores side tensors; ``NOTE``, where the reference has to tell more of the method than the docstring's first line.
    """

    columns: Callable[[Settings], tuple[Column, ...]]
    fit: Callable[[Sequence[Block], Settings], Params]
    transform: Callable[[Block, Params, Settings], np.ndarray]
    tensors: Callable[[Settings], tuple[Tensor, ...]]
    transform_with_tensors: Callable[[Block, Params, Settings], tuple[np.ndarray, dict[str, np.ndarray]]]


@dataclass(frozen=True)
class Group:
    """One feature group: its columns, its side tensors and, through its module, its functions."""

    name: str
    number: int
    title: str
    declared: tuple[Column, ...]
    unavailable: Mapping[str, str]
    tensors: tuple[Tensor, ...] = ()
    note: str = ""

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns that this data set can carry."""
        return tuple(column for column in self.declared if column.name not in self.unavailable)

    @cached_property
    def kept(self) -> tuple[int, ...]:
        """Return the positions of :attr:`columns` among :attr:`declared`."""
        return tuple(i for i, column in enumerate(self.declared) if column.name not in self.unavailable)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def asset(self) -> str:
        """Return the path of the group's asset."""
        return group_asset(self.name)

    @property
    def fits(self) -> bool:
        """Return whether any column needs a state fitted on train."""
        return any(column.fit_scope == "train" for column in self.columns)

    def functions(self, *names: str) -> tuple[str, ...]:
        """Return those of the named functions that the group's module has, as ``package.module:function``."""
        return tuple(f"{_PACKAGE}.{self.name}:{name}" for name in names if hasattr(self.module, name))

    @property
    def reads(self) -> tuple[str, ...]:
        """Return the settings that the group's functions receive, by dotted path: those of every group, and its own.

        A group that reads more names it in its module's ``SETTINGS``.
        """
        return (*SETTINGS, f"feature_groups.{self.name}", *getattr(self.module, "SETTINGS", ()))

    def narrowed(self, settings: Settings) -> Settings:
        """Return the settings that the group's functions receive."""
        return settings.only(*self.reads)

    @property
    def module(self) -> GroupModule:
        """Return the group's module."""
        return cast(GroupModule, importlib.import_module(f"{_PACKAGE}.{self.name}"))


@dataclass(frozen=True)
class Registry:
    """All groups, in order."""

    groups: tuple[Group, ...]

    @cached_property
    def available(self) -> tuple[Group, ...]:
        """Return the groups of which the data set can carry a column."""
        return tuple(group for group in self.groups if group.columns)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns that the data set can carry, in matrix order."""
        return tuple(column for group in self.available for column in group.columns)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names of :attr:`columns`."""
        return tuple(column.name for column in self.columns)

    def __iter__(self) -> Iterator[Group]:
        return iter(self.groups)

    def group(self, name: str) -> Group:
        """Return a group by name."""
        for group in self.groups:
            if group.name == name:
                return group
        known = ", ".join(group.name for group in self.groups)
        raise ConfigError(f"there is no feature group {name!r}", where="feature_groups", fix=f"choose one of {known}")

    def select(self, groups: Iterable[Group | str]) -> list[Group]:
        """Return groups given by name or as they are."""
        return [self.group(group) if isinstance(group, str) else group for group in groups]

    def positions(self, groups: tuple[str, ...]) -> list[int]:
        """Return the matrix positions of the columns of some groups, in matrix order."""
        wanted = set(groups)
        return [index for index, column in enumerate(self.columns) if column.group in wanted]


def build_registry(settings: Settings) -> Registry:
    """Collect the columns of every configured group.

    Raises
    ------
    ConfigError
        A column's name occurs twice, or ``unavailable_columns`` names a column that is not there.
    """
    groups = []
    patterns = settings.dataset.unavailable_columns
    used: set[str] = set()
    for number, name in enumerate(FeatureGroupSettings.names(), start=1):
        module = importlib.import_module(f"{_PACKAGE}.{name}")
        declared: tuple[Column, ...] = module.columns(settings)
        unavailable = {name: why.reason for name, why in unavailable_columns(declared, settings).items()}
        used |= {pattern for pattern in patterns if any(fnmatch(column.name, pattern) for column in declared)}
        groups.append(
            Group(
                name,
                number,
                (module.__doc__ or name).splitlines()[0].rstrip("."),
                declared,
                unavailable,
                module.tensors(settings) if hasattr(module, "tensors") else (),
                getattr(module, "NOTE", ""),
            )
        )
    if idle := set(patterns) - used:
        raise ConfigError(
            f"no column has a name like {sorted(idle)}",
            where="dataset.unavailable_columns",
            fix="`finai features list` shows the names",
        )
    names = [column.name for group in groups for column in group.declared]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ConfigError(f"columns occur twice: {twice[:5]}", where="feature registry", fix="give each its own name")
    return Registry(tuple(groups))
