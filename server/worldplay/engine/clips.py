"""Queues clips, and makes them in the time that live sessions leave, one stage at a time."""

import logging
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager

from worldplay.engine.clip_run import ClipJob, ClipRun, RefusedClipError
from worldplay.engine.failures import REASONS, code_of
from worldplay.engine.pacing import Costs
from worldplay.engine.ports import WorldPort
from worldplay.engine.stats import Counters

logger = logging.getLogger(__name__)

PATIENCE_MS = 10_000.0  # a stage waits this long for a gap that is surely long enough


class ClipQueue:
    """Clips in order of arrival; the first is in progress. Other threads may use only `arrivals`."""

    def __init__(
        self, world: WorldPort, clock: Callable[[], float], counters: Counters, costs: Costs
    ) -> None:
        self.arrivals: deque[ClipJob] = deque()  # appended to by any thread, which also bounds it
        self._world = world
        self._clock = clock
        self._counters = counters
        self._costs = costs
        self._waiting: list[ClipJob] = []
        self._run: ClipRun | None = None
        self._waits_since_ms = 0.0
        self._was_interrupted = False

    def __len__(self) -> int:
        return len(self.arrivals) + len(self._waiting) + (self._run is not None)

    def check_jobs(self) -> None:
        """Drop cancelled clips, and begin the next one if none is in progress."""
        if self._run is not None and self._run.job.is_cancelled:
            self._counters.clips_cancelled += 1
            self._run = None
        while self.arrivals:
            self._waiting.append(self.arrivals.popleft())
        waiting = [job for job in self._waiting if not job.is_cancelled]
        self._counters.clips_cancelled += len(self._waiting) - len(waiting)
        self._waiting = waiting
        if self._run is None and waiting:
            self._run = ClipRun(waiting.pop(0), self._world, self._clock)
            self._waits_since_ms = self._clock()
        if not self._may_go_on:
            self._waits_since_ms = self._clock()

    def interrupt(self) -> None:
        """Note that the model was used for something else."""
        self._was_interrupted = True

    def next_stage_ms(self) -> float | None:
        """Estimate the time of the next stage; None if no stage can run now.

        Sessions time every kind of stage, so even a clip's first stages have an estimate. One hiccup of the
        machine may raise it so much that no clip runs, and nothing is timed again. Therefore after
        PATIENCE_MS the shortest time is used.
        """
        if self._run is None or not self._run.may_go_on:
            return None
        estimate = self._costs.safe_ms if self._is_patient else self._costs.least_ms
        stage = self._run.next_stage
        expected_ms = estimate(stage)
        if stage == "step" and self._was_interrupted:
            expected_ms += estimate("context")
        return expected_ms

    @property
    def is_starving(self) -> bool:
        """Return whether the next stage has waited longer than PATIENCE_MS."""
        return self._may_go_on and not self._is_patient

    @property
    def _may_go_on(self) -> bool:
        return self._run is not None and self._run.may_go_on

    @property
    def _is_patient(self) -> bool:
        return self._clock() - self._waits_since_ms < PATIENCE_MS

    def advance(self, beside: Callable[[], AbstractContextManager[None]]) -> None:
        """Do the next stage. If it fails, only this clip ends.

        Args: beside: within it the stage is computed, and other threads may count.
        """
        assert self._run is not None, "nothing to advance"
        code = self._do_stage(self._run, beside)
        if code == "out_of_memory":
            self._world.free_memory()  # only here: before, the traceback still refers to the tensors

    def end_all(self) -> None:
        """End every clip and tell its receiver."""
        jobs = [*([self._run.job] if self._run else []), *self._waiting, *self.arrivals]
        self._waiting = []
        self.arrivals.clear()
        self._run = None
        for job in jobs:
            if not job.is_cancelled:
                _tell_reason(job, "stopped", REASONS["stopped"])

    def _do_stage(self, run: ClipRun, beside: Callable[[], AbstractContextManager[None]]) -> str | None:
        """Do the next stage. Returns: the code of the failure; None if it succeeded."""
        stage, was_interrupted, started_ms = run.next_stage, self._was_interrupted, self._clock()
        try:
            with beside():
                run.advance()
            if run.is_done:
                run.job.listener.on_finished()
        except RefusedClipError as refusal:
            return self._fail(run.job, "bad_request", str(refusal))
        except Exception as error:  # the top of the worker thread: any error ends only this clip
            logger.exception("a clip failed")
            return self._fail(run.job, code_of(error), REASONS[code_of(error)])
        self._waits_since_ms = self._clock()
        if stage in ("context", "step"):
            self._was_interrupted = False
        if stage != "step" or not was_interrupted:
            self._costs.count(stage, self._clock() - started_ms)
        if run.is_done:
            self._counters.clips += 1
            self._run = None
        return None

    def _fail(self, job: ClipJob, code: str, message: str) -> str:
        self._run = None
        self._counters.failures += code != "bad_request"
        self._counters.out_of_memory += code == "out_of_memory"
        _tell_reason(job, code, message)
        return code


def _tell_reason(job: ClipJob, code: str, message: str) -> None:
    try:
        job.listener.on_failed(code, message)
    except Exception:  # the receiver is gone; that must not stop the worker
        logger.exception("a clip's receiver could not be told: %s", code)
