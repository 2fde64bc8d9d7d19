"""Let many watch one walk on a server of its own, and print what it costs and what they see.

python scripts/watching.py [--watchers 50] [--seconds 15]

It measures a walk that nobody watches, one with so many watchers, and one with as many that read nothing.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import msgpack
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from fault_bench.clients import message, upgrade
from fault_bench.server import FaultServer
from worldplay.client.delivery import describe
from worldplay.client.visit import Visit
from worldplay.protocol import messages as m

ROOM = {"WORLDPLAY_MAX_WATCHERS": "500", "WORLDPLAY_MAX_WATCHERS_PER_WALK": "500", "WORLDPLAY_STORE": "none"}
WIDTHS = (-26, 16, 10, 16, 10, 12, 10)
HEAD = ("watchers", "first frame", "frames/s", "walker in time", "stalled", "event loop", "dropped")


class SharingVisit(Visit):
    """Walks in real time, and shares the walk as soon as it has a frame."""

    def __init__(self) -> None:
        super().__init__(seed=1)
        self.link = ""
        self.is_shared = threading.Event()
        self._has_asked = False

    def take(self, message: m.ServerMessage, now_s: float) -> None:
        super().take(message, now_s)
        if isinstance(message, m.Shared) and message.token is not None:
            self.link = message.token
            self.is_shared.set()

    def answer(self, now_s: float) -> Iterator[m.ClientMessage]:
        yield from super().answer(now_s)
        if self.arrivals_s and not self._has_asked:
            self._has_asked = True
            yield m.Share()


@dataclass
class Watched:
    """What those who watch have seen."""

    first_ms: list[float] = field(default_factory=list)  # from the open socket to the first frame
    num_frames: int = 0


async def watch_all(url: str, link: str, count: int, seconds: float) -> Watched:
    watched = Watched()
    await asyncio.gather(*(watch(url, link, seconds, watched) for _ in range(count)))
    return watched


async def watch(url: str, link: str, seconds: float, watched: Watched) -> None:
    async with connect(url, subprotocols=[Subprotocol(m.SUBPROTOCOL)], compression=None) as socket:
        opened_s, first_s = monotonic(), None
        await socket.send(msgpack.packb({"type": "hello", "protocol": 1, "watch": link}))
        while monotonic() < opened_s + seconds:
            data = await socket.recv()
            assert isinstance(data, bytes)
            if msgpack.unpackb(data)["type"] == "media":
                watched.num_frames += 1
                first_s = first_s or monotonic()
        watched.first_ms.append(1000.0 * ((first_s or monotonic()) - opened_s))


def loop_s(server: FaultServer) -> float:
    """Return the processor time of the server's event loop, which is its main thread."""
    pid = server.process.pid
    fields = Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def num_dropped(server: FaultServer) -> float:
    lines = server.get("/metrics").decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("worldplay_watch_frames_dropped"))


def measure(server: FaultServer, name: str, readers: int, stuck: int, seconds: float) -> str:
    """Walk for so long, with those who watch. Returns: a row of the table."""
    visit = SharingVisit()
    walking = threading.Thread(target=visit.walk, args=(server.url, 3600.0), daemon=True)
    walking.start()
    assert visit.is_shared.wait(60.0), "the walk was not shared"
    dropped = num_dropped(server)
    began_s, busy_s = monotonic(), loop_s(server)
    with ExitStack() as stack:
        for _ in range(stuck):
            socket = stack.enter_context(upgrade(server.address, receive_bytes=4096))
            socket.sendall(message("hello", protocol=1, watch=visit.link))
        if readers:
            watched = asyncio.run(watch_all(server.url, visit.link, readers, seconds))
        else:
            watched = Watched()
            walking.join(seconds)
        busy = (loop_s(server) - busy_s) / (monotonic() - began_s)
    visit.leave()
    walking.join(10.0)
    told, first_ms = describe(visit, None), watched.first_ms or [0.0]
    return align(
        name,
        f"{statistics.median(first_ms):.0f}, {max(first_ms):.0f} ms",
        f"{watched.num_frames / max(1, readers) / seconds:.1f}",
        f"{100 * (told.in_time or 0):.1f} %",
        f"{told.stalled_s:.2f} s",
        f"{100 * busy:.1f} %",
        f"{num_dropped(server) - dropped:.0f}",
    )


def align(*cells: str) -> str:
    return "".join(
        f"{cell:{'<' if width < 0 else '>'}{abs(width)}}" for cell, width in zip(cells, WIDTHS, strict=True)
    )


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    count = options.watchers
    with tempfile.TemporaryDirectory() as folder:
        server = FaultServer(Path(folder), **ROOM)
        try:
            measure(server, "warm up", 0, 0, 3.0)
            print(align(*HEAD))
            for name, readers, stuck in (
                ("nobody", 0, 0),
                ("1", 1, 0),
                (f"{count}", count, 0),
                (f"1, and {count} read nothing", 1, count),
            ):
                print(measure(server, name, readers, stuck, options.seconds), flush=True)
        finally:
            server.stop()
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--watchers", type=int, default=50, help="how many watch at once")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long each walk is watched")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
