"""What the Dagster assets of every package need to know: the settings, and the registries and the graph that follow from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from finai_assets.asset_graph import AssetGraph, Member, Offsets, Window
from finai_assets.features.registry import Column, Group, Registry, build_registry
from finai_assets.ingest.adapter import ADAPTERS
from finai_assets.labels.splits import Splits, make_splits
from finai_assets.labels.tasks import Task, available, build_tasks
from finai_assets.partitions import look_back
from finai_assets.settings import CONFIG_FOLDER, Settings
from finai_resources.secrets import SecretStore

_TEXTS = frozenset({"description", "description_ko", "title", "title_ko", "definition"})


@dataclass(frozen=True)
class Platform:
    """Settings, columns, tasks, splits and assets of one data set in one profile."""

    settings: Settings
    registry: Registry
    tasks: tuple[Task, ...]
    splits: Splits
    secrets: SecretStore | None = None

    @classmethod
    def of(cls, settings: Settings, secrets: SecretStore | None = None) -> Platform:
        """Derive the registries; raises what they raise about wrong settings.

        Parameters
        ----------
        secrets
            Where checks find the keys that signatures and pseudonyms are verified with.
        """
        return cls(settings, build_registry(settings), build_tasks(settings), make_splits(settings), secrets)

    @property
    def available_tasks(self) -> tuple[Task, ...]:
        """Return the tasks that the data set can carry."""
        return available(self.tasks)

    @cached_property
    def graph(self) -> AssetGraph:
        """Return the assets of this data set, with what each is made from."""
        settings, columns, tasks = self.settings, self.registry.columns, self.available_tasks
        horizon = settings.horizon_months
        return AssetGraph(
            settings,
            tuple(_group(group) for group in self.registry.available),
            tuple(_task(task) for task in tasks),
            ADAPTERS[settings.dataset.adapter],
            {
                "declared.columns": [_declared(column) for column in columns],
                "declared.column_texts": [asdict(column) for column in columns],
                "declared.tasks": [_declared(task) for task in tasks],
                "declared.task_texts": [asdict(task) for task in self.tasks],
                "declared.truths": {task.name: task.kind for task in tasks},
            },
            {
                Window.LOOK_BACK: Offsets(1 - settings.look_back_months, 0),
                Window.FIT: tuple(sorted({m for month in self.splits.train for m in look_back(month, settings)})),
                Window.SPLITS: (*self.splits.train, *self.splits.validation, *self.splits.test),
                Window.HOLDINGS: Offsets(-5, horizon),
                Window.SPENDING: Offsets(1 - horizon, horizon),
            },
            CONFIG_FOLDER,
        )


def _group(group: Group) -> Member:
    declared = [_declared(column) for column in group.columns], [asdict(tensor) for tensor in group.tensors]
    transform = group.functions("transform", "transform_with_tensors")
    return Member(group.name, {"{transform}": transform, "{fit}": group.functions("fit")}, declared, group.reads)


def _task(task: Task) -> Member:
    own = {name: value for name, value in _declared(task).items() if name not in {"weight", "focal"}}
    return Member(task.name, {"{formula}": ()}, own, ("families", "products", "acquisition_sets", "dataset.segments"))


def _declared(declaration: Column | Task) -> dict[str, Any]:
    """Return a declaration without its texts: what a computation, and not a reader, receives of it."""
    return {name: value for name, value in asdict(declaration).items() if name not in _TEXTS}
