"""A visitor in a real Chromium walks in the embedded world."""

import io
import re
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page

from support.serving import serving
from worldplay.world.world import World

pytestmark = pytest.mark.browser

STATE = "window.worldplay"


def diagnostics(page: Page) -> Any:
    return page.evaluate(STATE)


def picture(page: Page) -> NDArray[np.float64]:
    """The video as it is on screen now, [H, W, 3]."""
    png = page.locator("#video").screenshot()
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB").resize((160, 96)), dtype=np.float64)


@pytest.fixture
def walker(page: Page, server: str) -> Page:
    """A page on which a walk from the default view has begun."""
    page.set_viewport_size({"width": 800, "height": 480})
    page.goto(f"http://{server}/")
    page.wait_for_function(f"{STATE}?.state === 'choosing'")
    page.fill("#seed", "1")
    page.press("#seed", "Enter")
    page.wait_for_function(f"{STATE}.framesShown > 0", timeout=30_000)
    page.keyboard.press("h")  # the measurements would be in the picture
    return page


def wait_chunks(page: Page, count: int) -> None:
    """Until so many more chunks are on screen."""
    wanted = (diagnostics(page)["chunk"] or 0) + count
    page.wait_for_function(f"{STATE}.chunk >= {wanted}", timeout=60_000)


def test_first_frame_is_there_within_three_seconds(page: Page, server: str) -> None:
    page.goto(f"http://{server}/")
    page.wait_for_function(f"{STATE}?.state === 'choosing'")
    took_ms = page.evaluate(
        """async () => {
            const began = performance.now();
            document.querySelector("#walk").click();
            while (window.worldplay.framesShown === 0) await new Promise(requestAnimationFrame);
            return performance.now() - began;
        }"""
    )
    assert took_ms < 3000


def test_video_is_what_its_type_says(walker: Page) -> None:
    wait_chunks(walker, 1)
    state = diagnostics(walker)
    assert re.fullmatch(r'video/mp4; codecs="avc1\.[0-9a-f]{6}"', state["mime"])
    assert walker.evaluate(f"MediaSource.isTypeSupported({STATE}.mime)")
    assert walker.evaluate("[video.videoWidth, video.videoHeight]") == [160, 96]
    assert state["sourceBufferErrors"] == 0
    assert state["lastError"] is None


def test_holding_w_approaches_what_is_ahead(walker: Page, tmp_path: Path) -> None:
    before = picture(walker)
    walker.keyboard.down("w")
    wait_chunks(walker, 4)
    after = picture(walker)
    walker.keyboard.up("w")
    walker.screenshot(path=str(tmp_path / "walk.png"))
    assert zoom_of(before, after) > 1.1
    assert diagnostics(walker)["latencies"], "no input latency was measured"


@pytest.mark.parametrize(("key", "direction"), [("ArrowRight", -1), ("ArrowLeft", 1)])
def test_arrows_turn_the_view(walker: Page, key: str, direction: int) -> None:
    before = picture(walker)
    walker.keyboard.down(key)
    wait_chunks(walker, 4)
    after = picture(walker)
    walker.keyboard.up(key)
    assert direction * shift_of(before, after) > 8


def test_every_frame_is_shown(walker: Page) -> None:
    wait_chunks(walker, 12)
    state = diagnostics(walker)
    assert state["frameOnScreen"] + 1 - state["framesShown"] <= 0.02 * state["frameOnScreen"] + 2


def test_starved_page_shows_a_frame_as_soon_as_it_is_decoded(page: Page, world: World) -> None:
    config = replace(world.rollout.config, steps=110)  # slower than real time
    slow = replace(world, rollout=replace(world.rollout, config=config))
    with serving(slow) as address:
        page.goto(f"http://{address}/")
        page.wait_for_function(f"{STATE}?.state === 'choosing'")
        page.keyboard.press("Enter")
        page.wait_for_function(f"{STATE}.starvedDecodedToShown.length >= 8", timeout=60_000)
        times_ms = diagnostics(page)["starvedDecodedToShown"]
        page.goto("about:blank")  # leave before the server does
    assert statistics.median(times_ms) <= 20.0


def test_light_changes_in_mid_walk_and_is_confirmed(walker: Page) -> None:
    walker.keyboard.press("h")  # bring the chips back
    chips = walker.locator("#live-chips .chip")
    pressed = "chips => chips.map(chip => chip.ariaPressed)"
    assert chips.evaluate_all(pressed) == ["true", "false", "false", "false"]
    chips.nth(2).click()
    walker.wait_for_function(f"{STATE}.prompt === 'the courtyard at night'")
    assert chips.nth(2).get_attribute("aria-pressed") == "true"
    walker.wait_for_selector("#notice.visible >> text=Now: Night.")
    walker.keyboard.press("4")
    walker.wait_for_function(f"{STATE}.prompt === 'the courtyard in snow'")
    wait_chunks(walker, 1)  # the walk went on all the while
    assert diagnostics(walker)["lastError"] is None


def test_prompt_typed_in_mid_walk_does_not_steer(walker: Page) -> None:
    walker.keyboard.press("h")
    walker.keyboard.press("t")
    walker.keyboard.type("two suns")
    walker.keyboard.press("Enter")
    walker.wait_for_function(f"{STATE}.prompt === 'two suns'")
    assert diagnostics(walker)["seq"] == 0  # no key steered
    assert walker.locator("#live-prompt").input_value() == "two suns"
    walker.keyboard.down("d")
    walker.wait_for_function(f"{STATE}.keys.join() === 'd'")
    walker.keyboard.up("d")


def test_own_picture_starts_at_the_view_most_like_it(page: Page, server: str, world: World) -> None:
    page.goto(f"http://{server}/")
    page.wait_for_function(f"{STATE}?.state === 'choosing'")
    assert "knows only its own place" in page.inner_text("#own-note")
    view = world.views[2]
    page.set_input_files("#own-file", {"name": "p.jpg", "mimeType": "image/jpeg", "buffer": view.preview})
    page.wait_for_function("document.querySelector('#own').classList.contains('chosen')")
    page.click("#walk")
    page.wait_for_function(f"{STATE}.framesShown > 0", timeout=30_000)
    page.wait_for_selector(f"#notice.visible >> text=Your picture looks most like “{view.title}”")


def zoom_of(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """By how much the middle of `before` must be enlarged to look most like `after`."""
    image = Image.fromarray(before.astype(np.uint8))
    height, width = before.shape[:2]

    def difference(zoom: float) -> float:
        half_w, half_h = width / zoom / 2, height / zoom / 2
        box = (width / 2 - half_w, height / 2 - half_h, width / 2 + half_w, height / 2 + half_h)
        enlarged = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box))
        return float(np.abs(enlarged - after).mean())

    zooms = [1 + step / 20 for step in range(21)]
    return min(zooms, key=difference)


def shift_of(before: NDArray[np.float64], after: NDArray[np.float64]) -> int:
    """By how many of 160 columns the picture moved, to the right if positive."""
    width = before.shape[1]

    def difference(shift: int) -> float:
        left, right = max(0, shift), min(width, width + shift)
        moved = before[:, left - shift : right - shift]
        return float(np.abs(after[:, left:right] - moved).mean())

    return min(range(-100, 101), key=difference)
