"""Looks for the session whose newest chunk should be cut next."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from worldplay.engine.commands import walk_of
from worldplay.engine.cut_budget import CutBudget
from worldplay.engine.cuts import Cut, Cuttable, Refusal, plan_cut
from worldplay.engine.deadline import Run, Task, latest_start
from worldplay.engine.decode_queue import DecodeQueue
from worldplay.engine.pacing import Costs
from worldplay.engine.session import Session
from worldplay.engine.stats import Counters

MAX_BORROWED_MS = 10.0  # of a client's reserve, and at most a quarter of it; the next latent gives it back

Guard = Callable[[Session, Callable[[], None]], None]


@dataclass(frozen=True, slots=True)
class PlannedCut:
    """A cut that should begin at a time, and not much earlier: later it includes newer controls."""

    session: Session
    cut: Cut
    slack_ms: float = 0.0  # how much earlier it begins than it must, because times vary

    @property
    def begin_ms(self) -> float:
        return self.cut.begin_by_ms - self.slack_ms

    def goes_before(self, run: Run, tasks: Sequence[Task], now_ms: float) -> bool:
        """Return whether to wait for this cut rather than do `run` now.

        So it is if `run` would make the cut late, and is due now only because its client wants more buffered.
        """
        task = next(task for task in tasks if task.session == run.session)
        return task.wish_ms > 0 and now_ms + task.work_ms > self.cut.begin_by_ms


@dataclass(frozen=True, slots=True)
class MakeWay:
    """A cut would make another session's next chunk late, so that chunk is made at once, before the cut."""

    session: int  # whose chunk


class CutPlanner:
    """Compares new controls with what was generated for older ones. Worker thread only."""

    def __init__(self, costs: Costs, counters: Counters, guard: Guard) -> None:
        """`guard` does something for a session, and ends only this session if it fails."""
        self._costs = costs
        self._counters = counters
        self._guard = guard
        self._refused: dict[int, int] = {}  # by session: the newest seq for which a refusal was counted
        self._budgets: defaultdict[int, CutBudget] = defaultdict(CutBudget)  # by session

    def plan(
        self, sessions: Iterable[tuple[Session, DecodeQueue]], order: Sequence[Task], now_ms: float
    ) -> PlannedCut | MakeWay | None:
        """Return the next cut, if any, or what must be made before it.

        Args:
            order: the next chunk or command of each session, the first deadline first.
        """
        found: list[PlannedCut | MakeWay] = []
        for session, queue in sessions:
            self._guard(session, partial(self._consider, session, queue, order, now_ms, found))
        cuts = [each for each in found if isinstance(each, PlannedCut)]
        return begin_in_time(cuts) if cuts else next(iter(found), None)

    def _consider(
        self,
        session: Session,
        queue: DecodeQueue,
        order: Sequence[Task],
        now_ms: float,
        found: list[PlannedCut | MakeWay],
    ) -> None:
        """Add the session's next cut or what blocks it, or count why there is none."""
        seq = session.current_controls().news
        if seq is None or session.is_paused or not queue:
            return
        chunk = self._describe(session, queue, now_ms)
        cut = plan_cut(chunk, self._costs, latest_start(order, None, session.number), now_ms)
        if isinstance(cut, Cut):
            cut = self._check(session, queue, cut, now_ms)
        first = self._find_first(session, chunk, order, now_ms) if cut == "stall" else None
        if isinstance(cut, Cut):
            found.append(PlannedCut(session, cut, self._costs.cut_slack_ms))
        elif first is not None:
            found.append(MakeWay(first.session))
        else:
            self._refuse(session, seq, cut)

    def _check(self, session: Session, queue: DecodeQueue, cut: Cut, now_ms: float) -> Cut | Refusal:
        """Return a cut that is in time, unless it would change nothing or there were too many before it."""
        controls = session.current_controls()
        if not _differs(session, queue, cut.kept, now_ms):
            return "same"
        is_allowed = self._budgets[session.number].allows(
            cut.begin_by_ms, controls.latched_ms, is_look=controls.has_only_looks
        )
        return cut if is_allowed else "often"

    def count(self, session: Session, now_ms: float) -> None:
        """Note that a session's cut begins."""
        self._budgets[session.number].spend(now_ms)

    def _find_first(
        self, session: Session, chunk: Cuttable, order: Sequence[Task], now_ms: float
    ) -> Task | None:
        """Find another session's chunk to make before a cut, if both and the next chunk are then in time."""
        others = [task for task in order if task.session != session.number]
        own = [task for task in order if task.session == session.number]
        own_begin_ms = latest_start(own, None, session.number)
        if not others or not isinstance(plan_cut(chunk, self._costs, own_begin_ms, now_ms), Cut):
            return None
        first = others[0]
        cut_begin_ms = now_ms + first.context_ms + first.tail_ms
        end_ms = cut_begin_ms + self._costs.cut_ms(1, is_cached=False)
        return first if end_ms <= min(own_begin_ms, chunk.due_ms[-1]) else None

    def _describe(self, session: Session, queue: DecodeQueue, now_ms: float) -> Cuttable:
        newest = queue.newest
        assert newest is not None, "a queue without a chunk"
        due_ms, decode_ms = session.decode_due_ms(self._costs, now_ms), self._costs.decode_ms
        due_ms += min(MAX_BORROWED_MS, (session.underrun_ms(now_ms) - due_ms) / 4)
        first, delay_ms = queue.first_uncut, self._costs.decoding_delay_ms
        latents = range(first, newest.end)
        dues = [
            due_ms + queue.media_before_ms(k) - decode_ms - delay_ms(queue.num_before(k)) for k in latents
        ]
        return Cuttable(first, newest.end, dues, walk_of(session).holds_context)

    def _refuse(self, session: Session, seq: int, reason: Refusal) -> None:
        if self._refused.get(session.number) != seq:
            self._refused[session.number] = seq
            self._counters.refuse_cut(reason)

    def forget(self, session: Session) -> None:
        self._refused.pop(session.number, None)
        self._budgets.pop(session.number, None)


def begin_in_time(cuts: Sequence[PlannedCut]) -> PlannedCut:
    """Return the cut to make first. It begins so early that all are in time, one after the other."""
    order = sorted(cuts, key=lambda each: each.cut.begin_by_ms + each.cut.time_ms)
    begin_ms = math.inf
    for each in reversed(order):
        begin_ms = min(each.cut.begin_by_ms, begin_ms - each.cut.time_ms)
    return replace(order[0], cut=replace(order[0].cut, begin_by_ms=begin_ms))


def _differs(session: Session, queue: DecodeQueue, kept: int, now_ms: float) -> bool:
    """Return whether the newest controls lead elsewhere than the chunk's latents from `kept` on."""
    newest = queue.newest
    assert newest is not None, "a queue without a chunk"
    assert session.walk is not None, "a chunk without a walk"
    num_moves = newest.end - kept - (kept == 0 == newest.report.chunk.index)  # the very first latent has none
    return session.walk.differs(kept, session.current_controls().expect_again(num_moves, now_ms))
