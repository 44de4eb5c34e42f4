"""The map of regulations names what exists, and what it awaits does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from finai_assets.settings.folders import CONFIG_FOLDER, CONFIG_VARIABLE
from finai_checks.catalogue import KINDS
from finai_checks.framework.regulations import FILE, regulation_map
from finai_resources.errors import ConfigError

BUILT = {kind.id for kind in KINDS}


def test_every_check_produces_evidence_for_an_article() -> None:
    assert {kind.id for kind in KINDS if not regulation_map().articles(kind.id)} == set()


def test_every_mapped_check_exists_or_is_awaited() -> None:
    assert regulation_map().checks - BUILT - set(regulation_map().awaited) == set()


def test_nothing_is_awaited_that_exists_or_that_no_article_names() -> None:
    assert set(regulation_map().awaited) & BUILT == set()
    assert set(regulation_map().awaited) - regulation_map().checks == set()


def test_an_article_without_checks_says_who_keeps_it() -> None:
    articles = [article for law in regulation_map().laws for article in law.articles]
    assert all(article.checks or article.organisational for article in articles)


def test_a_map_with_an_article_that_claims_nothing_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = (CONFIG_FOLDER / FILE).read_text(encoding="utf-8")
    (tmp_path / FILE).write_text(shipped.replace("checks: [C31], ", ""), encoding="utf-8")
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path))
    with pytest.raises(ConfigError, match="17, 18"):
        regulation_map()
