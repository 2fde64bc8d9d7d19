"""Carries out what a client asks for between chunks: another walk, a rewind, a prompt, a copy of the walk."""

from collections.abc import Callable, Mapping

from worldplay.engine.controls import Latch
from worldplay.engine.decode_queue import DecodeQueue
from worldplay.engine.pacing import Costs
from worldplay.engine.ports import ChunkReport, WalkPort, WorldPort
from worldplay.engine.session import Session
from worldplay.engine.session_commands import Command, Copy, Open, Prepare, Prompt, Rest, Rewind
from worldplay.engine.stats import Counters
from worldplay.world.chunk import Chunk
from worldplay.world.steering import WalkRequest


class RefusedError(Exception):
    """A client's request is not possible. Its session continues unchanged."""


def walk_of(session: Session) -> WalkPort:
    """Return a session's walk. Raises: RefusedError if there is none."""
    if session.walk is None:
        raise RefusedError("expected a walk that was started, got none")
    return session.walk


class Commands:
    """Carries out commands, one at a time. Worker thread only."""

    def __init__(
        self,
        world: WorldPort,
        clock: Callable[[], float],
        costs: Costs,
        counters: Counters,
        queues: Mapping[int, DecodeQueue],
    ) -> None:
        """`queues`: what is not decoded yet, by session; they come and go."""
        self._world = world
        self._clock = clock
        self._costs = costs
        self._counters = counters
        self._queues = queues

    def handle(self, session: Session, command: Command) -> None:
        """Carry out a command, or tell the client why not."""
        started_ms = self._clock()
        try:
            self._carry_out(session, command)
        except RefusedError as refusal:
            if isinstance(command, Open):
                session.mark_start_refused()
            session.listener.on_error("bad_request", str(refusal), False)
        session.mark_command_done()
        self._costs.command.add(self._clock() - started_ms)

    def _carry_out(self, session: Session, command: Command) -> None:
        match command:
            case Open(request, num_staying):
                self._open_walk(session, request, num_staying)
                return
            case Rewind(num_chunks, what):
                self._rewind(session, walk_of(session), num_chunks, what)
            case Prompt(text):
                _set_prompt(session, walk_of(session), text)
            case Copy(deliver):
                deliver(walk_of(session).snapshot())
                self._queues[session.number].make_final()
                return
            case Prepare():
                walk_of(session).prepare()
                return
            case Rest():
                if session.walk is not None:
                    session.listener.on_resting(session.walk)
                return
        session.listener.on_changed(walk_of(session))

    def _open_walk(self, session: Session, request: WalkRequest, num_staying: int | None) -> None:
        started_ms = self._clock()
        try:
            walk = self._world.open_walk(request)
        except ValueError as error:
            if session.walk is not None and num_staying is not None:
                self._rewind(session, session.walk, min(num_staying, session.walk.num_chunks), "rewound")
                session.listener.on_changed(session.walk)
            raise RefusedError(str(error)) from None
        self._costs.count("open", self._clock() - started_ms)
        self._queues[session.number].clear()  # not before: had the start been refused, they would be shown
        session.walk = walk
        session.mark_opened(self._clock())
        self._counters.walks_opened += 1
        session.listener.on_changed(walk)  # before the client hears of the walk
        session.listener.on_started(request.prompt or "", walk.taken_as)
        if (last := walk.show_last()) is not None:
            self._show(session, walk, last)

    def _rewind(self, session: Session, walk: WalkPort, num_chunks: int, what: str) -> None:
        if num_chunks > walk.num_chunks:
            raise RefusedError(f"expected one of {walk.num_chunks} chunks, got {num_chunks}")
        self._queues[session.number].clear()  # if its client is away, there may be some
        walk.truncate(num_chunks)
        session.listener.on_state(what, {"chunk": num_chunks})

    def _show(self, session: Session, walk: WalkPort, last: Chunk) -> None:
        """Show the last latent of a walk that goes on, before its next chunk is made."""
        queue = self._queues[session.number]
        queue.add(ChunkReport(last, Latch(None, self._clock())), walk)
        queue.decode_next()


def _set_prompt(session: Session, walk: WalkPort, text: str) -> None:
    walk.set_prompt(text)
    taken = {} if walk.taken_as is None else {"taken_as": walk.taken_as}
    session.listener.on_state("prompt", {"chunk": walk.num_chunks, "text": text, **taken})
