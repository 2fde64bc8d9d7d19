"""A server that makes video more slowly than it plays: the page says so, and plays in slow motion."""

import pytest
from playwright.sync_api import Page

from browser.visit import state, walk
from support.scripted import ScriptedServer

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_slow_server_is_told_and_played_in_slow_motion(page: Page, script: ScriptedServer) -> None:
    script.times_real_time = 0.4
    walk(page, script.address)
    assert page.inner_text("#pace") == "0.4x real time"
    assert "0.4x real time, so it plays in slow motion" in page.inner_text("#notice")
    assert state(page)["playbackRate"] == pytest.approx(0.38)
    before = state(page)["framesShown"]
    page.wait_for_timeout(2000)
    after = state(page)
    assert 10 <= after["framesShown"] - before <= 26  # of 48 at full speed
    assert after["stalls"] == 0


def test_a_server_that_keeps_up_says_nothing(page: Page, script: ScriptedServer) -> None:
    script.times_real_time = 1.5
    walk(page, script.address)
    assert page.inner_text("#pace") == ""
    assert state(page)["playbackRate"] == pytest.approx(1.0, abs=0.06)
