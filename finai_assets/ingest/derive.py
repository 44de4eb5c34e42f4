"""What a data set cannot carry, derived from what it is without: columns, tasks, and the groups that lose every column.

The facts are ``dataset.unavailable_tables``, ``dataset.lacks``, ``dataset.never_held`` and ``dataset.never_acquired``, completed
by :mod:`finai_assets.settings.lacks`. A column or a task goes with the first of its declared inputs that is not there; what
inputs do not tell is in :data:`NEEDS`. A reason that somebody wrote in ``dataset.unavailable_columns`` or
``dataset.unavailable_tasks`` comes before a derived one. Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Protocol

from finai_assets.asset_graph import CATEGORIES, PRODUCTS, SNAPSHOTS, TRANSACTIONS
from finai_assets.ingest.contract import PRODUCT_CLASSES

if TYPE_CHECKING:
    from finai_assets.settings import DatasetSettings, Product, Settings

# The settings that decide about a column whose inputs tell all.
FACTS = ("dataset.lacks", "dataset.unavailable_tables", "dataset.unavailable_columns")
_INPUTS = {  # a fact -> the raw columns, or the whole tables, that are not there
    "transactions": (f"{TRANSACTIONS}.", f"{CATEGORIES}."),
    "merchant_categories": (f"{CATEGORIES}.",),
    "products": (f"{PRODUCTS}.", f"{SNAPSHOTS}.held"),
    "merchants": (f"{TRANSACTIONS}.merchant_id",),
    "categories": (f"{TRANSACTIONS}.mcc", f"{CATEGORIES}."),
    **{
        name: (f"{SNAPSHOTS}.{name}",)
        for name in ("age", "income", "tenure_months", "is_active", "gender", "segment", "country", "channel")
    },
}


@dataclass(frozen=True, slots=True)
class Need:
    """Columns and tasks that need a fact which their inputs do not tell, by patterns of their names."""

    fact: str
    columns: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()


NEEDS = (
    Need("time_of_day", columns=("txn_share_*", "lag_hour_*", "hmm_behavior_*")),
    Need("closures", columns=("closures_total",), tasks=("churn_signal",)),
    Need(
        "acquisitions",
        columns=("acquisitions_total", "acquired_*", "acquisition_posterior_*"),
        tasks=("nba_primary", "cross_sell_count", "will_acquire_*"),
    ),
)


@dataclass(frozen=True, slots=True)
class Why:
    """Why something cannot be carried: a plain sentence, and the setting that it follows from (``dataset.lacks.income``)."""

    reason: str
    fact: str


@dataclass(frozen=True, slots=True)
class Derived:
    """Everything that a data set cannot carry, by name."""

    tables: Mapping[str, Why]
    groups: Mapping[str, Why]
    columns: Mapping[str, Why]
    tasks: Mapping[str, Why]


class ColumnLike(Protocol):
    """A feature column, reduced to what decides whether it can be carried."""

    @property
    def name(self) -> str:
        """Return its name."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the raw columns that it is computed from."""


class TaskLike(ColumnLike, Protocol):
    """A task, likewise."""

    @property
    def acquires(self) -> str | None:
        """Return the set of products that it is about."""


class GroupLike(Protocol):
    """A feature group, likewise."""

    @property
    def name(self) -> str:
        """Return its name."""

    @property
    def declared(self) -> Sequence[ColumnLike]:
        """Return its columns, carried or not."""


def facts(dataset: DatasetSettings) -> dict[str, Why]:
    """Return the tables and the parts of tables that a data set is without, by name."""
    return {
        **{name: Why(reason, f"dataset.lacks.{name}") for name, reason in dataset.lacks.items()},
        **{
            name: Why(reason, f"dataset.unavailable_tables.{name}")
            for name, reason in dataset.unavailable_tables.items()
        },
    }


def unavailable_column(column: ColumnLike, dataset: DatasetSettings) -> Why | None:
    """Return why a column cannot be carried as far as its inputs and :data:`NEEDS` tell; None where it can.

    Of the settings only :data:`FACTS` are read.
    """
    for pattern, reason in dataset.unavailable_columns.items():
        if fnmatch(column.name, pattern):
            return Why(reason, f"dataset.unavailable_columns.{pattern}")
    known = facts(dataset)
    return _by_inputs(column, known) or _by_need(column.name, [(need.fact, need.columns) for need in NEEDS], known)


def unavailable_columns(columns: Iterable[ColumnLike], settings: Settings) -> dict[str, Why]:
    """Return why columns cannot be carried, by name: those of products and of classes of products too."""
    of_products = dict(_columns_of_products(settings))
    found = {}
    for column in columns:
        why = unavailable_column(column, settings.dataset) or of_products.get(column.name)
        if why is not None:
            found[column.name] = why
    return found


def unavailable_tasks(tasks: Iterable[TaskLike], settings: Settings) -> dict[str, Why]:
    """Return why tasks cannot be carried, by name."""
    dataset, known = settings.dataset, facts(settings.dataset)
    found = {}
    for task in tasks:
        written = dataset.unavailable_tasks.get(task.name)
        why = (
            Why(written, f"dataset.unavailable_tasks.{task.name}")
            if written is not None
            else _by_inputs(task, known)
            or _by_need(task.name, [(need.fact, need.tasks) for need in NEEDS], known)
            or (_without_event(task.acquires, settings) if task.acquires else None)
            or (_unchanging(known) if task.name == "product_stability" else None)
        )
        if why is not None:
            found[task.name] = why
    return found


def derive(groups: Iterable[GroupLike], tasks: Iterable[TaskLike], settings: Settings) -> Derived:
    """Return everything that a data set cannot carry; a group cannot be where it has no column left."""
    every = tuple(groups)
    columns = unavailable_columns((column for group in every for column in group.declared), settings)
    gone = [group for group in every if all(column.name in columns for column in group.declared)]
    return Derived(
        {
            name: Why(reason, f"dataset.unavailable_tables.{name}")
            for name, reason in settings.dataset.unavailable_tables.items()
        },
        {
            group.name: columns[group.declared[0].name] if group.declared else facts(settings.dataset)["products"]
            for group in gone
        },
        columns,
        unavailable_tasks(tasks, settings),
    )


def has_input(name: str, dataset: DatasetSettings) -> bool:
    """Return whether a raw column is there."""
    return not any(name.startswith(gone) for fact in facts(dataset) for gone in _INPUTS.get(fact, ()))


def _by_inputs(made: ColumnLike, known: Mapping[str, Why]) -> Why | None:
    for name in made.inputs:
        for fact, why in known.items():
            if any(name.startswith(gone) for gone in _INPUTS.get(fact, ())):
                return why
    return None


def _by_need(name: str, needs: Iterable[tuple[str, tuple[str, ...]]], known: Mapping[str, Why]) -> Why | None:
    for fact, patterns in needs:
        if fact in known and any(fnmatch(name, pattern) for pattern in patterns):
            return known[fact]
    return None


def _unchanging(known: Mapping[str, Why]) -> Why | None:
    """Return why the products held at two times are always the same ones; None where they may differ."""
    return known["acquisitions"] if {"acquisitions", "closures"} <= set(known) else None


def _columns_of_products(settings: Settings) -> Iterator[tuple[str, Why]]:
    """Yield the columns of products and classes of which the train months hold nothing to see."""
    months = settings.feature_groups.nba_history_multihot.months
    for product in settings.products:
        if why := _pattern(product.code, "never_held", settings.dataset.never_held):
            yield f"held_{product.code}", why
        if why := _never_acquired(product, settings):
            yield f"acquired_{months}m_{product.code}", why
    for name in PRODUCT_CLASSES:
        members = [product for product in settings.products if product.product_class == name]
        if not members:
            yield f"acquisition_posterior_{name}", Why(f"no product is of the class {name} (products)", "products")
        elif why := _all_never_acquired(members, settings):
            yield f"acquisition_posterior_{name}", why


def _without_event(name: str, settings: Settings) -> Why | None:
    """Return why no product of a set is acquired; None where one is."""
    codes = settings.acquisition_sets.get(name, ())
    if not codes:
        return Why(
            f"the data set names no product whose acquisition counts (acquisition_sets.{name})", "acquisition_sets"
        )
    return _all_never_acquired([product for product in settings.products if product.code in codes], settings)


def _all_never_acquired(products: Sequence[Product], settings: Settings) -> Why | None:
    reasons = [_never_acquired(product, settings) for product in products]
    return reasons[0] if all(reasons) else None


def _never_acquired(product: Product, settings: Settings) -> Why | None:
    dataset = settings.dataset
    return _pattern(product.code, "never_acquired", dataset.never_acquired) or _pattern(
        product.code, "never_held", dataset.never_held
    )


def _pattern(code: str, name: str, reasons: Mapping[str, str]) -> Why | None:
    for pattern, reason in reasons.items():
        if fnmatch(code, pattern):
            return Why(reason, f"dataset.{name}.{pattern}")
    return None
