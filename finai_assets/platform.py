"""The platform of one data set and profile: the settings, and the registries and the asset graph that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from finai_assets.asset_graph import SNAPSHOTS, TRANSACTIONS, AssetGraph, Member, Offsets, Window
from finai_assets.bundle.content import RULES_FILE, TEMPLATES_FILE, is_displayable, read_config, rule_columns
from finai_assets.features.registry import Column, Group, Registry, build_registry
from finai_assets.labels.splits import Splits, make_splits
from finai_assets.labels.task import Task, available
from finai_assets.labels.task_names import require_known_tasks
from finai_assets.labels.tasks import build_tasks
from finai_assets.labels.windows import months_read
from finai_assets.partitions import look_back
from finai_assets.settings import Settings, config_folders
from finai_assets.settings.adapters import known_adapters
from finai_assets.settings.lacks import with_usable_experts
from finai_resources.secrets import SecretStore

# The fields of a task that the training matrix stores.
_OF_A_MATRIX = ("name", "kind", "group", "weight", "focal", "class_names", "vocabulary", "persistence")


@dataclass(frozen=True)
class Platform:
    """Settings, columns, tasks, splits and assets of one data set in one profile."""

    settings: Settings
    registry: Registry
    tasks: tuple[Task, ...]
    splits: Splits
    secrets: SecretStore | None = None

    @classmethod
    def of(cls, settings: Settings, secrets: SecretStore | None = None, *, more_tasks: Sequence[Task] = ()) -> Platform:
        """Derive the registries from the settings; their errors about wrong settings pass through.

        An expert of the teacher for which the data set has no feature group is left out.

        Parameters
        ----------
        secrets
            Where checks find the keys that signatures and pseudonyms are verified with.
        more_tasks
            Rows behind those of the table of tasks.
        """
        registry = build_registry(settings)
        settings = with_usable_experts(settings, [group.name for group in registry.available])
        tasks = build_tasks(settings, more_tasks)
        require_known_tasks([task.name for task in tasks], settings)
        return cls(settings, registry, tasks, make_splits(settings), secrets)

    @property
    def available_tasks(self) -> tuple[Task, ...]:
        """Return the tasks that the data set can carry."""
        return available(self.tasks)

    @cached_property
    def displayable(self) -> frozenset[str]:
        """Return the columns whose meaning may be told to a customer."""
        templates = read_config(TEMPLATES_FILE)
        return frozenset(column.name for column in self.registry.columns if is_displayable(column, templates))

    @cached_property
    def rule_columns(self) -> frozenset[str]:
        """Return the columns that the rules of the last layer read."""
        return frozenset(rule_columns(read_config(RULES_FILE)) & set(self.registry.names))

    @property
    def held_columns(self) -> tuple[str, ...]:
        """Return the columns that say what is held at the cutoff."""
        group = self.registry.group("product_holdings")
        return group.names if group in self.registry.available else ()

    @cached_property
    def graph(self) -> AssetGraph:
        """Return the asset graph of this data set."""
        settings, columns, tasks = self.settings, self.registry.columns, self.available_tasks
        return AssetGraph(
            settings,
            tuple(_group(group) for group in self.registry.available),
            tuple(_task(task, settings.horizon_months) for task in tasks),
            {
                "{adapter}": (known_adapters()[settings.dataset.adapter],),
                "{persistence}": tuple(task.persistence for task in tasks if task.persistence),
                "{truths}": tuple(task.truth for task in tasks if task.truth),
            },
            {
                "declared.columns": [_declared(column) for column in columns],
                "declared.displayable": sorted(self.displayable),
                "declared.rule_columns": sorted(self.rule_columns),
                "declared.column_texts": [asdict(column) for column in columns],
                "declared.tasks": [task.declared(*_OF_A_MATRIX) for task in tasks],
                "declared.task_texts": [repr(task) for task in self.tasks],
                "declared.truths": [task.declared("name", "kind", "truth", "parameters") for task in tasks],
            },
            {
                Window.LOOK_BACK: Offsets(1 - settings.look_back_months, 0),
                Window.FIT: tuple(sorted({m for month in self.splits.train for m in look_back(month, settings)})),
                Window.SPLITS: self.splits.months,
                Window.TRANSFER: self.splits.transfer,
                Window.MESSAGES: Offsets(-1, 0),  # any two months hold `offering.messages.days`
                Window.TEST: self.splits.test,
                Window.LIST_MESSAGES: tuple(
                    sorted({m for month in (*self.splits.validation, *self.splits.test) for m in (month - 1, month)})
                ),
                Window.OUTCOMES: tuple(
                    sorted({*self.splits.months, *(m + settings.horizon_months for m in self.splits.months)})
                ),
                # Dagster takes one mapping for all labels, so that each shows the months that any of them reads.
                Window.HOLDINGS: Offsets(*(months_read(tasks, SNAPSHOTS, settings.horizon_months) or (0, 0))),
                Window.SPENDING: Offsets(
                    *(months_read(tasks, TRANSACTIONS, settings.horizon_months) or (0, 0)), clipped=False
                ),
            },
            config_folders(),
        )


def _group(group: Group) -> Member:
    declared = [_declared(column) for column in group.columns], [asdict(tensor) for tensor in group.tensors]
    transform = group.functions("transform", "transform_with_tensors")
    return Member(group.name, {"{transform}": transform, "{fit}": group.functions("fit")}, declared, group.reads)


def _task(task: Task, horizon: int) -> Member:
    tables = {Window.HOLDINGS: SNAPSHOTS, Window.SPENDING: TRANSACTIONS}
    not_read = frozenset(window for window, table in tables.items() if not task.window.months(table, horizon))
    own = task.declared("name", "kind", "inputs", "window", "formula", "parameters", "type", "vocabulary")
    return Member(task.name, {"{formula}": (task.formula,)}, own, ("products.code", "dataset.segments"), not_read)


def _declared(column: Column) -> dict[str, Any]:
    """Return a column's declaration without its texts, which no computation receives."""
    return {name: value for name, value in asdict(column).items() if name not in {"description", "description_ko"}}
