"""What every door needs to know: the settings, and the registries that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

from finai_assets.features.registry import Registry, build_registry
from finai_assets.labels.splits import Splits, make_splits
from finai_assets.labels.tasks import Task, available, build_tasks
from finai_assets.settings import Settings


@dataclass(frozen=True)
class Platform:
    """Settings, columns, tasks and splits of one data set in one profile."""

    settings: Settings
    registry: Registry
    tasks: tuple[Task, ...]
    splits: Splits

    @classmethod
    def of(cls, settings: Settings) -> Platform:
        """Derive the registries; raises what they raise about wrong settings."""
        return cls(settings, build_registry(settings), build_tasks(settings), make_splits(settings))

    @property
    def available_tasks(self) -> tuple[Task, ...]:
        """Return the tasks that the data set can carry."""
        return available(self.tasks)
