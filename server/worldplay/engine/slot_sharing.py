"""Gives unused slots to sessions that wait, and tells every session its position in the queue."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from worldplay.engine.activity import Reason
from worldplay.engine.admission import Admission
from worldplay.engine.session import Session

TELL_WAIT_EVERY_MS = 5000.0  # while the position stays


@dataclass(frozen=True, slots=True)
class _Told:
    """What a session in the queue was told, and when."""

    position: int
    since_ms: float  # it has this position
    at_ms: float


class SlotSharing:
    """Passes slots on between sessions. Worker thread only."""

    def __init__(
        self,
        admission: Admission,
        sessions: Mapping[int, Session],
        is_busy: Callable[[Session], bool],
        guard: Callable[[Session, Callable[[], None]], None],
        end: Callable[[Session, str], None],
    ) -> None:
        """Share slots between these sessions, which come and go.

        Args:
            is_busy: whether the worker is in the middle of a session's chunk.
            guard: does something for a session, and ends it if that fails.
            end: ends a session with a code.
        """
        self._admission = admission
        self._sessions = sessions
        self._is_busy = is_busy
        self._guard = guard
        self._end = end
        self._told: dict[int, _Told] = {}  # by the numbers of those in the queue
        self._holders: set[int] = set()

    def check(self, now_ms: float) -> None:
        """Give sessions that wait the slots of sessions that do nothing."""
        self._admission.check_reserved(now_ms)
        self._wake(now_ms)
        self._note_slots(now_ms)  # first: who has just got a slot may have waited for long
        if self._admission.num_waiting:
            self._collect(now_ms)
        else:
            for session in self._sessions.values():
                session.is_held = False
                session.activity.forget_question()
        surplus = self._admission.surplus
        if surplus is not None:
            self._end(self._sessions[surplus], "busy")
        self._note_slots(now_ms)
        self._tell_queue(now_ms)

    def _wake(self, now_ms: float) -> None:
        """Put sessions that do something again at the end of the queue."""
        for number, since_ms in list(self._admission.resting.items()):
            if self._sessions[number].activity.input_ms > since_ms:
                self._admission.wake(number)

    def _collect(self, now_ms: float) -> None:
        limits = self._admission.limits
        holders = [s for s in self._sessions.values() if self._admission.has_slot(s.number)]
        for session in holders:
            if session.activity.ask(limits, now_ms):
                self._guard(session, partial(session.listener.on_state, "idle", {}))
        holders = [s for s in holders if s.number in self._sessions]  # those that could be asked
        reasons = [(session, session.activity.find_reason(limits, now_ms)) for session in holders]
        unused = [(session, reason) for session, reason in reasons if reason is not None]
        crowding = self._admission.find_crowding()
        if crowding is not None and all(session.number != crowding for session, _ in unused):
            unused.append((self._sessions[crowding], "turn"))
        given = unused[: self._admission.num_waiting]
        for session in holders:  # one that does something again goes on
            session.is_held = any(session is each for each, _ in given)
        for session, reason in given:
            if not self._is_busy(session):
                self._admission.yield_slot(session.number, now_ms, rests=reason != "turn")
                self._holders.discard(session.number)  # it may get it back at once
                self._guard(session, partial(_rest, session, reason))

    def _note_slots(self, now_ms: float) -> None:
        holders = {number for number in self._sessions if self._admission.has_slot(number)}
        for number in holders - self._holders:
            session = self._sessions[number]
            session.mark_slot(now_ms)
            self._guard(session, session.listener.on_slot)
        self._holders = holders

    def _tell_queue(self, now_ms: float) -> None:
        """Tell those whose position is another one, and the others now and then how long they wait."""
        before, self._told = self._told, {}
        for position, number in enumerate(self._admission.queue, start=1):
            session, told = self._sessions[number], before.get(number)
            eta_s = self._admission.eta_s(position)
            if told is None or told.position != position:
                told = _Told(position, now_ms, now_ms)
                self._guard(session, partial(session.listener.on_queued, position, eta_s))
            elif now_ms >= told.at_ms + TELL_WAIT_EVERY_MS:
                told = replace(told, at_ms=now_ms)
                waited_s = (now_ms - told.since_ms) / 1000.0
                self._guard(session, partial(session.listener.on_still_queued, position, eta_s, waited_s))
            self._told[number] = told


def _rest(session: Session, reason: Reason) -> None:
    """Tell a client that its session has lost its slot, and release the memory that goes with one."""
    session.lacks_slot = True
    if session.walk is not None:
        session.walk.release()
    session.listener.on_state("yielded", {"text": reason})
