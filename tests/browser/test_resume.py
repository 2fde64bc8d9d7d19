"""A visitor in a real Chromium whose server goes away and comes back, and links to kept walks."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page

from browser.visit import open_menu, state, wait_frames, wait_notice, wait_state, walk
from support.serving import serving
from support.tiny_world import make_world
from worldplay.web import stream
from worldplay.world.courtyard.views import SUGGESTIONS
from worldplay.world.world import World

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


class Servers:
    """One server after the other, at the same address and with the same store."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._stack = ExitStack()

    def start(self) -> str:
        folders = {name: str(self.folder / name) for name in ("store", "recordings")}
        served = serving(self.world, port=self.port, resume_s=60.0, max_sessions=1, **folders)
        return self._stack.enter_context(served)

    def stop(self) -> None:
        self._stack.close()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    servers = Servers(replace(make_world(), suggestions=SUGGESTIONS), tmp_path)
    yield servers
    servers.stop()


def test_walk_goes_on_after_the_server_was_restarted(
    servers: Servers, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "RESUME_IN_S", 0.5)
    walk(page, servers.start())
    page.keyboard.press("2")
    wait_frames(page, 40)
    before = state(page)
    servers.stop()
    wait_state(page, "reconnecting")
    servers.start()
    wait_state(page, "walking")
    wait_frames(page, 40)
    after = state(page)
    assert after["session"] == before["session"]
    assert after["chunk"] > before["chunk"]
    assert after["prompt"] == before["prompt"]
    assert after["sourceBufferErrors"] == 0


def test_walk_goes_on_after_the_connection_was_lost(servers: Servers, page: Page) -> None:
    page.add_init_script(
        "const Plain = WebSocket; window.WebSocket = class extends Plain {"
        " constructor(...given) { super(...given); window.socket = this; } };"
    )
    walk(page, servers.start())
    wait_frames(page, 40)
    before = state(page)
    page.evaluate("window.socket.close()")
    wait_frames(page, 60)
    after = state(page)
    assert after["session"] == before["session"]
    assert (after["state"], after["sourceBufferErrors"]) == ("walking", 0)


def test_walk_goes_on_after_a_reload_and_only_in_its_own_tab(servers: Servers, page: Page) -> None:
    walk(page, servers.start())
    wait_frames(page, 40)
    before = state(page)
    open_menu(page)  # which pauses the walk
    assert page.evaluate("sessionStorage.length") == 0  # a duplicated tab would copy it
    page.reload()
    wait_state(page, "walking")
    wait_frames(page, 30)
    after = state(page)
    assert after["session"] == before["session"]
    assert after["chunk"] > before["chunk"] > 0
    assert after["frameOnScreen"] > before["frameOnScreen"]
    assert after["sourceBufferErrors"] == 0
    assert page.locator("#panel").is_hidden()
    page.keyboard.down("w")
    page.wait_for_function("window.worldplay.latencies.length > 0")
    with page.expect_download() as saving:  # the page does not know how the walk began, but the server does
        page.keyboard.press("j")
    path = json.loads(Path(saving.value.path()).read_text())
    assert len(path["poses"]) > 4 * after["chunk"]
    wait_notice(page, "Your path is in walk.json")


def test_kept_walk_is_opened_from_the_menu_and_by_a_link(servers: Servers, page: Page) -> None:
    address = servers.start()
    walk(page, address)
    wait_frames(page, 60)
    page.keyboard.press("b")
    wait_notice(page, "This place is kept")
    page.keyboard.press("u")
    wait_frames(page, 20)
    open_menu(page)
    page.wait_for_selector("#kept-list li")
    page.click("#kept-list .open")
    wait_state(page, "walking")
    wait_frames(page, 20)
    kept = state(page)["chunk"]
    assert kept >= 3
    id = page.evaluate(
        "fetch('api/snapshots/', {headers: {'X-Walk-Key': localStorage.getItem('worldplay.walk-key')}})"
        ".then((answer) => answer.json()).then(({snapshots}) => snapshots[0].id)"
    )
    page.goto(f"http://{address}/w/{id}")
    wait_state(page, "walking")
    wait_frames(page, 20)
    assert page.evaluate("location.hash") == ""
