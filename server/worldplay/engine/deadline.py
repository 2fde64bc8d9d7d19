"""Who runs next: earliest deadline first, each as late as it can be without making anyone late."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Job:
    """The next piece of work of one session."""

    session: int
    deadline_ms: float  # when its page runs dry
    latch_by_ms: float  # when its controls should be read; it must not happen much earlier either
    context_ms: float  # work before the latch
    tail_ms: float  # work after it
    served_ms: float  # when this session was served last: turns are taken among equals

    @property
    def begin_by_ms(self) -> float:
        return self.latch_by_ms - self.context_ms


@dataclass(frozen=True, slots=True)
class Run:
    """Work for this session now."""

    session: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before this time; None: before something happens."""

    until_ms: float | None


def decide(jobs: Sequence[Job], ready: int | None, now_ms: float) -> Run | Wait:
    """Choose what the worker does now.

    Args:
        jobs: at most one per session.
        ready: the session whose context pass is done and waits for its latch; running another one loses it.
    """
    if not jobs:
        return Wait(None)
    order = sorted(jobs, key=lambda job: (max(job.deadline_ms, now_ms), job.served_ms))
    first = order[0]
    due = next((job for job in order if _own_start(job, ready) <= now_ms), None)
    if due is not None and _fits_before(due, first, now_ms):
        return Run(due.session)
    start_ms = _latest_start(order, ready)
    if start_ms <= now_ms:
        return Run(first.session)
    return Wait(start_ms)


def _own_start(job: Job, ready: int | None) -> float:
    """When this job would start if it were alone."""
    return job.latch_by_ms if job.session == ready else job.begin_by_ms


def _fits_before(job: Job, first: Job, now_ms: float) -> bool:
    """Whether a job can be done before the first one must begin; its context, if ready, is then lost."""
    return job is first or now_ms + job.context_ms + job.tail_ms <= first.begin_by_ms


def _latest_start(order: Sequence[Job], ready: int | None) -> float:
    """When the first job must start so that every one is in time, done one after the other."""
    start_ms = float("inf")
    for job in reversed(order):
        latch_ms = min(job.latch_by_ms, start_ms - job.tail_ms)
        start_ms = latch_ms if job.session == ready else latch_ms - job.context_ms
    return start_ms
