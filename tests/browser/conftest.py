"""Starts a real Chromium without a network, for tests marked `browser`, and a server that plays a script."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from key_to_screen.visit import FLAGS
from support.scripted import ScriptedServer, serving_script


# For this folder and not for the session: while Playwright's synchronous interface is open, no other test can
# run an event loop.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs a browser with H.264 (Debian: chromium; or google-chrome), found none in PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS), timeout=60_000)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    # Playwright evaluates strings in the page, which its policy forbids; test_policy.py does without.
    with chromium.new_page(bypass_csp=True, viewport={"width": 1000, "height": 600}) as page:
        page.set_default_timeout(60_000)  # of a busy machine
        yield page


@pytest.fixture
def script() -> Iterator[ScriptedServer]:
    with serving_script() as script:
        yield script
