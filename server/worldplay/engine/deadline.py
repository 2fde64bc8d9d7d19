"""Chooses what runs next: earliest deadline first, each task as late as possible, none made late."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """The next piece of work of one session."""

    session: int
    deadline_ms: float  # when its client's buffer runs empty
    latch_by_ms: float  # when its controls should be read, and not much earlier
    context_ms: float  # work before the latch
    tail_ms: float  # work after it
    served_ms: float  # when this session was last served; decides between equal deadlines
    wish_ms: float = 0.0  # how much of `latch_by_ms` is only a wish: this much later it is still in time

    @property
    def begin_by_ms(self) -> float:
        return self.latch_by_ms - self.context_ms

    @property
    def work_ms(self) -> float:
        """Return how long it keeps the model from other work."""
        return self.context_ms + self.tail_ms


@dataclass(frozen=True, slots=True)
class Run:
    """Work for this session now."""

    session: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before this time; None: before something happens."""

    until_ms: float | None


def decide(tasks: Sequence[Task], ready: int | None, now_ms: float) -> Run | Wait:
    """Choose what the worker does now.

    Args:
        tasks: at most one per session.
        ready: the session whose context pass is done and waits for its latch; running another discards it.
    """
    if not tasks:
        return Wait(None)
    order = sorted(tasks, key=lambda task: (max(task.deadline_ms, now_ms), task.served_ms))
    first = order[0]
    due = next((task for task in order if _own_start(task, ready) <= now_ms), None)
    if due is not None and _fits_before(due, first, now_ms):
        return Run(due.session)
    start_ms = latest_start(order, ready, first.session)
    if start_ms <= now_ms:
        return Run(first.session)
    own_starts = (_own_start(task, ready) for task in order)
    return Wait(min([start_ms, *(own_ms for own_ms in own_starts if own_ms > now_ms)]))


def _own_start(task: Task, ready: int | None) -> float:
    """Return when this task would start if it were alone."""
    return task.latch_by_ms if task.session == ready else task.begin_by_ms


def _fits_before(task: Task, first: Task, now_ms: float) -> bool:
    """Return whether a task can be done before the first must begin, with its own context pass."""
    return task is first or now_ms + task.context_ms + task.tail_ms <= first.begin_by_ms


def latest_start(order: Sequence[Task], ready: int | None, wishing: int) -> float:
    """Return when the first task must start so that all are in time, one after the other.

    Args:
        order: tasks, the first one's deadline first.
        ready: as for `decide`.
        wishing: the session whose larger reserve is respected; the others count with what prevents a stall.
    """
    start_ms = float("inf")
    for task in reversed(order):
        own_ms = task.latch_by_ms + task.wish_ms * (task.session != wishing)
        latch_ms = min(own_ms, start_ms - task.tail_ms)
        start_ms = latch_ms if task.session == ready else latch_ms - task.context_ms
    return start_ms
