"""A server that makes video more slowly than it plays: the page says so, and plays in slow motion."""

import pytest
from playwright.sync_api import Page

from browser.visit import come, state, wait_notice, wait_state, walk
from support.scripted import ScriptedServer

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PLAYED_S = 0.75
# Waits until so much of the video was played without a skip, which ends a reserve that the page need not
# keep if the test is late. Returns: how long that took.
TIME_TO_PLAY = """async (playedS) => {
  for (;;) {
    const [beganMs, from, { skips }] = [performance.now(), video.currentTime, worldplay];
    while (video.currentTime < from + playedS) await new Promise(requestAnimationFrame);
    if (worldplay.skips === skips) return (performance.now() - beganMs) / 1000;
  }
}"""


def test_a_slow_server_is_told_and_played_in_slow_motion(page: Page, script: ScriptedServer) -> None:
    script.times_real_time = 0.4
    script.ahead_s = 5.0  # so it is not for want of frames
    come(page, script.address)
    page.click("#walk")
    wait_notice(page, "0.4x real time, so it plays in slow motion")
    wait_state(page, "walking")
    assert page.inner_text("#pace") == "0.4x real time"
    assert state(page)["playbackRate"] == pytest.approx(0.38)
    took_s = page.evaluate(TIME_TO_PLAY, PLAYED_S)
    assert took_s > 0.9 * PLAYED_S / 0.38  # a busy machine may take longer
    assert state(page)["stalls"] == 0


def test_a_server_that_keeps_up_says_nothing(page: Page, script: ScriptedServer) -> None:
    script.times_real_time = 1.5
    walk(page, script.address)
    assert page.inner_text("#pace") == ""
    assert state(page)["playbackRate"] == pytest.approx(1.0, abs=0.06)
