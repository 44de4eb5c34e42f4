"""What a person sees of a refused challenger: the check red with the criterion that refused, and the champion that stayed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import refused_challenger
from refused_challenger import CHAMPION, CHECK, poison
from web_ui import QUIET_FLAGS, SECONDS, chromium, served  # noqa: F401

from finai_assets.bundle.registry import Registry
from finai_resources.home import Home

pytestmark = pytest.mark.slow


@pytest.fixture
def ui(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Yield the address of a UI on a home whose challenger was refused, and the id of its champion."""
    monkeypatch.setenv("FINAI_SIGNING_KEY", "")  # restored at the end
    home = Home.at(tmp_path_factory.mktemp("home"))
    champion = Registry.read(poison(home).lake).aliases["champion"]
    with served(home, refused_challenger) as address:
        yield address, champion


def test_the_page_of_the_check_shows_the_criterion_that_refused_and_the_asset_its_champion(
    ui: tuple[str, str],
    chromium: str,  # noqa: F811
) -> None:
    from playwright.sync_api import expect, sync_playwright

    address, champion = ui
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=QUIET_FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(SECONDS * 1000)
        page.goto(f"{address}/assets/{CHAMPION}?view=checks&checkDetail={CHECK}")
        expect(page.get_by_text("TASK_WORSE").first).to_be_visible(timeout=SECONDS * 1000)
        expect(page.get_by_text("no_task_worse", exact=True).first).to_be_visible()  # its row of the table
        page.goto(f"{address}/assets/{CHAMPION}?view=overview")
        expect(page.get_by_text(champion).first).to_be_visible(timeout=SECONDS * 1000)
        browser.close()
