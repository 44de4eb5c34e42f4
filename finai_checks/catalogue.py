"""Every kind of check there is, collected from the themes.

The Dagster checks, their metadata, the evidence records, ``finai checks list`` and docs/checks.md all derive from here.
"""

from __future__ import annotations

from finai_assets.platform import Platform
from finai_checks.declaration import Declared
from finai_checks.kind import Kind
from finai_checks.theme import Theme
from finai_checks.themes import (
    contract,
    fidelity,
    fits,
    identifiers,
    leaks,
    lineage,
    model_inputs,
    point_in_time,
    proxies,
    pseudonyms,
    reproducibility,
    skill,
    splits,
    stability,
    variation,
)
from finai_resources.errors import ConfigError

THEMES: tuple[Theme, ...] = (
    identifiers.THEME,
    pseudonyms.THEME,
    contract.THEME,
    variation.THEME,
    stability.THEME,
    point_in_time.THEME,
    fits.THEME,
    lineage.THEME,
    leaks.THEME,
    splits.THEME,
    proxies.THEME,
    model_inputs.THEME,
    skill.THEME,
    fidelity.THEME,
    reproducibility.THEME,
)
KINDS: tuple[Kind, ...] = tuple(sorted((k for theme in THEMES for k in theme.kinds), key=lambda known: known.id))


def kind(name: str) -> Kind:
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


def declared_checks(platform: Platform) -> list[Declared]:
    """Return every check of a data set: each kind on each asset that it sits on."""
    return [check for theme in THEMES for check in theme.declare(platform)]
