"""A visitor in a real Chromium walks in the embedded world."""

import io
import re
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page

from browser.visit import STATE, come, state, wait_frames, wait_notice, wait_state
from worldplay.world.world import World

pytestmark = pytest.mark.browser

REFRESH_S = 0.2  # HUD_MS in playback.ts


def picture(page: Page) -> NDArray[np.float64]:
    """The video as it is on screen now, [H, W, 3]."""
    png = page.locator("#video").screenshot()
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB").resize((160, 96)), dtype=np.float64)


@pytest.fixture
def walker(page: Page, server: str) -> Page:
    """A page on which a walk from the default view has begun."""
    page.set_viewport_size({"width": 800, "height": 480})
    come(page, server)
    page.fill("#seed", "1")
    page.press("#seed", "Enter")
    page.wait_for_function(f"{STATE}.framesShown > 0")
    page.keyboard.press("h")  # the measurements would be in the picture
    return page


def test_video_is_what_its_type_says(walker: Page) -> None:
    wait_frames(walker, 16)
    told = state(walker)
    assert re.fullmatch(r'video/mp4; codecs="avc1\.[0-9a-f]{6}"', told["mime"])
    assert walker.evaluate(f"MediaSource.isTypeSupported({STATE}.mime)")
    assert walker.evaluate("[video.videoWidth, video.videoHeight]") == [320, 192]
    assert told["sourceBufferErrors"] == 0
    assert told["lastError"] is None


def test_holding_w_approaches_what_is_ahead(walker: Page, tmp_path: Path) -> None:
    before = picture(walker)
    walker.keyboard.down("w")
    walker.wait_for_function(f"{STATE}.latencies.length >= 1")  # from here on the view moves
    wait_frames(walker, 64)
    after = picture(walker)
    walker.keyboard.up("w")
    walker.screenshot(path=str(tmp_path / "walk.png"))
    assert zoom_of(before, after) > 1.1


def test_measurements_split_the_latency(walker: Page) -> None:
    walker.keyboard.press("h")  # bring them back
    walker.keyboard.down("ArrowLeft")
    walker.wait_for_function(f"{STATE}.latencySplits.length >= 1")
    walker.keyboard.up("ArrowLeft")
    told = state(walker)
    assert sum(told["latencySplits"][0].values()) == pytest.approx(told["latencies"][0])
    walker.wait_for_function("/^[0-9]+$/.test(document.querySelector('#part-wait').innerText)")
    assert walker.inner_text("#latch") == f"per {told['latch']}"


def test_page_is_not_laid_out_for_every_frame(walker: Page) -> None:
    walker.keyboard.press("h")  # with the measurements
    session = walker.context.new_cdp_session(walker)
    session.send("Performance.enable")

    def count_layouts() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return float(next(metric["value"] for metric in metrics if metric["name"] == "LayoutCount"))

    began_s, before, num_frames = time.monotonic(), count_layouts(), 32
    wait_frames(walker, num_frames)
    num_layouts = count_layouts() - before
    num_refreshes = 1 + (time.monotonic() - began_s) / REFRESH_S  # many if the video is slow
    assert num_layouts < num_refreshes + num_frames / 2


@pytest.mark.parametrize(("key", "direction"), [("ArrowRight", -1), ("ArrowLeft", 1)])
def test_arrows_turn_the_view(walker: Page, key: str, direction: int) -> None:
    before = picture(walker)
    walker.keyboard.down(key)
    walker.wait_for_function(f"{STATE}.latencies.length >= 1")
    wait_frames(walker, 8)
    walker.keyboard.up(key)
    wait_frames(walker, 32)  # the view is at rest again, and shows much of what it did
    assert direction * shift_of(before, picture(walker)) > 8


def test_light_changes_in_mid_walk_and_is_confirmed(walker: Page) -> None:
    walker.keyboard.press("h")  # bring the chips back
    chips = walker.locator("#live-chips .chip")
    pressed = "chips => chips.map(chip => chip.ariaPressed)"
    assert chips.evaluate_all(pressed) == ["true", "false", "false", "false"]
    chips.nth(2).click()
    wait_notice(walker, "Now: Night.")
    assert state(walker)["prompt"] == "the courtyard at night"
    assert chips.nth(2).get_attribute("aria-pressed") == "true"
    walker.keyboard.press("4")
    walker.wait_for_function(f"{STATE}.prompt === 'the courtyard in snow'")
    wait_frames(walker, 16)  # the walk went on all the while
    assert state(walker)["lastError"] is None


def test_prompt_typed_in_mid_walk_does_not_steer(walker: Page) -> None:
    walker.keyboard.press("h")
    walker.keyboard.press("t")
    walker.keyboard.type("two suns")
    walker.keyboard.press("Enter")
    walker.wait_for_function(f"{STATE}.prompt === 'two suns'")
    assert state(walker)["seq"] == 0  # no key steered
    assert walker.locator("#live-prompt").input_value() == "two suns"
    assert len(lit_chips(walker)) == 1  # of the light that the world took it as
    walker.keyboard.down("d")
    walker.wait_for_function(f"{STATE}.keys.join() === 'd'")
    walker.keyboard.up("d")


VOLCANO = "a burning volcano full of dragons"
TAKEN_AS_DAY = "This world knows day, dusk, night and snow; taken as day."


def lit_chips(page: Page) -> list[str]:
    chips = page.locator("#live-chips [aria-pressed=true]")
    titles: list[str] = chips.evaluate_all("chips => chips.map((chip) => chip.firstChild.textContent.trim())")
    return titles


def test_page_says_which_light_a_prompt_in_mid_walk_is_taken_as(walker: Page) -> None:
    walker.keyboard.press("h")
    walker.keyboard.press("3")
    wait_notice(walker, "Now: Night.")
    assert lit_chips(walker) == ["Night"]
    walker.fill("#live-prompt", VOLCANO)
    walker.press("#live-prompt", "Enter")
    wait_notice(walker, TAKEN_AS_DAY)
    assert lit_chips(walker) == ["Day"]
    assert walker.input_value("#live-prompt") == VOLCANO
    assert state(walker)["prompt"] == VOLCANO


def test_page_says_which_light_the_prompt_of_a_start_is_taken_as(page: Page, server: str) -> None:
    come(page, server)
    page.fill("#prompt", VOLCANO)
    page.press("#prompt", "Enter")
    wait_notice(page, TAKEN_AS_DAY)
    wait_state(page, "walking")
    assert lit_chips(page) == ["Day"]
    assert page.input_value("#live-prompt") == VOLCANO


def test_own_picture_starts_at_the_view_most_like_it(page: Page, server: str, world: World) -> None:
    come(page, server)
    assert "knows only its own place" in page.inner_text("#own-note")
    view = world.views[2]
    page.set_input_files("#own-file", {"name": "p.jpg", "mimeType": "image/jpeg", "buffer": view.preview})
    page.wait_for_function("document.querySelector('#own').classList.contains('chosen')")
    page.click("#walk")
    wait_notice(page, f"Your picture looks most like “{view.title}”")  # which may go before the picture comes
    page.wait_for_function(f"{STATE}.framesShown > 0")


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
