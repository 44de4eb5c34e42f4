"""Refuses settings that name a task which does not exist: they would change nothing, without a word."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import TYPE_CHECKING

from finai_resources.errors import ConfigError

if TYPE_CHECKING:
    from finai_assets.settings import Settings


def require_known_tasks(names: Collection[str], settings: Settings) -> None:
    """Refuse settings by task whose task is none of ``names``; a task that a data set cannot carry is known.

    Raises
    ------
    ConfigError
        It names every such setting, and the nearest right names.
    """
    by_task: dict[str, Collection[str]] = {
        "baselines.column_share_of": settings.baselines.column_share_of,
        "students.deciding_decile": settings.students.deciding_decile,
    }
    unknown = {path: sorted(set(found) - set(names)) for path, found in by_task.items()}
    if wrong := {path: found for path, found in unknown.items() if found}:
        written = [name for found in wrong.values() for name in found]
        near = dict.fromkeys(right for name in written for right in difflib.get_close_matches(name, names, n=2))
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        raise ConfigError(
            f"unknown tasks {written}", where=", ".join(wrong), fix=f"{meant}choose of {', '.join(sorted(names))}"
        )
