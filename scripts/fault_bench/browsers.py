"""A real browser with the page, which stands still for a while."""

import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, TimeoutError

from fault_bench.clients import Player, start_walking
from fault_bench.processes import browser_processes, stand_still
from fault_bench.server import FaultServer
from key_to_screen.visit import START_TIMEOUT_MS, STATE, UnmeasurableError, visiting
from key_to_screen.wire import Wire

STILL_S, SHORT_STILL_S = 60.0, 4.0
WALKED_CHUNKS = 8


def sigstop_of_a_browser(folder: Path, is_short: bool) -> str:
    """All processes of a browser are stopped, longer than the server keeps their walk in memory."""
    server = FaultServer(folder)
    player = start_walking(server.url, 600)
    try:
        with visiting(f"http://{server.address}/", Wire()) as page:
            said = _stop(page, SHORT_STILL_S if is_short else STILL_S, player)
        said += f"; resumed {server.metric_sum('worldplay_resumes_total'):.0f}x"
    except UnmeasurableError as error:
        said = f"skipped: {error}"
    except TimeoutError:
        said = "FAILED: the page shows no walk"
    finally:
        player.leave()
        server.stop()
    return f"FAILED: the other walker: {player.ended}" if player.ended else said


def _stop(page: Page, seconds: float, player: Player) -> str:
    page.wait_for_function(f"{STATE}?.state === 'choosing'", timeout=START_TIMEOUT_MS)
    page.click("#walk")
    page.wait_for_function(f"{STATE}.chunk >= {WALKED_CHUNKS}", timeout=START_TIMEOUT_MS)
    before: dict[str, Any] = page.evaluate(STATE)
    stalled_s = player.visitor.player.stalled_s
    stand_still(browser_processes(), seconds)
    began_s, stalled_s = time.monotonic(), player.visitor.player.stalled_s - stalled_s
    page.wait_for_function(f"{STATE}.framesShown > {before['framesShown'] + 1}", timeout=START_TIMEOUT_MS)
    shown_s = time.monotonic() - began_s
    # More than was on its way to the browser before it was stopped.
    page.wait_for_function(f"{STATE}.chunk >= {before['chunk'] + WALKED_CHUNKS}", timeout=START_TIMEOUT_MS)
    on_s = time.monotonic() - began_s
    after: dict[str, Any] = page.evaluate(STATE)
    goes_on = after["session"] == before["session"] and after["sourceBufferErrors"] == 0
    num_more = after["chunk"] - before["chunk"]
    said = f"a new frame after {shown_s:.1f} s, {num_more} more chunks after {on_s:.1f} s"
    shown = f"the other walker stalled for {stalled_s:.2f} s meanwhile"
    return f"its walk went on: {said}; {shown}" if goes_on else f"FAILED: {said}; {after['lastError']}"
