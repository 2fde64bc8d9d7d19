"""Somebody in a real Chromium watches the walk of somebody else, by a link that the walker's page made."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from browser.visit import state, wait_frames, wait_notice, wait_state, walk

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

# Notes when the socket was open, and when the first frame was on screen.
STOPWATCH = """
const Plain = WebSocket;
window.WebSocket = class extends Plain {
  constructor(...given) {
    super(...given);
    window.sockets = (window.sockets ?? 0) + 1;
    window.socket = this;
    this.addEventListener("open", () => (window.openedAt ??= performance.now()));
  }
};
addEventListener("DOMContentLoaded", () =>
  document.querySelector("#video").requestVideoFrameCallback(() => (window.seenAt = performance.now())));
"""
MOST_MS = 1000.0


@pytest.fixture
def watcher(chromium: Browser) -> Iterator[Page]:
    with chromium.new_page(bypass_csp=True) as page:
        page.set_default_timeout(60_000)
        page.add_init_script(STOPWATCH)
        yield page


def share(page: Page) -> str:
    """Copy a link as the walker does. Returns: the link."""
    page.keyboard.press("l")
    page.click("#share-copy-watch")
    page.wait_for_selector("#share-link:not([hidden])")
    link = page.input_value("#share-link")
    page.keyboard.press("Escape")
    page.wait_for_selector("#share", state="hidden")
    return link


def wait_seen(watcher: Page) -> None:
    watcher.wait_for_function("window.seenAt !== undefined")


def num_shown(page: Page) -> Any:
    return page.evaluate("video.getVideoPlaybackQuality().totalVideoFrames")


def wait_shown(page: Page, count: int) -> None:
    wanted = num_shown(page) + count
    page.wait_for_function(f"video.getVideoPlaybackQuality().totalVideoFrames >= {wanted}")


def test_second_page_shows_the_walk_of_the_first_and_its_end(server: str, page: Page, watcher: Page) -> None:
    walk(page, server)
    wait_frames(page, 30)
    link = share(page)
    assert link.startswith(f"http://{server}/#watch=")
    assert state(page)["state"] == "walking"
    page.keyboard.press("p")
    wait_state(page, "paused")
    watcher.goto(link)
    wait_seen(watcher)  # without waiting for what is yet to be made
    page.keyboard.press("p")
    wait_shown(watcher, 30)
    page.wait_for_selector("#watchers >> text=1 watching")
    watcher.wait_for_selector("#watch-line >> text=Watching")
    watcher.keyboard.press("w")  # does nothing
    watcher.evaluate("socket.close()")
    watcher.wait_for_function("sockets === 2")
    wait_shown(watcher, 10)
    page.keyboard.press("p")
    wait_notice(watcher, "The walk is paused.")
    page.keyboard.press("l")
    page.click("#share-stop")
    wait_notice(watcher, "The walk is no longer shared.")
    assert state(page)["lastError"] is None


@pytest.mark.realtime
def test_second_page_shows_something_within_a_second(server: str, page: Page, watcher: Page) -> None:
    walk(page, server)
    watcher.goto(share(page))
    wait_seen(watcher)
    assert watcher.evaluate("seenAt - openedAt") < MOST_MS
