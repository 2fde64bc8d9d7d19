"""How soon there is a picture: for a client that comes back, and for one that rewinds."""

import signal
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from fault_bench.server import RESUME_S, FaultServer
from fault_bench.walker import Walker
from worldplay.client.visit import Visit
from worldplay.protocol import messages as m

MOST_RESUME_MS = 300.0  # from the open socket to the first frame
MOST_REWIND_MS = 200.0  # beyond the time that a chunk plays
CHUNK_MS = 1000.0 * 16 / 24
REWIND_EVERY_S, REWOUND_CHUNKS = 2.5, 2
AWAY_S = 0.3
AFTER_END_S = RESUME_S + 1.0  # then a walk whose client is away is no longer in memory
LEAST_CHUNKS = 4  # before the first rewind


def resume_times(folder: Path, is_short: bool) -> str:
    """A client comes back: to its session, to its walk in the store, and to another server."""
    server, walker = FaultServer(folder), Walker("")
    walker.url = server.url
    walker.connect()
    walker.start(seed=2)
    walker.walk(2.0 if is_short else 20.0)
    few, many = (2, 3) if is_short else (5, 20)
    at_once = [_come_back(walker, AWAY_S) for _ in range(many)]
    stored = [_come_back(walker, AFTER_END_S) for _ in range(few)]
    restarted = []
    for _ in range(1 if is_short else 3):
        walker.walk(2.5)  # until it is saved
        server.stop(signal.SIGKILL)
        server = FaultServer(folder)
        walker.url = server.url
        restarted.append(_come_back(walker, 0.0))
    server.stop()
    times = {"session": at_once, "store": stored, "another server": restarted}
    said = "; ".join(f"{name}: {_describe(each)}" for name, each in times.items())
    return said if max(at_once + stored + restarted) <= MOST_RESUME_MS else f"FAILED: {said}"


def _come_back(walker: Walker, away_s: float) -> float:
    """Lose the connection, and come back. Returns: ms from the open socket to the first frame."""
    walker.lose()
    time.sleep(away_s)
    if not walker.connect():
        raise RuntimeError("the walk did not go on")
    walker.receive_type("media")
    took_ms = 1000.0 * (time.monotonic() - walker.opened_s)
    walker.walk(0.5)
    return took_ms


class RewindingVisit(Visit):
    """Walks in real time, rewinds again and again, and notes how long the new video took."""

    def __init__(self) -> None:
        super().__init__(seed=2)
        self.took_ms: list[float] = []
        self._next_s: float | None = None
        self._sent_s: float | None = None  # when it rewound, until the first new frame
        self._is_rewound = False

    def take(self, message: m.ServerMessage, now_s: float) -> None:
        super().take(message, now_s)
        self._is_rewound |= isinstance(message, m.State) and message.what == "rewound"
        if self._is_rewound and self._sent_s is not None and isinstance(message, m.Media):
            self.took_ms.append(1000.0 * (now_s - self._sent_s))
            self._sent_s, self._is_rewound = None, False

    def answer(self, now_s: float) -> Iterator[m.ClientMessage]:
        yield from super().answer(now_s)
        if self._next_s is None and len(self.chunks) >= LEAST_CHUNKS:
            self._next_s = now_s
        if self._next_s is not None and now_s >= self._next_s and self._sent_s is None:
            self._next_s, self._sent_s = now_s + REWIND_EVERY_S, now_s
            yield m.Rewind(chunk=self.chunks[-1].chunk.index + 1 - REWOUND_CHUNKS)


def rewind_times(folder: Path, is_short: bool) -> str:
    """Somebody walks and rewinds again and again."""
    server, visit = FaultServer(folder), RewindingVisit()
    visit.walk(server.url, 10.0 if is_short else 60.0)
    server.stop()
    model_ms = statistics.median(each.model_ms for each in visit.chunks)
    said = f"{_describe(visit.took_ms)}; a chunk took {model_ms:.0f} ms and plays {CHUNK_MS:.0f} ms"
    is_soon = max(visit.took_ms, default=1e9) <= CHUNK_MS + MOST_REWIND_MS
    return said if is_soon and len(visit.took_ms) > 1 else f"FAILED: {said}"


def _describe(times_ms: list[float]) -> str:
    if not times_ms:
        return "never"
    return f"median {statistics.median(times_ms):.0f} ms, worst {max(times_ms):.0f} ms of {len(times_ms)}"
