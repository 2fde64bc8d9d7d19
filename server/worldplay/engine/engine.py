"""The engine: the thread that owns the model, and its interface for sessions and clips."""

import logging
from itertools import count
from threading import Event, Thread
from time import monotonic

from worldplay.engine.admission import Admission
from worldplay.engine.clip_run import ClipJob, ClipListener, ClipRequest
from worldplay.engine.pacing import LatchMode
from worldplay.engine.ports import Listener, WorldPort
from worldplay.engine.session import Session
from worldplay.engine.stats import EngineStats
from worldplay.engine.worker import Worker

logger = logging.getLogger(__name__)


def monotonic_ms() -> float:
    """Return the time of the server's clock; all times of the engine are of this clock."""
    return monotonic() * 1000.0


class Engine:
    """Runs sessions and clips until it is closed. Methods and properties may be used from any thread."""

    def __init__(
        self,
        world: WorldPort,
        max_sessions: int,
        max_queued: int,
        latch: LatchMode = "chunk",
        times_real_time: float | None = None,
    ) -> None:
        """Make an engine, which is not started.

        Args:
            times_real_time: how fast the world makes one walk's chunks; None if that was not measured.
        """
        self.times_real_time = times_real_time
        self.max_sessions = max_sessions
        self.latch = latch
        self._worker = Worker(world, Admission(max_sessions, max_queued), monotonic_ms, latch)
        self._thread = Thread(target=self._work, name="worldplay-engine", daemon=True)
        self._numbers = count(1)
        self._wake = Event()
        self._is_closing = False
        self._started_ms = monotonic_ms()

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout_s: float = 10.0) -> bool:
        """Stop after the current stage. Sessions get no message. Returns: whether the thread has ended."""
        self._is_closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def healthy(self) -> bool:
        """Return whether the worker thread runs and takes sessions."""
        return self._thread.is_alive() and not self._is_closing

    def open(self, listener: Listener, media_s: float = 0.0) -> Session:
        """Open a session in a slot or in the queue. If both are full, the listener gets `busy`.

        Args:
            media_s: where the client's timeline begins.
        """
        session = Session(next(self._numbers), listener, monotonic_ms, self._wake.set, media_s)
        if not self.healthy:
            session.close()
            listener.on_error("internal", "the engine has stopped", True)
            return session
        self._worker.arrivals.append(session)
        self._wake.set()
        return session

    def render(self, request: ClipRequest, listener: ClipListener) -> ClipJob:
        """Queue a clip. The caller must bound the queue."""
        job = ClipJob(request, listener, self._wake.set)
        if not self.healthy:
            listener.on_failed("stopped", "the engine has stopped")
            return job
        self._worker.clips.arrivals.append(job)
        self._wake.set()
        return job

    def stats(self) -> EngineStats:
        """Return the current state and the totals so far."""
        return EngineStats(
            sessions=self._worker.admission.num_seated,
            queued=self._worker.admission.num_queued,
            clips_queued=len(self._worker.clips),
            uptime_ms=monotonic_ms() - self._started_ms,
            counters=self._worker.counters,
        )

    def _work(self) -> None:
        try:
            while not self._is_closing:
                self._wake.clear()
                wait_ms = self._worker.run_once()
                if wait_ms != 0.0:
                    self._wake.wait(None if wait_ms is None else wait_ms / 1000.0)
        except Exception:  # the top of the thread: the engine itself failed, and serves nobody any more
            logger.exception("the engine has stopped")
            self._is_closing = True
            self._worker.end_all("internal")
        else:
            self._worker.end_all(None)
