"""Every kind of check there is, collected from the themes.

The Dagster checks, their metadata, the evidence records, ``finai checks list`` and docs/checks.md all derive from here.
"""

from __future__ import annotations

from finai_assets.platform import Platform
from finai_checks.contract import checks as contract
from finai_checks.fairness import model_inputs, proxies
from finai_checks.fits import checks as fits
from finai_checks.framework.declaration import Declared
from finai_checks.framework.kind import Kind
from finai_checks.framework.theme import Theme
from finai_checks.leaks import checks as leaks
from finai_checks.lineage import checks as lineage
from finai_checks.models import fidelity, reproducibility, skill
from finai_checks.point_in_time import checks as point_in_time
from finai_checks.privacy import identifiers, pseudonyms
from finai_checks.splits import checks as splits
from finai_checks.stability import checks as stability
from finai_checks.stability import variation
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
