"""Starts a server, walks for minutes, and prints memory, its growth, latency, stalls and media time.

python scripts/soak.py --minutes 30 --visitors 1
"""

import argparse
import math
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic

from worldplay.client.delivery import describe
from worldplay.client.visit import Visit
from worldplay.protocol import messages as m


class ResettingVisit(Visit):
    """A visitor that begins its walk again now and then."""

    def __init__(self, reset_every_s: float) -> None:
        super().__init__()
        self._reset_every_s = reset_every_s
        self._next_reset_s = monotonic() + reset_every_s

    def answer(self, now_s: float) -> Iterator[m.ClientMessage]:
        yield from super().answer(now_s)
        if now_s > self._next_reset_s:
            self._next_reset_s = now_s + self._reset_every_s
            yield m.Reset()


def summarise(visit: Visit) -> str:
    """Say what one visitor got."""
    got = describe(visit, None)
    if got.first_frame_s is None:
        return "got no frame"
    text = f"first frame {got.first_frame_s:.2f} s, {got.frames} frames, {got.stalled_s:.1f} s stalled"
    if got.key_to_fragment_ms is None:
        return f"{text}, no key press was included in a chunk"
    keys = len(visit.latencies_ms)
    return f"{text}, key to fragment {got.key_to_fragment_ms.median:.0f} ms (median of {keys})"


def compare_times(visit: Visit) -> str:
    """Compare how much media one visitor got with how much time has passed."""
    media_s, passed_s = visit.player.arrived_s, visit.arrivals_s[-1] - visit.arrivals_s[0]
    ahead_s = media_s + visit.player.stalled_s - passed_s
    return f"{media_s:.1f} s of media in {passed_s:.1f} s, {ahead_s:+.2f} s but for stalls"


def describe_growth(memory_mb: Sequence[float]) -> str:
    """Describe how memory, measured every minute, grows in the second half: the first is for warming up."""
    half = memory_mb[len(memory_mb) // 2 :]
    if len(half) < 2:
        return "too short to tell how memory grows"
    slope = statistics.linear_regression(range(len(half)), half).slope
    return f"memory grows by {10 * slope:+.2f} MB in 10 minutes, over the last {len(half)} minutes"


def resident_mb(process: int) -> float:
    """Return a process's resident memory in MB, from /proc."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no VmRSS for process {process}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--visitors", type=int, default=1)
    parser.add_argument(
        "--reset-minutes",
        type=float,
        default=math.inf,
        help="begin the walk again so often: its latents take memory, 14 MB in 10 minutes",
    )
    parser.add_argument("--port", type=int, default=8765)
    options = parser.parse_args()
    command = [sys.executable, "-m", "worldplay", "serve", "--port", str(options.port)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        said = []
        for line in server.stderr:
            said.append(line)
            if "startup complete" in line:
                break
        else:
            sys.exit("the server did not start:\n" + "".join(said))
        threading.Thread(target=server.stderr.read, daemon=True).start()
        visitors = [ResettingVisit(60 * options.reset_minutes) for _ in range(options.visitors)]
        soak(server.pid, options.port, options.minutes, visitors)
    finally:
        server.terminate()
        server.wait(10)


def soak(process: int, port: int, minutes: float, visitors: Sequence[Visit]) -> None:
    url = f"ws://127.0.0.1:{port}"
    threads = [threading.Thread(target=visitor.walk, args=(url, 60 * minutes)) for visitor in visitors]
    for thread in threads:
        thread.start()
    print(f"{'minute':>6} {'MB':>8} {'frames':>8}")
    memory_mb: list[float] = []
    while any(thread.is_alive() for thread in threads):
        frames = sum(visitor.num_frames for visitor in visitors)
        print(f"{len(memory_mb):6d} {resident_mb(process):8.1f} {frames:8d}", flush=True)
        memory_mb.append(resident_mb(process))
        for thread in threads:
            thread.join(60 / len(threads))
    for visitor in visitors:
        print(f"{summarise(visitor)}; {compare_times(visitor)}")
    print(describe_growth(memory_mb))


if __name__ == "__main__":
    main()
