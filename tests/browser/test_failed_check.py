"""What a person sees of a failed gate: the check red with its columns under the month, and its consumer not run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import failed_check
import pytest
from failed_check import CHECK, GROUP, make

from finai_resources.home import Home

pytestmark = pytest.mark.slow
SECONDS = 120
QUIET_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    return found


@pytest.fixture(scope="module")
def ui(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Yield the address of a UI on a home in which a month failed, and the id of the run."""
    home = Home.at(tmp_path_factory.mktemp("home"))
    run_id, _ = make(home)
    module = home.root / "shown.py"
    module.write_text(
        "import sys\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(failed_check.__file__).parent)!r})\n"
        "from failed_check import build\nfrom finai_resources.home import Home\n"
        f"defs = build(Home.at(Path({str(home.root)!r})))\n",
        encoding="utf-8",
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [str(Path(sys.executable).with_name("dagster-webserver")), "-f", str(module), "-p", str(port)],
        env={**os.environ, "DAGSTER_HOME": str(home.dagster)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/server_info", server)
        yield f"http://127.0.0.1:{port}", run_id
    finally:
        server.terminate()
        server.wait(30)


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        assert server.poll() is None, "the web server ended"
        try:
            urllib.request.urlopen(address, timeout=2).close()
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"nothing answers at {address}")


def test_the_page_of_a_failed_check_shows_its_columns_and_the_run_shows_what_was_not_executed(
    ui: tuple[str, str], chromium: str
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
        expect(page.get_by_text("Not executed (2)")).to_be_visible(timeout=SECONDS * 1000)
        expect(page.get_by_text("1 blocking asset check failed").first).to_be_visible()
        browser.close()
