"""The page under the policy that it is served with."""

import time

import pytest
from playwright.sync_api import Browser, ConsoleMessage

pytestmark = pytest.mark.browser

INLINE = """document.head.append(
    Object.assign(document.createElement("script"), { textContent: "window.ran = true" })
)"""


def test_page_walks_within_its_policy(chromium: Browser, server: str) -> None:
    said: list[str] = []

    def note(message: ConsoleMessage) -> None:
        said.append(message.text)

    with chromium.new_page() as page:
        page.on("console", note)
        page.goto(f"http://{server}/")
        page.click("#walk")
        deadline = time.monotonic() + 30
        while page.evaluate("window.worldplay?.framesShown ?? 0") == 0:
            assert time.monotonic() < deadline, "no picture"
            page.wait_for_timeout(50)
        assert not complaints(said)
        page.evaluate(INLINE)
        assert page.evaluate("window.ran === undefined")
        assert len(complaints(said)) == 1  # so the policy is in force, and is complained of here


def complaints(said: list[str]) -> list[str]:
    return [text for text in said if "Content Security Policy" in text]
