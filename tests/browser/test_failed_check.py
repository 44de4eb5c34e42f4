"""What a person sees of a failed gate: the check red with its columns under the month, and its consumer not run."""

from __future__ import annotations

from collections.abc import Iterator

import failed_check
import pytest
from failed_check import CHECK, GROUP, make
from web_ui import QUIET_FLAGS, SECONDS, chromium, served  # noqa: F401

from finai_resources.home import Home

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Yield the address of a UI on a home in which a month failed, and the id of the run."""
    home = Home.at(tmp_path_factory.mktemp("home"))
    run_id, _ = make(home)
    with served(home, failed_check) as address:
        yield address, run_id


def test_the_page_of_a_failed_check_shows_its_columns_and_the_run_shows_what_was_not_executed(
    ui: tuple[str, str],
    chromium: str,  # noqa: F811
) -> None:
    from playwright.sync_api import expect, sync_playwright

    address, run_id = ui
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=QUIET_FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(SECONDS * 1000)
        page.goto(f"{address}/assets/{GROUP}?view=checks&checkDetail={CHECK}")
        expect(page.get_by_text("columns drifted: income_group_code")).to_be_visible(timeout=SECONDS * 1000)
        expect(page.get_by_text("2015-06-01").first).to_be_visible()
        expect(page.get_by_text("income_group_code", exact=True).first).to_be_visible()  # its row of the table
        page.goto(f"{address}/runs/{run_id}")
        # the step that recommends, the checks C01, C28, C31 and C32 of what it would have written, and its freshness
        expect(page.get_by_text("Not executed (6)")).to_be_visible(timeout=SECONDS * 1000)
        expect(page.get_by_text("1 blocking asset check failed").first).to_be_visible()
        browser.close()
