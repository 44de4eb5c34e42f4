"""The configurations that the ablation of feature groups compares.

Predictions are scored as in the ablation of the teacher's parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from studies.teacher.skill import skill

__all__ = [
    "ALL",
    "BASE",
    "Configuration",
    "configurations",
    "skill",
    "with_group",
    "without_group",
]

BASE, ALL = "base", "all"


@dataclass(frozen=True, slots=True)
class Configuration:
    """A set of feature groups that models learn from."""

    name: str
    groups: tuple[str, ...]


def with_group(group: str) -> str:
    """Return the name of the configuration that adds a group to the base."""
    return f"{BASE} + {group}"


def without_group(group: str) -> str:
    """Return the name of the configuration that leaves a group out of all."""
    return f"{ALL} - {group}"


def configurations(groups: Sequence[str], base: Sequence[str]) -> list[Configuration]:
    """Return the base, the base with each other group, all groups, and all without each.

    Parameters
    ----------
    groups
        All groups, in the order of the reference.
    base
        Those that each of the others is added to; groups that the data set lacks are passed over.
    """
    kept = tuple(group for group in groups if group in base)
    others = [group for group in groups if group not in base]
    return [
        Configuration(BASE, kept),
        *(Configuration(with_group(group), (*kept, group)) for group in others),
        Configuration(ALL, tuple(groups)),
        *(Configuration(without_group(group), tuple(g for g in groups if g != group)) for group in groups),
    ]
