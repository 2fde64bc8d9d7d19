"""A visitor in a real Chromium who saves the video of a walk; the file plays there and can be sought."""

import base64
from pathlib import Path

import av
import pytest
from playwright.sync_api import Browser, Page

from browser.visit import STATE, wait_frames, wait_notice, walk
from support.serving import serving
from worldplay.world.world import World

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

# Seeks to a time, and returns the time of the frame that is shown then.
SEEK = """time => new Promise(done => {
    video.requestVideoFrameCallback((_, frame) => done(frame.mediaTime));
    video.currentTime = time;
})"""
OPEN = """async data => {
    document.body.innerHTML = '<video id="video" muted></video>';
    const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
    const isShown = new Promise((done, failed) => {
        video.requestVideoFrameCallback(done);
        video.onerror = failed;
    });
    video.src = URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
    await isShown;
    return video.duration;
}"""


# The tab of a link shows nothing but the video.
SEEK_TAB = """time => new Promise((done, failed) => {
    const video = document.querySelector("video");
    video.pause();
    video.onerror = failed;
    video.onseeked = () => done(video.currentTime);
    video.currentTime = time;
})"""


def link_to_video(page: Page) -> str:
    """Make a link with the keys alone, as the walker can. Returns: the link."""
    page.keyboard.press("l")
    for _ in range(3):  # behind what is about watching
        if page.evaluate("document.activeElement.id") == "share-copy-video":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#share-link:not([hidden])")
    return page.input_value("#share-link")


def test_video_of_a_walk_is_saved_and_plays(
    world: World, page: Page, chromium: Browser, tmp_path: Path
) -> None:
    with serving(world, recordings=str(tmp_path / "recordings")) as address:
        walk(page, address)
        page.keyboard.press("2")
        page.wait_for_function(f"{STATE}.prompt === '{world.suggestions[1].prompt}'")
        wait_frames(page, 30)
        with page.expect_download() as saving:
            page.keyboard.press("v")
        wait_notice(page, "walk.mp4")
        path = tmp_path / "walk.mp4"
        saving.value.save_as(path)
        with chromium.new_page() as tab:
            tab.goto(link_to_video(page))
            assert tab.evaluate(SEEK_TAB, 0.9) == pytest.approx(0.9)
            page.click("#share-stop-video")
            page.wait_for_selector("#share-link", state="hidden")
            answer = tab.reload()
            assert answer is not None
            assert answer.status == 404
    with av.open(str(path), "r") as container:
        titles = [chapter["metadata"]["title"] for chapter in container.chapters()]
        num_frames = sum(1 for _ in container.decode(video=0))
    assert titles[-1] == world.suggestions[1].prompt
    with chromium.new_page() as player:
        duration_s = player.evaluate(OPEN, base64.b64encode(path.read_bytes()).decode())
        assert duration_s == pytest.approx(num_frames / 24, abs=0.001)
        for number in (20, 3, num_frames - 2):
            shown_s = player.evaluate(SEEK, (number + 0.5) / 24)
            assert round(shown_s * 24) == number
