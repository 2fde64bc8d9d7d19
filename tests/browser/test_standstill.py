"""Whatever stops the picture, it moves again: real Chromium, and a server that plays a script."""

import pytest
from playwright.sync_api import Page

from browser.visit import STATE, state, wait_frames, wait_new_frames, walk, walk_far
from fault_bench.processes import browser_processes, stand_still
from support.scripted import ScriptedServer
from worldplay.protocol import messages as m

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

LONG_S = 3.0  # more than is buffered, and than the page waits before it rebuilds the video
# The playhead may run on while the browser draws nothing. The page removes 4 s at a time, 4 s behind it.
WALKED_S = 4.0
DRAWS_NOTHING_S = 5.0
TOUCHED_S = 9.0  # by then the page has removed what it played first


@pytest.fixture
def walker(script: ScriptedServer, page: Page) -> Page:
    """A page whose walk is past its first chunk."""
    walk(page, script.address)
    wait_frames(page, 16)
    return page


@pytest.mark.parametrize("kind", ["renderer", ""])
def test_picture_moves_after_processes_stood_still(walker: Page, kind: str) -> None:
    stand_still(browser_processes(kind), LONG_S)
    wait_new_frames(walker)
    assert state(walker)["sourceBufferErrors"] == 0


def test_picture_moves_after_the_browser_drew_nothing(script: ScriptedServer, page: Page) -> None:
    walk_far(page, script, WALKED_S)
    stand_still(browser_processes("gpu-process"), DRAWS_NOTHING_S)
    wait_new_frames(page)
    assert state(page)["sourceBufferErrors"] == 0


def test_picture_moves_after_a_busy_page(walker: Page) -> None:
    walker.evaluate("() => { const until = performance.now() + 2500; while (performance.now() < until); }")
    wait_new_frames(walker)
    stand_still(browser_processes("renderer"), LONG_S)
    wait_new_frames(walker)


def test_picture_moves_after_a_frozen_page(walker: Page) -> None:
    devtools = walker.context.new_cdp_session(walker)
    devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
    stand_still(browser_processes(), LONG_S)
    devtools.send("Page.setWebLifecycleState", {"state": "active"})
    wait_new_frames(walker)


TROUBLES = [
    "video.currentTime += 30",
    "video.currentTime = 0",
    "video.pause()",
    "video.playbackRate = 16",
    "video.playbackRate = 0",
    "video.playbackRate = 0.0625",
    "video.dispatchEvent(new Event('error'))",
]


def test_picture_moves_after_others_touched_the_video(script: ScriptedServer, page: Page) -> None:
    walk_far(page, script, TOUCHED_S)
    page.wait_for_function("video.buffered.start(0) > 3")  # so there is nothing to play at 0
    for trouble in TROUBLES:
        page.evaluate(trouble)
        wait_new_frames(page)


# A full buffer is emptied first. The third failure in a row makes the page wait before it tries again.
@pytest.mark.parametrize(("failure", "count"), [("Quota", 2), ("Invalid", 3)])
def test_picture_moves_after_the_buffer_refused_media(
    script: ScriptedServer, page: Page, failure: str, count: int
) -> None:
    page.add_init_script(
        f"""
        const append = SourceBuffer.prototype.appendBuffer;
        SourceBuffer.prototype.appendBuffer = function (data) {{
          if (window.refusals-- > 0) throw new DOMException("", "{failure}ExceededError");
          return append.call(this, data);
        }};
        """
    )
    walk(page, script.address)
    wait_frames(page, 16)
    page.evaluate(f"window.refusals = {count}")
    page.wait_for_function("window.refusals <= 0")
    wait_new_frames(page)
    assert state(page)["sourceBufferErrors"] == (1 if failure == "Quota" else 3)


def test_picture_moves_after_a_gap_and_damaged_media(script: ScriptedServer, page: Page) -> None:
    walk(page, script.address)
    script.damages = 5
    page.wait_for_function(f"{STATE}.sourceBufferErrors > 0")
    wait_new_frames(page)
    assert script.damages == 0
    assert len(script.asked(m.Hello)) == 1  # on the same connection


def test_page_reports_nothing_buffered_while_no_frame_is_presented(
    script: ScriptedServer, page: Page
) -> None:
    page.add_init_script(
        "const request = HTMLVideoElement.prototype.requestVideoFrameCallback;"
        "HTMLVideoElement.prototype.requestVideoFrameCallback = function (shown) {"
        "  return request.call(this, (...frame) => window.blind ? undefined : shown(...frame)); };"
    )
    walk(page, script.address)
    wait_frames(page, 16)
    num_seen, num_rebuilds = len(script.asked(m.Playhead)), state(page)["rebuilds"]
    page.evaluate("window.blind = true")
    page.wait_for_function(f"{STATE}.rebuilds > {num_rebuilds}")
    assert any(report.buffered == 0 for report in script.asked(m.Playhead)[num_seen:])
