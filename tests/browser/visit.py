"""What tests do on the page: come to a server, walk, and wait for what `window.worldplay` tells."""

from typing import Any

from playwright.sync_api import Page

from support.scripted import ScriptedServer

STATE = "window.worldplay"


def state(page: Page) -> Any:
    return page.evaluate(STATE)


def wait_state(page: Page, name: str) -> None:
    page.wait_for_function(f"{STATE}?.state === '{name}'")


def come(page: Page, address: str) -> None:
    page.goto(f"http://{address}/")
    wait_state(page, "choosing")


def walk(page: Page, address: str) -> None:
    come(page, address)
    page.click("#walk")
    wait_state(page, "walking")


def walk_far(page: Page, script: ScriptedServer, seconds: float) -> None:
    """Walk, and leave so much of the video behind at once, as if it had been played."""
    usual_s, script.ahead_s = script.ahead_s, seconds
    walk(page, script.address)
    page.wait_for_function(f"video.buffered.length > 0 && video.buffered.end(0) > {seconds}")
    script.ahead_s = usual_s
    page.evaluate(f"video.currentTime = {seconds - usual_s}")
    wait_new_frames(page)


def wait_frames(page: Page, count: int) -> None:
    """Until a frame is on screen that comes so much later than the one there now."""
    wanted = (state(page)["frameOnScreen"] or 0) + count
    page.wait_for_function(f"{STATE}.frameOnScreen >= {wanted}")


def wait_new_frames(page: Page) -> None:
    """Until several frames are on screen that the page does not have yet."""
    wanted = state(page)["framesReceived"] + 3
    page.wait_for_function(f"{STATE}.frameOnScreen >= {wanted}")


def wait_notice(page: Page, words: str) -> None:
    page.wait_for_selector(f"#notice.visible >> text={words}")


def open_menu(page: Page) -> None:
    page.click("#bar [data-command=Escape]")
    page.wait_for_selector("#panel:not([hidden])")
