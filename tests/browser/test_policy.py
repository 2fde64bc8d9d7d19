"""The page under the policy that it is served with."""

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
        while page.evaluate("window.worldplay?.framesShown ?? 0") == 0:
            page.wait_for_timeout(50)
        assert not any(map(is_complaint, said))
        with page.expect_console_message(lambda message: is_complaint(message.text)):
            page.evaluate(INLINE)  # so the policy is in force, and is complained of here
        assert page.evaluate("window.ran === undefined")


def is_complaint(said: str) -> bool:
    return "Content Security Policy" in said
