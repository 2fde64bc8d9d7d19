"""Looks for the session whose newest chunk should be cut next."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from worldplay.engine.cuts import SLACK_MS, Cut, Cuttable, Refusal, plan_cut
from worldplay.engine.decoding import DecodeQueue
from worldplay.engine.pacing import Costs
from worldplay.engine.session import Session
from worldplay.engine.stats import Counters

Guard = Callable[[Session, Callable[[], None]], None]


@dataclass(frozen=True, slots=True)
class PlannedCut:
    """A cut that should begin at a time, and not much earlier: later it includes newer controls."""

    session: Session
    cut: Cut

    @property
    def begin_ms(self) -> float:
        return self.cut.begin_by_ms - SLACK_MS


class CutPlanner:
    """Compares new controls with what was generated for older ones. Worker thread only."""

    def __init__(self, costs: Costs, counters: Counters, guard: Guard) -> None:
        """`guard` does something for a session, and ends only this session if it fails."""
        self._costs = costs
        self._counters = counters
        self._guard = guard
        self._refused: dict[int, int] = {}  # by session: the newest seq for which a refusal was counted

    def plan(
        self,
        sessions: Iterable[tuple[Session, DecodeQueue]],
        others_begin_ms: float,
        now_ms: float,
    ) -> PlannedCut | None:
        """Return the next cut, if any.

        Args:
            others_begin_ms: when the next chunk or command must begin.
        """
        planned: list[PlannedCut] = []
        for session, queue in sessions:
            consider = partial(self._consider, session, queue, others_begin_ms, now_ms, planned)
            self._guard(session, consider)
        return min(planned, key=lambda each: each.begin_ms, default=None)

    def _consider(
        self,
        session: Session,
        queue: DecodeQueue,
        others_begin_ms: float,
        now_ms: float,
        planned: list[PlannedCut],
    ) -> None:
        """Add the session's next cut, or count why there is none."""
        seq = session.current_controls().news
        if seq is None or session.is_paused or not queue:
            return
        chunk = self._describe(session, queue, now_ms)
        cut = plan_cut(chunk, self._costs, others_begin_ms, now_ms)
        if isinstance(cut, Cut) and not _differs(session, queue, cut.kept, now_ms):
            cut = "same"
        if isinstance(cut, Cut):
            planned.append(PlannedCut(session, cut))
        else:
            self._refuse(session, seq, cut)

    def _describe(self, session: Session, queue: DecodeQueue, now_ms: float) -> Cuttable:
        newest = queue.newest
        assert newest is not None, "a queue without a chunk"
        assert session.walk is not None, "a chunk without a walk"
        due_ms, decode_ms = session.decode_due_ms(self._costs, now_ms), self._costs.decode_ms
        first, delay_ms = queue.first_uncut, self._costs.decoding_delay_ms
        latents = range(first, newest.end)
        dues = [
            due_ms + queue.media_before_ms(k) - decode_ms - delay_ms(queue.num_before(k)) for k in latents
        ]
        return Cuttable(first, newest.end, dues, session.walk.has_context)

    def _refuse(self, session: Session, seq: int, reason: Refusal) -> None:
        if self._refused.get(session.number) != seq:
            self._refused[session.number] = seq
            self._counters.refuse_cut(reason)

    def forget(self, session: Session) -> None:
        self._refused.pop(session.number, None)


def _differs(session: Session, queue: DecodeQueue, kept: int, now_ms: float) -> bool:
    """Return whether the newest controls lead elsewhere than the chunk's latents from `kept` on."""
    newest = queue.newest
    assert newest is not None, "a queue without a chunk"
    assert session.walk is not None, "a chunk without a walk"
    num_moves = newest.end - kept - (kept == 0 == newest.report.chunk.index)  # the very first latent has none
    return session.walk.differs(kept, session.current_controls().expect_again(num_moves, now_ms))
