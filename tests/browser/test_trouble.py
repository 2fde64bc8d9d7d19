"""What a visitor in a real Chromium is told and can do when things go wrong; the server plays a script."""

import json
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from browser.visit import (
    STATE,
    come,
    open_menu,
    state,
    wait_frames,
    wait_notice,
    wait_state,
    walk,
    walk_far,
)
from support.scripted import ScriptedServer, preview
from worldplay.clips.pose_option import read_beginning, read_pose
from worldplay.protocol import messages as m
from worldplay.world.pose_files import parse_trajectory

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

# Everything that the notice has said.
WATCH_NOTICES = """
window.said = [];
const note = () => {
  const notice = document.querySelector("#notice");
  const text = notice?.classList.contains("visible") ? notice.textContent : "";
  if (window.said.at(-1) !== text) window.said.push(text);
};
new MutationObserver(note).observe(document, {
  subtree: true, childList: true, characterData: true, attributes: true,
});
"""


@pytest.fixture
def visitor(script: ScriptedServer, page: Page) -> Page:
    page.set_viewport_size({"width": 1100, "height": 700})
    page.add_init_script(WATCH_NOTICES)
    return page


def wait_chunks(page: Page, count: int) -> None:
    """Until so many more chunks have come."""
    page.wait_for_function(f"{STATE}.chunk >= {state(page)['chunk'] + count}")


def wait_asked(page: Page, script: ScriptedServer, kind: type[m.ClientMessage], count: int) -> None:
    while len(script.asked(kind)) < count:
        page.wait_for_timeout(50)  # which also lets the page go on


def hide_and_show_everything(page: Page) -> None:
    """A passing remark comes and goes."""
    page.keyboard.press("h")
    wait_notice(page, "everything back")
    page.keyboard.press("h")
    page.wait_for_selector("body:not(.bare)")


def test_menu_opens_where_no_mouse_can_be_caught(script: ScriptedServer, visitor: Page) -> None:
    visitor.add_init_script(
        "delete Document.prototype.exitPointerLock; delete Document.prototype.pointerLockElement;"
        "delete Element.prototype.requestPointerLock;"
    )
    walk(visitor, script.address)
    open_menu(visitor)
    wait_state(visitor, "paused")


def test_what_was_played_is_forgotten(script: ScriptedServer, visitor: Page) -> None:
    walk_far(visitor, script, 9.0)
    visitor.wait_for_function("video.buffered.start(0) > 3")
    wait_frames(visitor, 3)
    assert visitor.evaluate("video.buffered.start(0) < video.currentTime - 3")
    assert state(visitor)["sourceBufferErrors"] == 0


def test_full_server_is_asked_less_and_less_often(script: ScriptedServer, visitor: Page) -> None:
    walk(visitor, script.address)
    script.at_start = "busy"
    open_menu(visitor)
    visitor.click("#walk")
    wait_notice(visitor, "All places are taken")
    visitor.evaluate("window.said.length = 0")
    wait_asked(visitor, script, m.Start, 5)
    starts = [at_ms for at_ms, message in script.received if isinstance(message, m.Start)][1:]
    waits_ms = [later - earlier for earlier, later in pairwise(starts)]
    assert all(wait >= 200 * 2**attempt for attempt, wait in enumerate(waits_ms)), waits_ms
    said = set(visitor.evaluate("window.said"))
    assert said <= {"All places are taken at the moment. Trying again in a moment.Try now"}


def test_walker_reads_that_the_walk_is_not_saved_and_who_has_a_place(
    script: ScriptedServer, visitor: Page
) -> None:
    script.missing_chunks = 18
    come(visitor, script.address)
    wait_notice(visitor, "Your walk goes on 12 s earlier: the rest was not saved.")
    walk(visitor, script.address)
    script.tell(m.State(what="unsaved", chunk=5, text="full"))
    wait_notice(visitor, "The server has no room: from here on your walk is not saved.")
    script.tell(m.State(what="saved"))
    wait_notice(visitor, "Your walk is saved again.")
    for wait_s in (40.0, 35.0):
        script.tell(m.Queued(position=1, eta=wait_s))
    visitor.keyboard.press("p")
    wait_state(visitor, "paused")
    script.tell(m.State(what="seated"))
    wait_notice(visitor, "You have your place back. Your walk is still paused.")
    assert "You are next, about 35 s." not in visitor.inner_text("#notice")


def test_browser_without_h264_says_so_and_goes_on_saying_it(script: ScriptedServer, visitor: Page) -> None:
    visitor.add_init_script("MediaSource.isTypeSupported = () => false")
    come(visitor, script.address)
    visitor.click("#walk")
    wait_notice(visitor, "This browser cannot play the video")
    hide_and_show_everything(visitor)
    wait_notice(visitor, "This browser cannot play the video")


def test_browser_that_waits_for_a_gesture_says_so(script: ScriptedServer, visitor: Page) -> None:
    visitor.add_init_script(
        """
        const play = HTMLMediaElement.prototype.play;
        HTMLMediaElement.prototype.play = function () {
          return window.mayPlay ? play.call(this) : Promise.reject(new DOMException("", "NotAllowedError"));
        };
        document.addEventListener("DOMContentLoaded", () => document.querySelector("video").autoplay = false);
        """
    )
    come(visitor, script.address)
    visitor.click("#walk")
    wait_notice(visitor, "Tap or press a key to start the picture.")
    visitor.evaluate("window.mayPlay = true")
    visitor.keyboard.press("w")
    wait_state(visitor, "walking")
    visitor.wait_for_selector("#notice:not(.visible)", state="attached")


def test_refused_visitor_can_always_try_again(script: ScriptedServer, visitor: Page) -> None:
    walk(visitor, script.address)
    script.token = "sesame"
    script.drop()
    wait_state(visitor, "failed")
    hide_and_show_everything(visitor)
    wait_notice(visitor, "This server asks for a token.")
    open_menu(visitor)
    visitor.click("#walk")
    visitor.wait_for_selector("#panel[hidden]", state="attached")
    wait_state(visitor, "failed")
    script.token = None
    visitor.click("#notice >> text=Try now")
    wait_state(visitor, "walking")


def test_token_added_to_the_address_is_taken(script: ScriptedServer, visitor: Page) -> None:
    script.token = "sesame"
    visitor.goto(f"http://{script.address}/")
    wait_state(visitor, "failed")
    visitor.evaluate("location.hash = 'token=sesame'")
    wait_state(visitor, "choosing")


def test_place_in_the_queue_stays_on_screen(script: ScriptedServer, visitor: Page) -> None:
    script.at_start = "queue"
    come(visitor, script.address)
    visitor.click("#walk")
    wait_notice(visitor, "Place 2 in the queue")
    hide_and_show_everything(visitor)
    wait_notice(visitor, "Place 2 in the queue")


def test_visitor_is_told_that_the_walk_begins_again(script: ScriptedServer, visitor: Page) -> None:
    walk(visitor, script.address)
    visitor.evaluate("window.said.length = 0")
    script.drop()
    wait_notice(visitor, "Connected again.")
    wait_state(visitor, "walking")
    wait_frames(visitor, 3)
    last = visitor.evaluate("window.said.at(-1) || window.said.at(-2)")  # it goes after a while
    assert last.startswith("Connected again.")


def test_chosen_view_stays_chosen(script: ScriptedServer, visitor: Page) -> None:
    come(visitor, script.address)
    visitor.click("[data-view=green]")
    wait_state(visitor, "walking")
    script.drop()
    wait_asked(visitor, script, m.Start, 2)
    wait_state(visitor, "walking")
    open_menu(visitor)
    visitor.wait_for_selector("[data-view=green].chosen")


def test_enter_in_the_prompt_of_the_menu_changes_the_walk(script: ScriptedServer, visitor: Page) -> None:
    walk(visitor, script.address)
    open_menu(visitor)
    visitor.fill("#prompt", "two suns")
    visitor.press("#prompt", "Enter")
    visitor.wait_for_selector("#panel[hidden]", state="attached")
    visitor.wait_for_function(f"{STATE}.prompt === 'two suns'")
    assert len(script.asked(m.Start)) == 1


def test_prompt_that_the_world_does_not_know_is_not_claimed(script: ScriptedServer, visitor: Page) -> None:
    script.taken_as = "day"
    come(visitor, script.address)
    visitor.fill("#prompt", "a burning volcano")
    visitor.click("#walk")
    wait_notice(visitor, "This world knows day and dusk; taken as day.")
    wait_state(visitor, "walking")
    assert visitor.locator("#live-chips [aria-pressed=true]").inner_text().startswith("day")
    assert visitor.input_value("#live-prompt") == "a burning volcano"
    script.taken_as = "dusk"
    visitor.keyboard.press("2")
    wait_notice(visitor, "Now: dusk.")
    script.taken_as = None
    visitor.keyboard.press("t")
    visitor.keyboard.type("two suns")
    visitor.keyboard.press("Enter")
    wait_notice(visitor, "The world now follows: two suns")
    assert visitor.locator("#live-chips [aria-pressed=true]").count() == 0


def test_prompt_typed_while_reconnecting_is_not_lost(script: ScriptedServer, visitor: Page) -> None:
    walk(visitor, script.address)
    script.at_hello = "silence"
    script.drop()
    wait_state(visitor, "reconnecting")
    visitor.keyboard.press("t")
    visitor.keyboard.type("two suns")
    visitor.keyboard.press("Enter")
    script.at_hello = "welcome"
    wait_asked(visitor, script, m.Hello, 2)
    script.drop()
    wait_state(visitor, "walking")
    assert script.asked(m.Start)[-1].prompt == "two suns"
    assert state(visitor)["prompt"] == "two suns"


def test_pause_is_not_counted_as_latency(script: ScriptedServer, visitor: Page) -> None:
    walk(visitor, script.address)
    visitor.keyboard.down("w")
    visitor.wait_for_function(f"{STATE}.latencies.length === 1")
    visitor.keyboard.press("Escape")  # lets W go
    wait_state(visitor, "paused")
    visitor.keyboard.up("w")
    visitor.keyboard.press("Escape")
    wait_chunks(visitor, 3)
    assert len(state(visitor)["latencies"]) == 1
    assert script.asked(m.Controls)[-1].keys == ()


def test_refusal_after_reconnecting_leaves_no_walk(script: ScriptedServer, visitor: Page) -> None:
    walk(visitor, script.address)
    open_menu(visitor)
    visitor.click("[data-view=green]")
    wait_state(visitor, "walking")
    script.at_start = "refuse"
    script.drop()
    wait_state(visitor, "choosing")
    visitor.wait_for_selector("#panel:not([hidden]):not(.walking)")
    script.at_start = "walk"
    visitor.click("#walk")
    wait_state(visitor, "walking")


def save_walk(page: Page, path: Path) -> Any:
    with page.expect_download() as download:
        page.keyboard.press("j")
    download.value.save_as(path)
    return json.loads(path.read_text())


def test_saved_walk_is_the_one_on_screen(script: ScriptedServer, visitor: Page, tmp_path: Path) -> None:
    walk(visitor, script.address)
    wait_chunks(visitor, 2)
    visitor.keyboard.press("2")
    visitor.wait_for_function(f"{STATE}.prompt === 'the court at dusk'")
    saved = save_walk(visitor, tmp_path / "walk.json")
    pose = read_pose(str(tmp_path / "walk.json"))
    beginning = read_beginning(pose)
    assert (beginning.view, beginning.prompt, beginning.image) == ("red", None, None)
    assert (beginning.seed, beginning.model, beginning.size) == (saved["seed"], "scripted", [160, 96])
    assert parse_trajectory(pose).num_latents == len(saved["labels"])
    open_menu(visitor)
    script.ahead_s = -1.0  # it ends after its first chunk
    visitor.click("[data-view=green]")
    visitor.wait_for_function(f"{STATE}.chunk === 0 && {STATE}.state === 'walking'")
    again = save_walk(visitor, tmp_path / "again.json")
    assert again["view"] == "green"
    assert len(again["poses"]) < len(saved["poses"])


@pytest.mark.parametrize("own_pictures", ["as_is", "nearest_view"])
def test_saved_walk_names_its_picture_or_the_view_that_stood_for_it(
    own_pictures: str, script: ScriptedServer, visitor: Page, tmp_path: Path
) -> None:
    script.own_pictures = own_pictures  # type: ignore[assignment]
    come(visitor, script.address)
    picture = preview("red")
    visitor.set_input_files("#own-file", {"name": "me.jpg", "mimeType": "image/jpeg", "buffer": picture})
    visitor.wait_for_selector("#own.chosen")
    visitor.click("#walk")
    wait_state(visitor, "walking")
    beginning = read_beginning(save_walk(visitor, tmp_path / "walk.json"))
    if own_pictures == "nearest_view":
        assert (beginning.view, beginning.image) == ("green", None)
    else:
        assert beginning.view is None
        assert beginning.image is not None
        assert (beginning.image.path, beginning.image.sha256) == ("me.jpg", sha256(picture).hexdigest())
