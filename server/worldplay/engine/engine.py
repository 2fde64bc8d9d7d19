"""The engine: the thread that owns the model, and its interface for sessions and clips."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from threading import Event, Thread
from time import monotonic
from typing import Literal

from worldplay.engine.activity import SlotLimits
from worldplay.engine.admission import Admission
from worldplay.engine.clip_run import ClipJob, ClipListener, ClipRequest
from worldplay.engine.decoder import DecoderThread
from worldplay.engine.failures import REASONS
from worldplay.engine.pacing import LatchMode
from worldplay.engine.ports import Listener, WorldPort
from worldplay.engine.session import Session
from worldplay.engine.stats import EngineStats
from worldplay.engine.watchdog import Watchdog
from worldplay.engine.worker import Worker

logger = logging.getLogger(__name__)

TURN_CHECK_S = 0.5


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
        stage_timeout_s: float = math.inf,
        slot_limits: SlotLimits | None = None,
        times_real_time: float | None = None,
        *,
        decodes_beside: bool = False,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        """Make an engine.

        Args:
            stage_timeout_s: a stage that takes longer counts as hung.
            slot_limits: how long a client may keep its slot while others wait.
            times_real_time: how fast the world makes one walk's chunks; None if that was not measured.
            decodes_beside: decode on a thread of its own, beside the next chunk.
            prepare: what the worker thread does before all else, for libraries that plan anew in each thread.
        """
        self.times_real_time = times_real_time
        self.max_sessions = max_sessions
        self.latch = latch
        self._thread = Thread(target=self._work, name="worldplay-engine", daemon=True)
        self._prepare = prepare
        self._numbers = count(1)
        self._wake = Event()
        self._is_closing = False
        self._is_leaving = False
        self._watchdog, decoder_watchdog = Watchdog(stage_timeout_s), Watchdog(stage_timeout_s)
        self._watchdogs = (self._watchdog, decoder_watchdog)
        self._decoder: DecoderThread | None = None
        if decodes_beside:
            self._decoder = DecoderThread(monotonic_ms, self._wake.set, decoder_watchdog)
        admission = Admission(max_sessions, max_queued, slot_limits)
        self._worker = Worker(world, admission, monotonic_ms, latch, self._decoder)
        self._started_ms = monotonic_ms()

    def start(self) -> None:
        if self._decoder is not None:
            self._decoder.start()
        self._thread.start()

    def close(self, timeout_s: float = 10.0) -> bool:
        """Stop after the current stage. Sessions get no message. Returns: whether the thread has ended."""
        self._is_closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def stop_admission(self) -> None:
        """Take no more sessions, and end all clips. Sessions go on until they are closed."""
        self._is_leaving = True
        self._wake.set()

    @property
    def healthy(self) -> bool:
        """Return whether the engine takes sessions."""
        return self.is_live and not self._is_leaving

    @property
    def is_live(self) -> bool:
        """Return whether the worker thread runs, and no stage hangs."""
        is_hung = any(watchdog.is_hung for watchdog in self._watchdogs)
        return self._thread.is_alive() and not self._is_closing and not is_hung

    def tick(self) -> None:
        """Note that a second has passed, to notice stages that hang. One caller only."""
        for watchdog in self._watchdogs:
            watchdog.tick()

    def reserve(self, addresses: Mapping[str, str], seconds: float) -> None:
        """Let slots wait for sessions with these names and addresses. To be called before `start`."""
        assert len(addresses) <= self.max_sessions, addresses
        self._worker.admission.reserved.make(addresses, monotonic_ms() + seconds * 1000.0)

    def exchange_reserved(self, names: Iterable[str], others: Mapping[str, str]) -> None:
        """Let slots that wait for sessions with these names wait for others, as many as there are."""
        self._worker.admission.reserved.exchange(names, others)
        self._wake.set()

    @property
    def num_free(self) -> int:
        """Return how many more sessions may walk now."""
        return self._worker.admission.num_free

    def open(self, listener: Listener, media_s: float = 0.0, address: str = "", name: str = "") -> Session:
        """Open a session in a slot or in the queue. If both are full, the listener gets `busy`.

        Args:
            media_s: where the client's timeline begins.
            address: the client's.
            name: what a slot may be reserved under; empty for a session that had none before.
        """
        number = next(self._numbers)
        session = Session(number, listener, monotonic_ms, self._wake.set, media_s, address, name)
        if not self.healthy:
            session.close()
            if self.is_live:
                listener.on_error("busy", REASONS["stopped"], True)
            else:
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

    def place_of(self, session: Session) -> Literal["walking", "queued", "resting"]:
        """Return whether a session has a slot, waits for one, or rests without."""
        if self._worker.admission.has_slot(session.number):
            return "walking"
        return "resting" if session.number in self._worker.admission.resting else "queued"

    @property
    def is_full(self) -> bool:
        """Return whether a new session would be refused."""
        return not self._worker.has_room

    def eta_s(self, position: int) -> float | None:
        """Estimate the wait at a position in the queue (1 is next); None before any visit has ended."""
        return self._worker.admission.eta_s(position)

    def stats(self) -> EngineStats:
        """Return the current state and the totals so far."""
        return EngineStats(
            sessions=self._worker.admission.num_slots_taken,
            queued=self._worker.admission.num_queued,
            clips_queued=len(self._worker.clips),
            uptime_ms=monotonic_ms() - self._started_ms,
            counters=self._worker.counters,
        )

    def _rest_s(self, wait_ms: float | None) -> float | None:
        """Return how long the worker may rest. While somebody waits, it looks for slots that are not used."""
        if self._worker.admission.num_queued or len(self._worker.admission.reserved):
            return min(TURN_CHECK_S, math.inf if wait_ms is None else wait_ms / 1000.0)
        return None if wait_ms is None else wait_ms / 1000.0

    def _work(self) -> None:
        try:
            if self._prepare is not None:
                self._prepare()
            while not self._is_closing:
                self._wake.clear()
                if self._is_leaving:
                    self._worker.clips.end_all()
                with self._watchdog.watch():
                    wait_ms = self._worker.run_once()
                if wait_ms != 0.0:
                    self._wake.wait(self._rest_s(wait_ms))
        except Exception:  # the top of the thread: the engine itself failed, and serves nobody any more
            logger.exception("the engine has stopped")
            self._is_closing = True
            self._worker.end_all("internal")
        else:
            self._worker.end_all(None)
        if self._decoder is not None:
            self._decoder.close()
