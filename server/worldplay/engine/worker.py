"""The worker: checks all sessions, does one stage of work for one of them, and checks again."""

import logging
from collections import deque
from collections.abc import Callable
from functools import partial

from worldplay.engine.admission import Admission
from worldplay.engine.chunk_run import ChunkRun
from worldplay.engine.clips import ClipQueue
from worldplay.engine.deadline import Run, Task, Wait, decide
from worldplay.engine.failures import REASONS, code_of
from worldplay.engine.pacing import Costs
from worldplay.engine.ports import WalkPort, WorldPort
from worldplay.engine.session import Command, Open, Prompt, Rewind, Session
from worldplay.engine.stats import Counters
from worldplay.world.steering import WalkRequest

logger = logging.getLogger(__name__)


class _RefusedError(Exception):
    """A client's request is not possible. Its session continues unchanged."""


class Worker:
    """Owns the model, the sessions, the chunk in progress, and the clips.

    Other threads may use only `arrivals` and `clips.arrivals`.
    """

    def __init__(self, world: WorldPort, admission: Admission, clock: Callable[[], float]) -> None:
        self.arrivals: deque[Session] = deque()  # appended to by any thread
        self.admission = admission
        self.counters = Counters()
        self._world = world
        self._clock = clock
        self._costs = Costs()
        self.clips = ClipQueue(world, clock, self.counters, self._costs)
        self._sessions: dict[int, Session] = {}
        self._queue: list[int] = []  # as last told to those in it
        self._run: ChunkRun | None = None

    def run_once(self) -> float | None:
        """Do one piece of work. Returns: ms to sleep if nothing else happens; None: without limit."""
        started_ms = self._clock()
        self._check_sessions()
        decision = self._decide()
        if self._has_time_for_clip(decision):
            self._displace_run()
            self.clips.advance()
        elif isinstance(decision, Run):
            session = self._sessions[decision.session]
            self.clips.interrupt()
            self._guard(session, partial(self._work_for, session))
        else:
            return None if decision.until_ms is None else max(0.0, decision.until_ms - self._clock())
        self.counters.busy_ms += self._clock() - started_ms
        return 0.0

    def end_all(self, code: str | None) -> None:
        """End every session and clip. If a code is given, the sessions' clients get it as an error."""
        self.clips.end_all()
        self._seat_arrivals()
        for session in list(self._sessions.values()):
            self._end(session, code)

    # -- sessions that come and go

    def _check_sessions(self) -> None:
        """Handle what other threads requested since the last stage."""
        self._seat_arrivals()
        for session in list(self._sessions.values()):
            if session.is_closed:
                self._end(session, None)
        if self._run is not None and self._run.session.is_cancelling:
            self._cancel_run()
        for session in list(self._sessions.values()):
            self._guard(session, partial(self._answer, session))
        self._tell_queue()
        self.clips.check_jobs()

    def _seat_arrivals(self) -> None:
        while self.arrivals:
            session = self.arrivals.popleft()
            self._sessions[session.number] = session
            self.counters.sessions_opened += 1
            if not self.admission.enter(session.number, self._clock()):
                self.counters.sessions_refused += 1
                self._end(session, "busy")

    def _answer(self, session: Session) -> None:
        """Send the session's notices, but not during its chunk: no frame of it may follow `paused`."""
        if self._run is not None and self._run.session is session and self._run.is_latched:
            return
        for notice in session.take_notices():
            notice(session.listener)

    def _tell_queue(self) -> None:
        queue = self.admission.queue
        if queue == self._queue:
            return
        self._queue = queue
        for position, number in enumerate(queue, start=1):
            session = self._sessions[number]
            eta_s = self.admission.eta_s(position)
            self._guard(session, partial(session.listener.on_queued, position, eta_s))

    def _end(self, session: Session, code: str | None) -> None:
        """End a session, unless it has ended. If a code is given, its client gets it as an error."""
        if self._sessions.pop(session.number, None) is None:
            return
        if self._run is not None and self._run.session is session:
            self._cancel_run()
        session.close()
        session.walk = None
        self.admission.leave(session.number, self._clock())
        self.counters.sessions_ended += 1
        if code is not None:
            _tell_reason(session, code)

    # -- work

    def _decide(self) -> Run | Wait:
        if self._run is not None and self._run.is_latched:
            return Run(self._run.session.number)
        now_ms = self._clock()
        seated = (s for s in self._sessions.values() if self.admission.is_seated(s.number))
        tasks: list[Task] = [t for s in seated if (t := s.next_task(now_ms, self._costs)) is not None]
        return decide(tasks, None if self._run is None else self._run.session.number, now_ms)

    def _has_time_for_clip(self, decision: Run | Wait) -> bool:
        """Return whether a clip's next stage ends before any session needs the model or its caches.

        If the model is slower than real time, there is never a gap; then a starving clip gets a stage.
        """
        if isinstance(decision, Run):
            is_latched = self._run is not None and self._run.is_latched
            return not is_latched and self._sessions[decision.session].is_late and self.clips.is_starving
        wait, stage_ms = decision, self.clips.next_stage_ms()
        if stage_ms is None or wait.until_ms is None:
            return stage_ms is not None
        return self._run is None and self._clock() + stage_ms <= wait.until_ms

    def _work_for(self, session: Session) -> None:
        """Do one stage for a session: of the chunk in progress, of a command, or of a new chunk."""
        if self._run is not None and self._run.is_latched:
            self._advance(self._run)
        elif (command := session.take_command()) is not None:
            self._displace_run()
            self._handle_command(session, command)
        elif self._run is not None and self._run.session is session:
            self.counters.speculation_hits += 1
            self._advance(self._run)
        else:
            self._displace_run()
            assert session.walk is not None, "a session without a walk wanted a chunk"
            self._run = ChunkRun(session, session.walk, self._world.fps, self._clock, self.counters)
            self._advance(self._run)

    def _advance(self, run: ChunkRun) -> None:
        stage, started_ms = run.next_stage, self._clock()
        run.advance()
        self._costs.count(stage, self._clock() - started_ms)
        if run.is_done:
            run.count(self._costs)
            self._run = None

    def _displace_run(self) -> None:
        """Drop the chunk that waits for its latch, because other work is more urgent."""
        if self._run is not None:
            self.counters.speculation_misses += 1
            self._drop_run()

    def _cancel_run(self) -> None:
        self.counters.cancelled_chunks += 1
        self._drop_run()

    def _drop_run(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.close()

    def _handle_command(self, session: Session, command: Command) -> None:
        started_ms = self._clock()
        try:
            self._carry_out(session, command)
        except _RefusedError as refusal:
            session.listener.on_error("bad_request", str(refusal), False)
        session.mark_command_done()
        self._costs.command.add(self._clock() - started_ms)

    def _carry_out(self, session: Session, command: Command) -> None:
        match command:
            case Open(request):
                session.walk = self._open(request)
                session.mark_opened(self._clock())
                self.counters.walks_opened += 1
                session.listener.on_started(request.prompt or "", session.walk.taken_as)
            case Rewind(num_chunks, what):
                walk = _walk_of(session)
                if num_chunks > walk.num_chunks:
                    raise _RefusedError(f"expected one of {walk.num_chunks} chunks, got {num_chunks}")
                walk.truncate(num_chunks)
                session.listener.on_state(what, {"chunk": num_chunks})
            case Prompt(text):
                walk = _walk_of(session)
                walk.set_prompt(text)
                taken = {} if walk.taken_as is None else {"taken_as": walk.taken_as}
                session.listener.on_state("prompt", {"chunk": walk.num_chunks, "text": text, **taken})

    def _open(self, request: WalkRequest) -> WalkPort:
        started_ms = self._clock()
        try:
            walk = self._world.open_walk(request)
        except ValueError as error:
            raise _RefusedError(str(error)) from None
        self._costs.count("open", self._clock() - started_ms)
        return walk

    # -- failures

    def _guard(self, session: Session, action: Callable[[], None]) -> None:
        """Do something for a session. If it fails, this session ends and the others go on."""
        try:
            action()
        except Exception as error:  # the top of the worker thread: any error ends only this session
            logger.exception("session %d failed", session.number)
            code = code_of(error)
        else:
            return
        self.counters.failures += 1
        self._end(session, code)
        if code == "out_of_memory":
            self.counters.out_of_memory += 1
            self._world.free_memory()  # only here: before, the traceback still refers to the tensors


def _walk_of(session: Session) -> WalkPort:
    if session.walk is None:
        raise _RefusedError("expected a walk that was started, got none")
    return session.walk


def _tell_reason(session: Session, code: str) -> None:
    try:
        session.listener.on_error(code, REASONS[code], True)
    except Exception:  # the connection is gone; that must not stop the worker
        logger.exception("session %d could not be told: %s", session.number, code)
