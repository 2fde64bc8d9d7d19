"""Clips made along a known trajectory: they get the time that live sessions leave, one stage at a time."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from worldplay.engine.chunk_run import make_report
from worldplay.engine.failures import code_of
from worldplay.engine.pacing import Costs, Stage
from worldplay.engine.ports import ChunkReport, Frames, WalkPort, WorldPort
from worldplay.engine.stats import Counters

if TYPE_CHECKING:
    from worldplay.world.request import WalkRequest
    from worldplay.world.rollout import Chunk, Steering

logger = logging.getLogger(__name__)

CHUNKS_AHEAD = 2  # made before the receiver has encoded any
PATIENCE_MS = 10_000.0  # for which a stage waits for a gap that it surely fits in
_REASONS = {
    "internal": "the server failed on this clip; its log says why",
    "out_of_memory": "the server ran out of memory for this clip",
    "stopped": "the server is stopping",
}


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """A walk to open and where it goes, for so many chunks."""

    walk: WalkRequest
    steering: Steering
    num_chunks: int


class ClipListener(Protocol):
    """Who receives a clip. Called on the worker thread, one call at a time; must return quickly."""

    def on_opened(self) -> None: ...

    def on_pass(self) -> None:
        """The network has been through a chunk's context, or through one of its denoising steps."""
        ...

    def on_chunk(self, report: ChunkReport) -> None: ...

    def on_frames(self, frames: Frames, decode_ms: float) -> None: ...

    def on_finished(self) -> None: ...

    def on_failed(self, code: str, message: str) -> None: ...


class ClipJob:
    """The receiver's handle on a clip. Any thread."""

    def __init__(self, request: ClipRequest, listener: ClipListener, wake: Callable[[], None]) -> None:
        self.request = request
        self.listener = listener
        self._wake = wake
        self._lock = Lock()
        self._allowed = CHUNKS_AHEAD
        self._is_cancelled = False

    def allow_chunk(self) -> None:
        """A chunk was encoded, so another may be made: raw frames must not pile up."""
        with self._lock:
            self._allowed += 1
        self._wake()

    def cancel(self) -> None:
        """Nobody wants it any more; after the call under way the listener hears nothing."""
        self._is_cancelled = True
        self._wake()

    @property
    def is_cancelled(self) -> bool:
        return self._is_cancelled

    @property
    def has_room(self) -> bool:
        return self._allowed > 0

    def use_room(self) -> None:
        with self._lock:
            self._allowed -= 1


class ClipQueue:
    """Clips in the order they came; the first is in the making. All but `arrivals` is for one thread.

    A clip keeps its place between any two stages of sessions' work. That work overwrites the model's caches,
    so the clip's next step then begins with another context pass.
    """

    def __init__(
        self, world: WorldPort, clock: Callable[[], float], counters: Counters, costs: Costs
    ) -> None:
        self.arrivals: deque[ClipJob] = deque()  # appended to by any thread, which also bounds it
        self._world = world
        self._clock = clock
        self._counters = counters
        self._costs = costs
        self._waiting: list[ClipJob] = []
        self._job: ClipJob | None = None
        self._work: Iterator[Stage] = iter(())
        self._stage: Stage | None = None  # the next
        self._waits_since_ms = 0.0
        self._was_interrupted = False

    def __len__(self) -> int:
        return len(self.arrivals) + len(self._waiting) + (self._job is not None)

    def look_around(self) -> None:
        """Let go of clips that nobody wants any more, and turn to the next."""
        if self._job is not None and self._job.is_cancelled:
            self._counters.clips_cancelled += 1
            self._let_go()
        while self.arrivals:
            self._waiting.append(self.arrivals.popleft())
        waiting = [job for job in self._waiting if not job.is_cancelled]
        self._counters.clips_cancelled += len(self._waiting) - len(waiting)
        self._waiting = waiting
        if self._job is None and waiting:
            self._take(waiting.pop(0))
        if not self._may_go_on():
            self._waits_since_ms = self._clock()

    def interrupt(self) -> None:
        """The model was used for something else."""
        self._was_interrupted = True

    def next_stage_ms(self) -> float | None:
        """What the next stage is expected to take; None: there is none at present.

        Whoever walks has measured every kind of stage, so a clip's first ones are not a leap in the dark.
        A high estimate may come from one hiccup of the machine, and would keep clips from ever measuring
        again: after a while the lowest counts.
        """
        if self._stage is None or not self._may_go_on():
            return None
        estimate = self._costs.safe_ms if self._is_patient else self._costs.least_ms
        expected_ms = estimate(self._stage)
        if self._stage == "step" and self._was_interrupted:
            expected_ms += estimate("context")
        return expected_ms

    def starves(self) -> bool:
        """Whether no gap has been found for the next stage for so long that it is owed one."""
        return self._stage is not None and self._may_go_on() and not self._is_patient

    @property
    def _is_patient(self) -> bool:
        return self._clock() - self._waits_since_ms < PATIENCE_MS

    def advance(self) -> None:
        """Do the next stage. If it fails, that is the end of this clip alone."""
        assert self._job is not None, "nothing to advance"
        code = self._do_stage(self._job)
        if code == "out_of_memory":
            self._world.free_memory()  # only here, where the traceback no longer holds on to what failed

    def end_all(self) -> None:
        """Let go of every clip and say so."""
        waiting = [*self._waiting, *self.arrivals]
        self._waiting = []
        self.arrivals.clear()
        for job in [self._job, *waiting]:
            if job is not None and not job.is_cancelled:
                _tell_reason(job, "stopped", _REASONS["stopped"])
        self._let_go()

    def _may_go_on(self) -> bool:
        """Whether a clip is in the making, and its receiver has room for what comes next."""
        return self._job is not None and (self._stage != "context" or self._job.has_room)

    def _take(self, job: ClipJob) -> None:
        self._job = job
        self._work = self._stages_of(job)
        self._stage = next(self._work)
        self._waits_since_ms = self._clock()

    def _let_go(self) -> None:
        self._job, self._work, self._stage = None, iter(()), None

    def _do_stage(self, job: ClipJob) -> str | None:
        """Returns: why the clip failed, if it did."""
        stage, was_interrupted, started_ms = self._stage, self._was_interrupted, self._clock()
        assert stage is not None, "a clip without a next stage"
        try:
            self._stage = next(self._work, None)
            if self._stage is None:
                job.listener.on_finished()
        except _RefusedError as refusal:
            return self._fail(job, "bad_request", str(refusal))
        except Exception as error:  # the top of the worker thread: whatever it was, it was this clip's
            logger.exception("a clip failed")
            return self._fail(job, code_of(error), _REASONS[code_of(error)])
        self._waits_since_ms = self._clock()
        if stage in ("context", "step"):
            self._was_interrupted = False
        if stage != "step" or not was_interrupted:
            self._costs.count(stage, self._clock() - started_ms)
        if self._stage is None:
            self._counters.clips += 1
            self._let_go()
        return None

    def _fail(self, job: ClipJob, code: str, message: str) -> str:
        self._let_go()
        self._counters.failures += code != "bad_request"
        self._counters.out_of_memory += code == "out_of_memory"
        _tell_reason(job, code, message)
        return code

    def _stages_of(self, job: ClipJob) -> Iterator[Stage]:
        """Make a clip, saying before each stage what it is."""
        yield "open"
        walk = self._open(job.request.walk)
        job.listener.on_opened()
        for _ in range(job.request.num_chunks):
            yield "context"
            job.use_room()
            stages = walk.generate(job.request.steering)
            while (chunk := _advance(stages)) is None:
                job.listener.on_pass()
                yield "step"
            yield from self._hand_over(job, walk, chunk)

    def _hand_over(self, job: ClipJob, walk: WalkPort, chunk: Chunk) -> Iterator[Stage]:
        job.listener.on_chunk(make_report(chunk, None, self._clock()))
        yield "decode"
        started_ms = self._clock()
        for frames in walk.decode(chunk):
            job.listener.on_frames(frames, self._clock() - started_ms)
            yield "decode"
            started_ms = self._clock()

    def _open(self, request: WalkRequest) -> WalkPort:
        try:
            return self._world.open_walk(request)
        except ValueError as error:
            raise _RefusedError(str(error)) from None


class _RefusedError(Exception):
    """The clip cannot be made as it was asked for."""


def _advance(stages: Iterator[object]) -> Chunk | None:
    """Do one stage of a chunk. Returns: the chunk, after the last."""
    try:
        next(stages)
    except StopIteration as stop:
        chunk: Chunk = stop.value
        return chunk
    return None


def _tell_reason(job: ClipJob, code: str, message: str) -> None:
    try:
        job.listener.on_failed(code, message)
    except Exception:  # a receiver that cannot even be told is gone, and that must not stop the worker
        logger.exception("a clip's receiver could not be told: %s", code)
