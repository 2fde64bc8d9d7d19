"""Every frame is shown as soon as it is there, whatever time the machine takes.

The server sends a frame when the one before is on screen: a page that waited for more would wait for ever.
"""

import pytest
from playwright.sync_api import Page, TimeoutError

from browser.visit import STATE, come, state
from support.pictures import WIDTH
from support.scripted import ScriptedServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

NUM_FRAMES = 32  # of three chunks
DROPPED_MS = 2_000
# Where the bar of the scripted server's frame begins, in the picture on screen.
BAR = """() => {
  const canvas = new OffscreenCanvas(video.videoWidth, 1).getContext("2d");
  canvas.drawImage(video, 0, 0);
  const { data } = canvas.getImageData(0, 0, video.videoWidth, 1);
  return Array.from({ length: video.videoWidth }, (_, x) => data[4 * x]).findIndex((red) => red > 140);
}"""


def begin(script: ScriptedServer, page: Page) -> None:
    script.is_by_hand = True
    come(page, script.address)
    page.click("#walk")
    page.wait_for_function(f"{STATE}.mime !== ''")


def test_first_frame_alone_uncovers_the_picture(script: ScriptedServer, page: Page) -> None:
    begin(script, page)
    assert page.evaluate(f"{STATE}.state") == "starting"
    script.send_frame()
    page.wait_for_function(f"{STATE}.state === 'walking'")
    assert page.evaluate(f"[{STATE}.framesShown, {STATE}.frameOnScreen]") == [1, 0]


def test_each_frame_is_shown_once_before_the_next_one_comes(script: ScriptedServer, page: Page) -> None:
    begin(script, page)
    missed = [number for number in range(NUM_FRAMES) if not is_shown_alone(script, page, number)]
    assert len(missed) <= NUM_FRAMES // 4, missed  # of a page that waits for more: all but the last
    told = state(page)
    assert NUM_FRAMES - len(missed) <= told["framesShown"] <= NUM_FRAMES
    assert [told["skips"], told["rebuilds"], told["sourceBufferErrors"]] == [0, 0, 0]


def is_shown_alone(script: ScriptedServer, page: Page, number: int) -> bool:
    """Send one frame. On a starved machine the browser may drop it as too late, and shows the next one."""
    script.send_frame()
    try:
        page.wait_for_function(f"{STATE}.frameOnScreen === {number}", timeout=DROPPED_MS)
    except TimeoutError:
        return False
    assert page.evaluate(BAR) == pytest.approx(2 * number % WIDTH, abs=1)
    return True
