"""Walks in a headless Chromium and presses keys at random moments."""

import base64
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Error, Page, TimeoutError, WebSocket, sync_playwright

from key_to_screen.frame_counter import HEIGHT, WIDTH, Pixels
from key_to_screen.wire import Wire
from worldplay.wording import first_line

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
RECORDER = Path(__file__).with_name("recorder.js").read_text()
STATE = "window.worldplay"
KEYS = ("ArrowRight", "ArrowLeft")  # a turn is seen everywhere, and two of them lead back
SETTLE_MS = 4_000  # the server and the page adapt to each other
START_TIMEOUT_MS = 60_000
SHOWN_TIMEOUT_MS = 15_000  # a machine slower than real time lags by seconds
CHUNK_MS = 667

Times = NDArray[np.float64]


class UnmeasurableError(Exception):
    """There is nothing to measure, for a reason that the operator can mend."""


@dataclass(frozen=True, slots=True)
class Pressed:
    """A press that the page has measured. Times are of the page's clock."""

    seq: int
    at_ms: float
    page_ms: float
    split: dict[str, float] | None  # where the time went; None: the page does not say


@dataclass(frozen=True, slots=True)
class Readings:
    """The pixels on screen, whenever they changed. Times are of the animation frames that read them."""

    before_ms: Times  # of the reading before, which still found the picture before
    at_ms: Times
    pixels: Pixels  # [R, HEIGHT, WIDTH]
    display_frame_ms: float


@contextmanager
def visiting(url: str, wire: Wire) -> Iterator[Page]:
    """Open the page in a browser of its own. Raises: UnmeasurableError if there is no browser or no page."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        raise UnmeasurableError("expected a browser with H.264 in PATH: chromium or google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        # Playwright evaluates strings in the page, which its policy forbids.
        page = browser.new_page(bypass_csp=True)
        page.on("websocket", lambda socket: _listen(socket, wire))
        try:
            answer = page.goto(url)
        except Error as error:
            raise UnmeasurableError(f"expected a page at {url}, got: {first_line(error)}") from None
        if answer is not None and not answer.ok:
            raise UnmeasurableError(f"expected a page at {url}, got: HTTP {answer.status}")
        yield page
        browser.close()


def begin_walk(page: Page) -> None:
    """Walk from the default view, and record what is on screen.

    Raises: UnmeasurableError if no walk begins, or its picture is too small.
    """
    try:
        page.wait_for_function(f"{STATE}?.state === 'choosing'", timeout=START_TIMEOUT_MS)
        page.click("#walk")
        page.wait_for_function(f"{STATE}.state === 'walking'", timeout=START_TIMEOUT_MS)
    except TimeoutError:
        raise UnmeasurableError(f"expected a walk on {page.url} within a minute, got none") from None
    check_size(
        *page.evaluate("(video => [video.videoWidth, video.videoHeight])(document.querySelector('video'))")
    )
    page.evaluate(RECORDER, [WIDTH, HEIGHT])
    page.wait_for_timeout(SETTLE_MS)


def check_size(width: int, height: int) -> None:
    """Raises: UnmeasurableError if a picture is smaller than the part of it that is compared."""
    if width < WIDTH or height < HEIGHT:
        raise UnmeasurableError(f"expected a picture of at least {WIDTH}x{HEIGHT}, got {width}x{height}")


def press_keys(page: Page, count: int, hold_ms: float, until_s: float) -> Iterator[Pressed | None]:
    """Press at random moments of a chunk, until a monotonic time. Yields: None for a press never seen."""
    for number in range(count):
        if time.monotonic() > until_s:
            return
        page.wait_for_timeout(random.uniform(0, CHUNK_MS))
        yield _press(page, KEYS[number % len(KEYS)], hold_ms)


def take_readings(page: Page) -> Readings:
    recorded: dict[str, Any] = page.evaluate("window.recorded")
    before_ms, at_ms, encoded = zip(*recorded["readings"], strict=True)
    raw = [np.frombuffer(base64.b64decode(each), np.uint8).reshape(HEIGHT, WIDTH) for each in encoded]
    interval_ms = float(np.median(recorded["intervals"]))
    return Readings(np.array(before_ms), np.array(at_ms), np.stack(raw), interval_ms)


def _listen(socket: WebSocket, wire: Wire) -> None:
    socket.on("framereceived", wire.receive)


def _press(page: Page, key: str, hold_ms: float) -> Pressed | None:
    num_before = len(page.evaluate(f"{STATE}.latencies"))
    page.keyboard.down(key)
    seq: int = page.evaluate(f"{STATE}.seq")
    page.wait_for_timeout(hold_ms)
    page.keyboard.up(key)
    try:  # the release is measured as well, after the press
        page.wait_for_function(f"{STATE}.latencies.length >= {num_before + 2}", timeout=SHOWN_TIMEOUT_MS)
    except TimeoutError:
        return None
    page_ms, at_ms = page.evaluate(f"[{STATE}.latencies[{num_before}], window.recorded.pressed.at(-1)]")
    # The first latencies may have no parts, so these are counted from the end. An older page has none.
    split = page.evaluate(f"{STATE}.latencySplits?.at({num_before} - {STATE}.latencies.length)")
    return Pressed(seq, at_ms, page_ms, split)
