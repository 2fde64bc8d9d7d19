"""Whether this machine makes and shows frames in time; test_showing.py tests the same without a clock."""

import statistics
from dataclasses import replace

import pytest
from playwright.sync_api import Page

from browser.visit import STATE, come, state, wait_frames
from support.serving import serving
from worldplay.world.world import World

pytestmark = [pytest.mark.browser, pytest.mark.realtime]


def test_first_frame_is_there_within_three_seconds(page: Page, server: str) -> None:
    come(page, server)
    took_ms = page.evaluate(
        """async () => {
            const began = performance.now();
            document.querySelector("#walk").click();
            while (window.worldplay.framesShown === 0) await new Promise(requestAnimationFrame);
            return performance.now() - began;
        }"""
    )
    assert took_ms < 3000


def test_every_frame_is_shown(page: Page, server: str) -> None:
    come(page, server)
    page.click("#walk")
    wait_frames(page, 12 * 16)
    told = state(page)
    assert told["frameOnScreen"] + 1 - told["framesShown"] <= 0.02 * told["frameOnScreen"] + 2


def test_starved_page_shows_a_frame_as_soon_as_it_is_decoded(page: Page, world: World) -> None:
    config = replace(world.rollout.config, steps=110)  # slower than real time
    slow = replace(world, rollout=replace(world.rollout, config=config))
    with serving(slow) as address:
        come(page, address)
        page.keyboard.press("Enter")
        page.wait_for_function(f"{STATE}.starvedDecodedToShown.length >= 8")
        times_ms = state(page)["starvedDecodedToShown"]
        page.goto("about:blank")  # leave before the server does
    assert statistics.median(times_ms) <= 20.0
