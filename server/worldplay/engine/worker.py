"""The worker: checks all sessions, does one stage of work for one of them, and checks again."""

import logging
from collections import deque
from collections.abc import Callable
from functools import partial

from worldplay.engine.admission import Admission
from worldplay.engine.chunk_run import ChunkRun
from worldplay.engine.clips import ClipQueue
from worldplay.engine.commands import Commands, walk_of
from worldplay.engine.cut_planner import CutPlanner, MakeWay, PlannedCut
from worldplay.engine.cuts import Cut
from worldplay.engine.deadline import Run, Task, Wait, decide
from worldplay.engine.decode_planner import Decode, DecodePlanner
from worldplay.engine.decode_queue import DecodeQueue
from worldplay.engine.decoder import Decoder, DecoderThread
from worldplay.engine.failures import BUSY_BUT_KEPT, REASONS, code_of
from worldplay.engine.pacing import Costs, LatchMode
from worldplay.engine.ports import WorldPort
from worldplay.engine.session import Session
from worldplay.engine.slot_sharing import SlotSharing
from worldplay.engine.stats import Counters

logger = logging.getLogger(__name__)

MAX_STAGE_MS = 1000.0  # of a stage that was not timed yet


class Worker:
    """Owns the model, the sessions, the chunk in progress, and the clips.

    Other threads may use only `arrivals` and `clips.arrivals`. What the decoder thread does, it does with the
    decoder's lock.
    """

    def __init__(
        self,
        world: WorldPort,
        admission: Admission,
        clock: Callable[[], float],
        latch: LatchMode = "chunk",
        decoder: DecoderThread | None = None,
    ) -> None:
        """`decoder` decodes beside this thread; None: this thread decodes between its other stages."""
        self.arrivals: deque[Session] = deque()  # appended to by any thread
        self.admission = admission
        self.counters = Counters()
        self._world = world
        self._clock = clock
        self._decoder: Decoder = decoder or Decoder()
        self._costs = Costs(decodes_beside=self._decoder.is_beside)
        self.clips = ClipQueue(world, clock, self.counters, self._costs)
        self._undecoded: dict[int, DecodeQueue] = {}  # by session
        self._commands = Commands(world, clock, self._costs, self.counters, self._undecoded)
        self._sessions: dict[int, Session] = {}
        self._slots = SlotSharing(admission, self._sessions, self._is_in_chunk, self._guard, self._end)
        self._run: ChunkRun | None = None
        self._latch = latch
        self._planner = DecodePlanner(self._undecoded, self._costs, latch)
        self._cuts = CutPlanner(self._costs, self.counters, self._guard)
        if decoder is not None:
            decoder.choose = self._choose_beside

    def run_once(self) -> float | None:
        """Do one piece of work. Returns: ms to sleep if nothing else happens; None: without limit."""
        with self._decoder.lock:
            self._decoder.check()
            return self._check_and_work()

    def _check_and_work(self) -> float | None:
        started_ms = self._clock()
        self._check_sessions()
        decision = self._decide()
        if isinstance(decision, Wait | Run) and self._has_time_for_clip(decision):
            self._displace_run()
            self.clips.advance(self._decoder.beside)
        elif isinstance(decision, Wait):
            return None if decision.until_ms is None else max(0.0, decision.until_ms - self._clock())
        else:
            self._do(decision)
        self.counters.busy_ms += self._clock() - started_ms
        return 0.0

    def end_all(self, code: str | None) -> None:
        """End every session and clip. If a code is given, the sessions' clients get it as an error."""
        with self._decoder.lock:
            self.clips.end_all()
            self._admit_arrivals()
            for session in list(self._sessions.values()):
                self._end(session, code)

    # -- sessions that come and go

    def _check_sessions(self) -> None:
        """Handle what other threads requested since the last stage, and what the decoder could not do."""
        while self._decoder.failures:
            self._end_failed(*self._decoder.failures.popleft())
        self._end_closed()  # first: who has just left makes room
        self._admit_arrivals()
        self._end_closed()
        for session in self._sessions.values():
            if session.is_cancelling:
                self._cancel(session, session.num_staying)
        for session in list(self._sessions.values()):
            self._guard(session, partial(self._answer, session))
        self._slots.check(self._clock())
        self.clips.check_jobs()

    def _end_closed(self) -> None:
        for session in list(self._sessions.values()):
            if session.is_closed:
                self._end(session, None)

    def _admit_arrivals(self) -> None:
        while self.arrivals:
            session = self.arrivals.popleft()
            self._sessions[session.number] = session
            self._undecoded[session.number] = DecodeQueue(
                session, self._world.fps, self._clock, self._costs, self.counters
            )
            self.counters.sessions_opened += 1
            if not self.admission.has_room_for(session.name):
                self._make_room(session.address)
            if not self.admission.enter(session.number, self._clock(), session.address, session.name):
                self.counters.sessions_refused += 1
                self._end(session, "busy")

    def _make_room(self, address: str) -> None:
        """End a session whose client is away, or one of an address that fills the queue, for a new one."""
        away, crowding = self._find_away(), self.admission.find_crowding_waiter(address)
        if away is not None and away.close_if_away():
            self._end(away, None)  # its walk is saved
        elif crowding is not None:
            self._end(self._sessions[crowding], "busy")

    def _find_away(self) -> Session | None:
        """Find a session that has a slot or a place in the queue, and whose client is away."""
        resting, sessions = self.admission.resting, list(self._sessions.values())
        return next((each for each in sessions if each.is_away and each.number not in resting), None)

    @property
    def has_room(self) -> bool:
        """Return whether a new session finds a slot or a place in the queue. Any thread."""
        return not self.admission.is_full or self._find_away() is not None

    def _answer(self, session: Session) -> None:
        """Send the session's notices, but not during its chunk: no frame of it may follow `paused`."""
        is_finishing = session.is_paused and not session.lacks_slot and bool(self._undecoded[session.number])
        if is_finishing or self._is_generating(session):
            return
        for notice in session.take_notices():
            notice(session.listener)

    def _is_generating(self, session: Session) -> bool:
        """Return whether a chunk of this session has read its controls and is being made."""
        return self._run is not None and self._run.session is session and self._run.is_committed

    def _is_in_chunk(self, session: Session) -> bool:
        """Return whether a session's slot is in use. What a client that is away has not seen can wait."""
        queue = self._undecoded[session.number]
        return self._is_generating(session) or queue.is_in_hand or (bool(queue) and not session.is_away)

    def _end(self, session: Session, code: str | None) -> None:
        """End a session, unless it has ended. If a code is given, its client gets it as an error."""
        if self._sessions.pop(session.number, None) is None:
            return
        self._cancel(session)
        del self._undecoded[session.number]
        self._cuts.forget(session)
        session.close()
        _tell(session, partial(session.listener.on_ended, session.walk))
        session.walk = None
        self.admission.leave(session.number, self._clock())
        self.counters.sessions_ended += 1
        if code is not None:
            reason = BUSY_BUT_KEPT if code == "busy" and session.name else REASONS[code]
            _tell(session, partial(session.listener.on_error, code, reason, True))

    # -- work

    def _decide(self) -> Run | Decode | PlannedCut | Wait:
        """Choose what to do now. Decoding comes first if it cannot wait for the stage that would be next."""
        now_ms = self._clock()
        is_committed = self._run is not None and self._run.is_committed
        cut = None if is_committed else self._next_cut(now_ms)  # first: it ends the sessions that fail in it
        tasks = self._list_tasks(now_ms, with_decoding=True)
        if self._run is not None and is_committed:
            decision: Run | Wait = Run(self._run.session.number)
        else:
            decision = decide(tasks, None if self._run is None else self._run.session.number, now_ms)
        if isinstance(cut, MakeWay):
            decision = decision if isinstance(decision, Run) else Run(cut.session)
            cut = None
        if cut is not None and isinstance(decision, Run) and cut.goes_before(decision, tasks, now_ms):
            decision = Wait(None)
        decode = None if self._decoder.is_busy else self._planner.next(now_ms)
        stage_ms = self._expect_stage_ms() if isinstance(decision, Run) else 0.0
        if decode is not None and decode.begin_by_ms <= now_ms + stage_ms:
            return self._decode_or_finish(decode, now_ms)
        if cut is not None and cut.begin_ms <= now_ms:
            return cut
        return decision if isinstance(decision, Run) else _wait_for(decision, decode, cut)

    def _list_tasks(self, now_ms: float, *, with_decoding: bool) -> list[Task]:
        """List the next chunk or command of each session.

        Args:
            with_decoding: leave time to decode what is waiting before the next chunk's latch.
        """
        holders = [s for s in self._sessions.values() if self.admission.has_slot(s.number)]
        waiting = [(s, self._undecoded[s.number]) for s in holders]
        tasks = (
            s.next_task(now_ms, self._costs, queue.media_ms, with_decoding * queue.num_latents)
            for s, queue in waiting
        )
        return [task for task in tasks if task is not None]

    def _decode_or_finish(self, decode: Decode, now_ms: float) -> Run | Decode:
        """Decode, unless the latent is being made again and the new one will be ready before it is shown."""
        run = self._run
        if run is None or not self._planner.is_making_again(decode.session, run):
            return decode
        shown_ms = decode.session.underrun_ms(now_ms)
        if run.end_ms(now_ms) + self._costs.decode_ms <= shown_ms:
            return Run(run.session.number)
        return decode

    def _expect_stage_ms(self) -> float:
        """Estimate the stage that would be done next."""
        stage = "context" if self._run is None else self._run.next_stage
        return min(MAX_STAGE_MS, self._costs.safe_ms(stage))

    def _next_cut(self, now_ms: float) -> PlannedCut | MakeWay | None:
        if self._latch == "chunk":
            return None
        order = sorted(self._list_tasks(now_ms, with_decoding=False), key=lambda task: task.deadline_ms)
        sessions = [
            (s, self._undecoded[s.number])
            for s in self._sessions.values()
            if s.walk and not s.has_commands and not s.is_away and not s.lacks_slot
        ]
        cut = self._cuts.plan(sessions, order, now_ms)
        return None if isinstance(cut, MakeWay) and cut.session not in self._sessions else cut

    def _do(self, decision: Run | Decode | PlannedCut) -> None:
        match decision:
            case Run(session=number):
                session = self._sessions[number]
                self.clips.interrupt()
                self._guard(session, partial(self._work_for, session))
            case Decode(session=session):
                self._guard(session, partial(self._decode, session))
            case PlannedCut(session=session, cut=cut):
                self.clips.interrupt()
                self._displace_run()
                self._guard(session, partial(self._begin_cut, session, cut))

    def _decode(self, session: Session) -> None:
        if self._planner.is_making_again(session, self._run):
            self._give_up_cut()
        self._decoder.begin(self._undecoded[session.number])

    def _choose_beside(self) -> DecodeQueue | None:
        """Return the queue whose latent the decoder thread should go on with. On that thread."""
        now_ms = self._clock()
        decode = self._planner.next(now_ms)
        stage_ms = self._expect_stage_ms() if self._decoder.is_worker_computing else 0.0
        if decode is None or decode.begin_by_ms > now_ms + stage_ms:
            return None
        if self._planner.is_making_again(decode.session, self._run):
            return None  # the worker gives up the cut first, between two stages
        queue, num_staying = self._undecoded[decode.session.number], decode.session.num_staying
        return queue if num_staying is None or queue.next_chunk < num_staying else None

    def _begin_cut(self, session: Session, cut: Cut) -> None:
        self._cuts.count(session, self._clock())
        self._run = ChunkRun(session, walk_of(session), self._clock, cut)
        self._advance(self._run)

    def _give_up_cut(self) -> None:
        """Show the old latents after all, because the new ones come too late."""
        run, self._run = self._run, None
        assert run is not None, "expected a cut, got none"
        assert run.cut is not None, "expected a cut, got a chunk"
        run.give_up()
        num_latents = self._undecoded[run.session.number].num_from(run.cut.kept)
        self.counters.abandon_cut(run.spent_ms, num_latents)

    def _has_time_for_clip(self, decision: Run | Wait) -> bool:
        """Return whether a clip's next stage ends before any session needs the model or its caches.

        If the model is slower than real time, there is never a gap; then a starving clip gets a stage.
        """
        if isinstance(decision, Run):
            is_committed = self._run is not None and self._run.is_committed
            return not is_committed and self._sessions[decision.session].is_late and self.clips.is_starving
        wait, stage_ms = decision, self.clips.next_stage_ms()
        if stage_ms is None or wait.until_ms is None:
            return stage_ms is not None
        return self._run is None and self._clock() + stage_ms <= wait.until_ms

    def _work_for(self, session: Session) -> None:
        """Do one stage for a session: of the chunk in progress, of a command, or of a new chunk."""
        if self._run is not None and self._run.is_committed:
            self._advance(self._run)
        elif session.has_commands:
            self._displace_run()
            self._handle_command(session)
        elif self._run is not None and self._run.session is session:
            self.counters.speculation_hits += 1
            self._advance(self._run)
        else:
            self._displace_run()
            assert session.walk is not None, "a session without a walk wanted a chunk"
            self._run = ChunkRun(session, session.walk, self._clock)
            self._advance(self._run)

    def _handle_command(self, session: Session) -> None:
        """Carry out a session's next command, while nothing is decoded: it may change the decoder's state."""
        with self._decoder.at_rest():
            if self._decoder.failures:  # that comes first
                return
            command = session.take_command()
            if command is not None:
                self._commands.handle(session, command)

    def _advance(self, run: ChunkRun) -> None:
        stage, started_ms = run.next_stage, self._clock()
        with self._decoder.beside():
            run.advance()
        if run.cut is None or stage == "step":  # a cut mostly finds its context
            self._costs.count(stage, self._clock() - started_ms)
        if run.chunk is not None:
            run.count(self._costs)
            self._run = None
            self.counters.cuts += run.cut is not None
            walk = walk_of(run.session)
            self._undecoded[run.session.number].add(run.report(), walk)
            run.session.listener.on_changed(walk)

    def _displace_run(self) -> None:
        """Drop the chunk that waits for its latch, because other work is more urgent."""
        if self._run is not None:
            self.counters.speculation_misses += 1
            self._drop_run()

    def _cancel(self, session: Session, num_staying: int | None = 0) -> None:
        """Drop a session's chunk in progress, and undecoded latents after its first `num_staying` chunks."""
        is_running = self._run is not None and self._run.session is session
        is_dropping = self._undecoded[session.number].keep(num_staying)
        self.counters.cancelled_chunks += is_running or is_dropping
        if is_running:
            self._drop_run()

    def _drop_run(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            self.counters.add_stages(run.spent_ms)
            run.close()

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
        self._end_failed(session, code)

    def _end_failed(self, session: Session, code: str) -> None:
        if session.number not in self._sessions:  # it failed on both threads
            return
        self.counters.failures += 1
        self._end(session, code)
        if code == "out_of_memory":
            self.counters.out_of_memory += 1
            self._world.free_memory()  # only here: before, the traceback still refers to the tensors


def _wait_for(wait: Wait, decode: Decode | None, cut: PlannedCut | None) -> Wait:
    """Wait for what comes first: another task, a latent to decode, or a cut."""
    times = [
        wait.until_ms,
        None if decode is None else decode.begin_by_ms,
        None if cut is None else cut.begin_ms,
    ]
    return Wait(min((time for time in times if time is not None), default=None))


def _tell(session: Session, tell: Callable[[], None]) -> None:
    """Tell an ending session's listener something."""
    try:
        tell()
    except Exception:  # the connection is gone; that must not stop the worker
        logger.exception("session %d could not be told that it ends", session.number)
