"""The map from checks to articles of law (``configs/regulation_map.yaml``), read once and validated."""

from __future__ import annotations

from datetime import date
from functools import cache

from pydantic import ValidationError, model_validator

from finai_assets.settings import ConfigFolders, config_folders
from finai_assets.settings.base import Section
from finai_resources.errors import ConfigError

FILE = "regulation_map.yaml"


class Article(Section):
    """One article, or several that belong together, with the checks that produce evidence for it, or why there are none."""

    article: str
    topic: str
    checks: tuple[str, ...] = ()
    organisational: str | None = None
    valid_from: date | None

    @model_validator(mode="after")
    def _one_of_both(self) -> Article:
        if bool(self.checks) == bool(self.organisational):
            raise ValueError(f"article {self.article} needs either checks or the reason why it is organisational")
        return self


class Law(Section):
    """One law or guideline."""

    law: str
    name: str
    articles: tuple[Article, ...]


class RegulationMap(Section):
    """All laws, and the checks that they require and that do not exist yet."""

    version: int
    awaited: tuple[str, ...]
    laws: tuple[Law, ...]

    def articles(self, check: str) -> list[str]:
        """Return the articles that a check produces evidence for: ``EU AI Act 10``."""
        return [
            f"{law.law} {article.article}" for law in self.laws for article in law.articles if check in article.checks
        ]

    @property
    def checks(self) -> set[str]:
        """Return the numbers of every check that an article names."""
        return {check for law in self.laws for article in law.articles for check in article.checks}


def regulation_map() -> RegulationMap:
    """Read the map.

    Raises
    ------
    ConfigError
        The file is no such map; the text names the entry.
    """
    return _read(config_folders())


@cache
def _read(folders: ConfigFolders) -> RegulationMap:
    try:
        return RegulationMap.model_validate(folders.read(FILE))
    except ValidationError as error:
        raise ConfigError(
            f"the map of regulations is wrong: {error}", where=str(folders.files(FILE)[-1]), fix="correct that entry"
        ) from error
