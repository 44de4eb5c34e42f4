"""Every kind of check there is, collected from the rooms.

The Dagster checks, their metadata, the evidence records, ``finai checks list`` and docs/checks.md all derive from here.
A new room is one more theme here (docs/adding-a-check.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from finai_assets.platform import Platform
from finai_checks import (
    bundle,
    contract,
    fairness,
    fits,
    labels,
    leaks,
    lineage,
    lists,
    models,
    offering,
    point_in_time,
    promotion,
    schema,
    splits,
    stability,
    students,
)
from finai_checks.framework.check import CheckKind, Declared, Theme
from finai_checks.privacy import identifiers, pseudonyms
from finai_resources.errors import ConfigError

THEMES: tuple[Theme, ...] = (
    identifiers.THEME,
    pseudonyms.THEME,
    contract.THEME,
    schema.THEME,
    stability.THEME,
    point_in_time.THEME,
    fits.THEME,
    lineage.THEME,
    leaks.THEME,
    splits.THEME,
    labels.THEME,
    fairness.THEME,
    models.THEME,
    students.THEME,
    bundle.THEME,
    lists.THEME,
    offering.THEME,
    promotion.THEME,
)


def kinds_of(themes: Sequence[Theme]) -> tuple[CheckKind, ...]:
    """Return the kinds of some themes, ordered by number."""
    return tuple(sorted((kind for theme in themes for kind in theme.kinds), key=lambda kind: kind.id))


KINDS = kinds_of(THEMES)


def kind(name: str) -> CheckKind:
    """Return a kind by name.

    Raises
    ------
    ConfigError
        There is none of that name.
    """
    for entry in KINDS:
        if entry.name == name:
            return entry
    raise ConfigError(
        f"there is no check {name!r}", where="checks", fix=f"choose one of {', '.join(entry.name for entry in KINDS)}"
    )


def declared_checks(platform: Platform, themes: Sequence[Theme] = THEMES) -> list[Declared]:
    """Return every check of a data set: each kind on each asset that it sits on and that the data set has."""
    return [check for theme in themes for check in theme.declare(platform) if check.asset in platform.graph]
