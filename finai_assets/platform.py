"""What every door needs to know: the settings, and the registries that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from finai_assets.features.registry import Registry, build_registry
from finai_assets.labels.splits import Splits, make_splits
from finai_assets.labels.task import Task, available
from finai_assets.labels.tasks import build_tasks
from finai_assets.settings import Settings
from finai_resources.secrets import SecretStore


@dataclass(frozen=True)
class Platform:
    """Settings, columns, tasks and splits of one data set in one profile."""

    settings: Settings
    registry: Registry
    tasks: tuple[Task, ...]
    splits: Splits
    secrets: SecretStore | None = None

    @classmethod
    def of(cls, settings: Settings, secrets: SecretStore | None = None, *, more_tasks: Sequence[Task] = ()) -> Platform:
        """Derive the registries; raises what they raise about wrong settings.

        Parameters
        ----------
        secrets
            Where checks find the keys that signatures and pseudonyms are verified with.
        more_tasks
            Rows behind those of the table of tasks.
        """
        return cls(
            settings, build_registry(settings), build_tasks(settings, more_tasks), make_splits(settings), secrets
        )

    @property
    def available_tasks(self) -> tuple[Task, ...]:
        """Return the tasks that the data set can carry."""
        return available(self.tasks)
