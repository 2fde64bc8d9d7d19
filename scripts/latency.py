"""Measure how long a key press takes to the screen, against any running server.

python scripts/latency.py --url http://127.0.0.1:8000/ --count 100 --json latency.json

A headless Chromium walks and presses keys at random moments. Each press is measured twice: by the page, as in
its HUD, and from the pixels on screen, which are compared with the decoded stream to tell which frame it is.
Use an otherwise idle machine. The exit code is 1 if the two figures do not agree within one display frame,
and 2 if nothing could be measured.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from key_to_screen.figures import Press, agreement, as_json, render, render_parts
from key_to_screen.frame_counter import Pixels, count_frames, decode
from key_to_screen.visit import (
    Pressed,
    Readings,
    UnmeasurableError,
    begin_walk,
    press_keys,
    take_readings,
    visiting,
)
from key_to_screen.wire import Wire

MAX_PRESSES = 200  # the page keeps the latest 512 latencies, of which each press makes two
MAX_HOLD_MS = 10_000.0
MAX_LIMIT_S = 86_400.0
BEYOND_MS = 1_000.0  # so much longer than the page says, the screen is searched
NUM_AROUND = 48  # frames before and after the one that is looked for


def main(arguments: list[str]) -> int:
    """Returns: the exit code."""
    options = parse(arguments)
    try:
        return measure(options)
    except UnmeasurableError as error:
        print(f"latency.py: {error}", file=sys.stderr)
        return 2


def measure(options: argparse.Namespace) -> int:
    """Returns: the exit code. Raises: UnmeasurableError if no press reaches the screen."""
    wire = Wire()
    with visiting(options.url, wire) as page:
        begin_walk(page)
        until_s = time.monotonic() + options.limit
        tried = list(press_keys(page, options.count, options.hold, until_s))
        readings = take_readings(page)
        state = page.evaluate("window.worldplay")
    pressed = [press for press in tried if press is not None]
    presses = read_pixels(pressed, readings, wire)
    if not presses:
        raise UnmeasurableError(f"expected presses that are seen, got none of {len(tried)}")
    agreed = agreement(presses, readings.display_frame_ms)
    print(render(presses, agreed))
    print(f"\n{len(tried) - len(presses)} presses were not seen, {state['stalls']} stalls")
    splits = [press.split for press in pressed if press.split is not None]
    if splits:
        print(render_parts(splits))
    if options.json is not None:
        counts = {"not_seen": len(tried) - len(presses), "stalls": state["stalls"]}
        counts |= {"latch": state.get("latch"), "splits": splits}
        options.json.write_text(json.dumps({**as_json(presses, agreed), **counts}, indent=1) + "\n")
    return 0 if agreed.holds else 1


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8000/", help="the page, with #token=... if needed")
    parser.add_argument("--count", type=int, default=100, help="number of presses [100]")
    parser.add_argument("--hold", type=float, default=250.0, help="how long each key is held, in ms [250]")
    parser.add_argument("--limit", type=float, default=300.0, help="most seconds of pressing [300]")
    parser.add_argument("--json", type=Path, help="write every press and the figures to this file")
    options = parser.parse_args(arguments)
    if not 1 <= options.count <= MAX_PRESSES:
        parser.error(f"expected --count of 1 to {MAX_PRESSES}, got {options.count}")
    if not 0 <= options.hold <= MAX_HOLD_MS:
        parser.error(f"expected --hold of 0 to {MAX_HOLD_MS:.0f} ms, got {options.hold}")
    if not 0 < options.limit <= MAX_LIMIT_S:
        parser.error(f"expected --limit of up to {MAX_LIMIT_S:.0f} seconds, got {options.limit}")
    if not is_page(options.url):
        parser.error(f"expected --url such as http://127.0.0.1:8000/, got {options.url!r}")
    if options.json is not None and (reason := why_unwritable(options.json)) is not None:
        parser.error(f"expected --json to be a file that can be written, got {options.json}: {reason}")
    return options


def is_page(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def why_unwritable(path: Path) -> str | None:
    """Open a file for writing, and leave it as it was. Returns: why that is not possible."""
    is_new = not path.exists()
    try:
        with path.open("a"):
            pass
    except OSError as error:
        return error.strerror
    if is_new:
        path.unlink()
    return None


def read_pixels(pressed: list[Pressed], readings: Readings, wire: Wire) -> list[Press]:
    """Find on screen the first frame that includes each press. What was never on screen is left out."""
    frames = decode(wire.init_segment, wire.fragments)
    found = [_find(press, readings, frames, wire.first_frame(press.seq)) for press in pressed]
    return [press for press in found if press is not None]


def _find(press: Pressed, readings: Readings, frames: Pixels, first: int | None) -> Press | None:
    assert first is not None, "the page measured a press that no chunk includes"
    until_ms = press.at_ms + press.page_ms + BEYOND_MS
    recent = np.flatnonzero((readings.at_ms >= press.at_ms) & (readings.at_ms < until_ms))
    if len(recent) == 0:
        return None
    start = max(0, first - NUM_AROUND)
    shown = start + count_frames(readings.pixels[recent], frames[start : first + NUM_AROUND])
    found = recent[shown >= first]
    if len(found) == 0:
        return None
    # What an animation frame reads is on screen from the next one on.
    earliest_ms = float(readings.before_ms[found[0]]) + 2 * readings.display_frame_ms
    latest_ms = float(readings.at_ms[found[0]]) + readings.display_frame_ms
    return Press(press.page_ms, min(earliest_ms, latest_ms) - press.at_ms, latest_ms - press.at_ms)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
