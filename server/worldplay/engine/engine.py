"""The engine: one thread that owns the model, and the door through which sessions come to it."""

import logging
from itertools import count
from threading import Event, Thread
from time import monotonic

from worldplay.engine.admission import Admission
from worldplay.engine.clips import ClipJob, ClipListener, ClipRequest
from worldplay.engine.ports import Listener, WorldPort
from worldplay.engine.session import Session
from worldplay.engine.stats import EngineStats
from worldplay.engine.worker import Worker

logger = logging.getLogger(__name__)


def monotonic_ms() -> float:
    """The server's clock: every time that the engine reports or is told is this one."""
    return monotonic() * 1000.0


class Engine:
    """Runs sessions and clips until it is closed. Methods and properties may be used from any thread."""

    def __init__(self, world: WorldPort, max_sessions: int, max_queued: int) -> None:
        self.max_sessions = max_sessions
        self._worker = Worker(world, Admission(max_sessions, max_queued), monotonic_ms)
        self._thread = Thread(target=self._work, name="worldplay-engine", daemon=True)
        self._numbers = count(1)
        self._wake = Event()
        self._is_closing = False
        self._started_ms = monotonic_ms()

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout_s: float = 10.0) -> bool:
        """Stop after the present stage; sessions just fall silent. Returns whether the thread has ended."""
        self._is_closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def healthy(self) -> bool:
        """Whether the worker thread lives and takes sessions."""
        return self._thread.is_alive() and not self._is_closing

    def open(self, listener: Listener) -> Session:
        """Let a visitor in, to a place or to the queue; if both are full, the listener hears `busy`."""
        session = Session(next(self._numbers), listener, monotonic_ms, self._wake.set)
        if not self.healthy:
            session.close()
            listener.on_error("internal", "the engine has stopped", True)
            return session
        self._worker.arrivals.append(session)
        self._wake.set()
        return session

    def render(self, request: ClipRequest, listener: ClipListener) -> ClipJob:
        """Have a clip made after those that were asked for before; who calls this bounds how many wait."""
        job = ClipJob(request, listener, self._wake.set)
        if not self.healthy:
            listener.on_failed("stopped", "the engine has stopped")
            return job
        self._worker.clips.arrivals.append(job)
        self._wake.set()
        return job

    def stats(self) -> EngineStats:
        """What is going on and has gone on."""
        counters = self._worker.counters
        return EngineStats(
            sessions=self._worker.admission.num_seated,
            queued=self._worker.admission.num_queued,
            clips_queued=len(self._worker.clips),
            uptime_ms=monotonic_ms() - self._started_ms,
            chunk_median_ms=counters.chunk_median_ms,
            chunk_p95_ms=counters.chunk_p95_ms,
            chunks=counters.chunks,
            frames=counters.frames,
            late_chunks=counters.late_chunks,
            cancelled_chunks=counters.cancelled_chunks,
            speculation_hits=counters.speculation_hits,
            speculation_misses=counters.speculation_misses,
            walks_opened=counters.walks_opened,
            sessions_opened=counters.sessions_opened,
            sessions_ended=counters.sessions_ended,
            sessions_refused=counters.sessions_refused,
            clips=counters.clips,
            clips_cancelled=counters.clips_cancelled,
            failures=counters.failures,
            out_of_memory=counters.out_of_memory,
            busy_ms=counters.busy_ms,
            stage_ms=counters.stage_ms,
        )

    def _work(self) -> None:
        try:
            while not self._is_closing:
                self._wake.clear()
                wait_ms = self._worker.run_once()
                if wait_ms != 0.0:
                    self._wake.wait(None if wait_ms is None else wait_ms / 1000.0)
        except Exception:  # the top of the thread: a fault of the engine itself, after which nobody is served
            logger.exception("the engine has stopped")
            self._is_closing = True
            self._worker.end_all("internal")
        else:
            self._worker.end_all(None)
