"""What a visitor does while the connection is down, or before the walk is there, counts once it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from browser.visit import come, open_menu, state, wait_frames, wait_new_frames, wait_notice, wait_state, walk
from support.scripted import ScriptedServer
from support.serving import serving
from support.tiny_world import make_world
from worldplay.protocol import messages as m
from worldplay.world.courtyard.views import SUGGESTIONS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

# While `blocked`, nothing listens where the page connects to.
BLOCKABLE = """
const Plain = WebSocket;
window.blocked = false;
window.connects = 0;
window.WebSocket = class extends Plain {
  constructor(url, kinds) {
    window.connects += 1;
    super(window.blocked ? "ws://127.0.0.1:1/ws" : url, kinds);
    window.socket = this;
  }
};
"""
NEXT = "You are next"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server with one slot."""
    folders = {name: str(tmp_path / name) for name in ("store", "recordings")}
    world = replace(make_world(), suggestions=SUGGESTIONS)
    with serving(world, resume_s=60.0, max_sessions=1, **folders) as served:
        yield served


@contextmanager
def visitor(chromium: Browser) -> Iterator[Page]:
    with chromium.new_page(bypass_csp=True, viewport={"width": 1000, "height": 600}) as page:
        page.set_default_timeout(60_000)
        yield page


def lose(page: Page) -> None:
    page.evaluate("blocked = true; socket.close()")
    wait_state(page, "reconnecting")


def end_a_pause_without_a_connection(page: Page, address: str) -> None:
    page.add_init_script(BLOCKABLE)
    walk(page, address)
    wait_frames(page, 20)
    open_menu(page)
    wait_state(page, "paused")
    lose(page)
    page.click("#back")


def test_walk_that_was_asked_for_without_a_connection_begins(address: str, page: Page) -> None:
    page.add_init_script(BLOCKABLE)
    walk(page, address)
    wait_frames(page, 40)
    lose(page)
    open_menu(page)
    page.click("#walk")
    page.evaluate("blocked = false")
    page.wait_for_function(
        "worldplay.state === 'walking' && worldplay.chunk < 2"
    )  # the one before is further
    wait_new_frames(page)


def test_pause_that_ended_without_a_connection_ends(address: str, page: Page) -> None:
    end_a_pause_without_a_connection(page, address)
    page.evaluate("blocked = false")
    wait_state(page, "walking")
    wait_new_frames(page)


def test_reloaded_page_that_is_paused_before_its_session_is_gone_offers_a_new_walk(
    page: Page, script: ScriptedServer
) -> None:
    page.add_init_script(BLOCKABLE)
    walk(page, script.address)
    wait_frames(page, 10)
    script.at_hello = "silence"
    page.reload()
    page.wait_for_function("window.socket?.readyState === 1")
    page.keyboard.press("p")
    script.at_hello = "welcome"
    page.evaluate("socket.close()")
    wait_state(page, "choosing")
    page.click("#walk")  # the server answers in order, so it has refused nothing before
    wait_state(page, "walking")
    assert state(page)["lastError"] is None


def test_walk_that_goes_on_in_another_window_is_not_taken_back(
    address: str, page: Page, chromium: Browser
) -> None:
    page.add_init_script(BLOCKABLE)
    walk(page, address)
    wait_frames(page, 20)
    page.goto(f"http://{address}/openapi.json")
    left = page.evaluate("sessionStorage.getItem('worldplay.left-walk')")
    page.goto(f"http://{address}/")
    wait_state(page, "walking")
    with visitor(chromium) as other:
        other.goto(f"http://{address}/openapi.json")
        other.evaluate("left => sessionStorage.setItem('worldplay.left-walk', left)", left)
        other.goto(f"http://{address}/")
        wait_state(other, "walking")
        wait_state(page, "failed")
        before = page.evaluate("connects")
        for each in (page, other):
            each.evaluate("dispatchEvent(new Event('online'))")
        wait_new_frames(other)
        assert (page.evaluate("connects"), state(page)["state"]) == (before, "failed")


def test_place_in_the_queue_is_kept_through_a_reload(address: str, page: Page, chromium: Browser) -> None:
    walk(page, address)
    with visitor(chromium) as second, visitor(chromium) as third:
        come(second, address)
        second.click("#walk")
        wait_notice(second, NEXT)
        come(third, address)
        third.click("#walk")
        wait_notice(third, "Place 2 in the queue")
        second.reload()
        wait_notice(second, NEXT)
        page.goto("about:blank")  # its slot is for who waits
        wait_state(second, "walking")
        wait_new_frames(second)


def test_link_that_cannot_be_made_yet_leaves_the_place_in_the_queue(
    address: str, page: Page, chromium: Browser
) -> None:
    walk(page, address)
    with visitor(chromium) as waiting:
        come(waiting, address)
        waiting.click("#walk")
        wait_notice(waiting, NEXT)
        waiting.keyboard.press("l")
        waiting.click("#share-copy-video")
        waiting.wait_for_selector("#share-said >> text=Walk a few steps first.")
        waiting.click("#share-close")
        wait_notice(waiting, NEXT)
        assert not waiting.is_visible("#panel")


def test_link_in_the_address_of_an_open_page_opens_at_once(address: str, page: Page) -> None:
    walk(page, address)
    page.wait_for_function("worldplay.chunk > 6")
    page.keyboard.press("b")
    wait_notice(page, "This place is kept")
    listed = "fetch('api/snapshots/', {headers: {'X-Walk-Key': localStorage.getItem('worldplay.walk-key')}})"
    kept = page.evaluate(f"{listed}.then(answer => answer.json())")["snapshots"][0]
    page.wait_for_function(f"worldplay.chunk > {kept['chunks'] + 3}")
    page.evaluate(f"location.hash = '#walk={kept['id']}'")
    page.wait_for_function(f"worldplay.chunk <= {kept['chunks'] + 1}")
    wait_new_frames(page)
    assert page.evaluate("location.hash") == ""


def test_refused_start_leaves_the_prompt_that_was_typed(page: Page, script: ScriptedServer) -> None:
    walk(page, script.address)
    wait_frames(page, 10)
    open_menu(page)
    page.fill("#prompt", "a prompt that took a minute to write")
    script.at_start = "refuse"
    page.click("#walk")
    page.wait_for_function("worldplay.lastError !== null")
    page.wait_for_selector("#panel:not([hidden])")
    assert page.input_value("#prompt") == "a prompt that took a minute to write"


def test_reconnecting_leaves_the_focus_in_the_menu(page: Page, script: ScriptedServer) -> None:
    page.add_init_script(BLOCKABLE)
    walk(page, script.address)
    wait_frames(page, 10)
    open_menu(page)
    page.focus(".view[data-view=green]")
    page.evaluate("before = socket; socket.close()")
    page.wait_for_function("socket !== before && worldplay.state === 'paused'")
    assert page.evaluate("document.activeElement.dataset.view") == "green"


def test_long_prompt_leaves_the_picture_in_view(page: Page, script: ScriptedServer) -> None:
    page.set_viewport_size({"width": 390, "height": 700})
    walk(page, script.address)
    wait_frames(page, 10)
    open_menu(page)
    page.fill("#prompt", "http://example.com/" + "x" * 1500)
    page.click("#apply-prompt")
    page.wait_for_selector("#notice.visible >> text=example.com")
    box = page.evaluate("notice.getBoundingClientRect().toJSON()")
    assert min(box["x"], box["y"]) >= 0
    assert box["height"] < 350
    assert page.evaluate("notice.scrollWidth") <= box["width"]


def test_newest_of_two_pictures_is_taken_though_it_is_read_first(page: Page, script: ScriptedServer) -> None:
    come(page, script.address)
    page.evaluate(
        """async () => {
          const draw = async (side, random) => {
            const canvas = new OffscreenCanvas(side, side), context = canvas.getContext("2d");
            const data = context.createImageData(side, side);
            data.data.forEach((_, i) => { data.data[i] = i % 4 === 3 ? 255 : random() * 256; });
            context.putImageData(data, 0, 0);
            return new File([await canvas.convertToBlob()], "picture.png", { type: "image/png" });
          };
          const plain = createImageBitmap;
          window.createImageBitmap = async (blob) => {  // the large one is read until it is told
            if (blob.size > 1e6) await new Promise((resolve) => { window.go = resolve; });
            return plain(blob);
          };
          const drop = (file) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(file);
            document.dispatchEvent(new DragEvent("drop", { dataTransfer, cancelable: true }));
          };
          const large = await draw(2000, Math.random), small = await draw(64, () => 0.5);
          drop(large);
          drop(small);
        }"""
    )
    page.wait_for_function("window.go && document.activeElement === document.getElementById('walk')")
    page.evaluate("go()")
    page.wait_for_timeout(500)
    page.click("#walk")
    wait_state(page, "walking")
    image = script.asked(m.Start)[-1].image
    assert image is not None
    assert len(image) < 10_000


def test_pause_that_ended_is_told_until_the_server_knows(address: str, page: Page) -> None:
    """The first connection that is back swallows what the page says after its hello, and breaks."""
    end_a_pause_without_a_connection(page, address)
    page.evaluate(
        """() => {
          const plain = WebSocket.prototype.send;
          let numSent = 0;
          WebSocket.prototype.send = function (data) {
            numSent += 1;
            if (numSent === 1 || numSent > 4) return plain.call(this, data);
            if (numSent === 4) setTimeout(() => this.close(), 0);
          };
          blocked = false;
        }"""
    )
    page.wait_for_function("connects >= 3 && worldplay.state === 'walking'")
    wait_new_frames(page)


def test_undo_without_a_connection_says_so(address: str, page: Page) -> None:
    page.add_init_script(BLOCKABLE)
    walk(page, address)
    wait_frames(page, 20)
    lose(page)
    page.keyboard.press("u")
    wait_notice(page, "There is no connection at the moment.")
