"""Whatever stops the picture, it moves again: real Chromium, and a server that plays a script."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from browser.processes import browser_processes, stand_still
from support.scripted import ScriptedServer, serving_script
from worldplay.protocol import messages as m

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

STATE = "window.worldplay"


@pytest.fixture
def script() -> Iterator[ScriptedServer]:
    with serving_script() as script:
        yield script


@pytest.fixture
def walker(script: ScriptedServer, page: Page) -> Page:
    """A page on which a walk has gone on for a while."""
    page.goto(f"http://{script.address}/")
    page.wait_for_function(f"{STATE}?.state === 'choosing'")
    page.click("#walk")
    page.wait_for_function(f"{STATE}.frameOnScreen > 60")
    return page


def state(page: Page) -> Any:
    return page.evaluate(STATE)


def wait_moving(page: Page, num_frames: int = 30) -> None:
    """Until so many more frames were shown."""
    wanted = state(page)["framesShown"] + num_frames
    page.wait_for_function(f"{STATE}.framesShown >= {wanted}", timeout=8_000)


@pytest.mark.parametrize("kind", ["renderer", "gpu-process", ""])
def test_picture_moves_after_processes_stood_still(walker: Page, kind: str) -> None:
    stand_still(browser_processes(kind), 6.0)
    wait_moving(walker)
    assert state(walker)["sourceBufferErrors"] == 0


def test_picture_moves_after_a_busy_page(walker: Page) -> None:
    walker.evaluate("() => { const until = performance.now() + 4000; while (performance.now() < until); }")
    wait_moving(walker)
    stand_still(browser_processes("renderer"), 6.0)
    wait_moving(walker)


def test_picture_moves_after_a_frozen_page(walker: Page) -> None:
    devtools = walker.context.new_cdp_session(walker)
    devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
    stand_still(browser_processes(), 3.0)
    devtools.send("Page.setWebLifecycleState", {"state": "active"})
    wait_moving(walker)


TROUBLES = [
    "video.currentTime += 30",
    "video.currentTime = 0",
    "video.pause()",
    "video.playbackRate = 16",
    "video.playbackRate = 0",
    "video.playbackRate = 0.0625",
    "video.dispatchEvent(new Event('error'))",
]


def test_picture_moves_after_others_touched_the_video(walker: Page) -> None:
    walker.wait_for_function(f"{STATE}.frameOnScreen > 240")  # the first frames are no longer buffered
    for trouble in TROUBLES:
        walker.evaluate(trouble)
        wait_moving(walker)


@pytest.mark.parametrize("failure", ["Quota", "Invalid"])
def test_picture_moves_after_the_buffer_refused_media(
    script: ScriptedServer, page: Page, failure: str
) -> None:
    page.add_init_script(
        f"""
        const append = SourceBuffer.prototype.appendBuffer;
        SourceBuffer.prototype.appendBuffer = function (data) {{
          if (performance.now() < window.refuseUntil) throw new DOMException("", "{failure}ExceededError");
          return append.call(this, data);
        }};
        """
    )
    page.goto(f"http://{script.address}/")
    page.wait_for_function(f"{STATE}?.state === 'choosing'")
    page.click("#walk")
    page.wait_for_function(f"{STATE}.frameOnScreen > 60")
    page.evaluate("window.refuseUntil = performance.now() + 300")
    page.wait_for_timeout(400)
    page.wait_for_function(f"{STATE}.state === 'walking'")
    page.wait_for_function(
        f"(window.before ??= {STATE}.framesShown) + 30 < {STATE}.framesShown", timeout=20_000
    )


def test_picture_moves_after_a_gap_and_damaged_media(walker: Page, script: ScriptedServer) -> None:
    script.damages = 5
    wait_moving(walker, 60)
    assert state(walker)["state"] == "walking"


def test_page_reports_nothing_buffered_while_no_frame_is_presented(
    script: ScriptedServer, page: Page
) -> None:
    page.add_init_script(
        "const request = HTMLVideoElement.prototype.requestVideoFrameCallback;"
        "HTMLVideoElement.prototype.requestVideoFrameCallback = function (shown) {"
        "  return request.call(this, (...frame) => window.blind ? undefined : shown(...frame)); };"
    )
    page.goto(f"http://{script.address}/")
    page.wait_for_function(f"{STATE}?.state === 'choosing'")
    page.click("#walk")
    page.wait_for_function(f"{STATE}.frameOnScreen > 30")
    page.evaluate("window.blind = true")
    page.wait_for_function(f"{STATE}.rebuilds === 1", timeout=20_000)
    reports = [message for _, message in script.received if isinstance(message, m.Playhead)]
    assert any(report.buffered == 0 for report in reports[-15:])
