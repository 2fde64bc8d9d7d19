"""Makes one clip, from a request to frames, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from worldplay.engine.clip_chunk import ChunkStages
from worldplay.engine.controls import Latch
from worldplay.engine.pacing import Stage
from worldplay.engine.ports import ChunkReport, Frames, WalkPort, WorldPort
from worldplay.world.steering import Steering, WalkRequest

CHUNKS_AHEAD = 2  # made before the receiver has encoded any


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """A walk to open, where it goes, and for how many chunks."""

    walk: WalkRequest
    steering: Steering
    num_chunks: int
    cuts: Sequence[Sequence[int]] | None = None  # of each chunk: how many latents each of its cuts keeps
    prompts: Mapping[int, str] = field(default_factory=dict)  # from a chunk on; the walk has the first one

    def cuts_of(self, chunk: int) -> Sequence[int]:
        return () if self.cuts is None else self.cuts[chunk]


class ClipListener(Protocol):
    """Receives a clip. Called on the worker thread, one call at a time; must return quickly."""

    def on_opened(self) -> None: ...

    def on_pass(self) -> None:
        """The network has finished a pass: over a chunk's context, or one denoising step."""
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
        """Allow one more chunk, because one was encoded. Raw frames must not accumulate."""
        with self._lock:
            self._allowed += 1
        self._wake()

    def cancel(self) -> None:
        """Cancel the clip. After the current call the listener is not called again."""
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


class RefusedClipError(Exception):
    """The clip cannot be made as requested."""


class ClipRun:
    """The clip in progress. Worker thread only.

    If a session uses the model between two stages, it overwrites the caches. The clip's next denoising step
    then begins with another context pass.
    """

    def __init__(self, job: ClipJob, world: WorldPort, clock: Callable[[], float]) -> None:
        self.job = job
        self._world = world
        self._clock = clock
        self._walk: WalkPort | None = None
        self._stages: ChunkStages | None = None  # of the next chunk, or the one in progress
        self._has_begun_chunk = False
        self._num_left = job.request.num_chunks  # chunks that are not done

    @property
    def is_done(self) -> bool:
        return self._num_left == 0

    @property
    def may_go_on(self) -> bool:
        """Return whether the receiver has room for the result of the next stage."""
        return self._stages is None or self._has_begun_chunk or self.job.has_room

    @property
    def next_stage(self) -> Stage:
        """Return what `advance` will do."""
        return "open" if self._stages is None else self._stages.next_stage

    def advance(self) -> None:
        """Do one stage. Raises: RefusedClipError if there is no such walk."""
        if self._walk is None or self._stages is None:
            self._open()
        elif self._stages.chunk is None:
            self._generate(self._stages)
        else:
            self._decode(self._stages)

    def _open(self) -> None:
        try:
            self._walk = self._world.open_walk(self.job.request.walk)
        except ValueError as error:
            raise RefusedClipError(str(error)) from None
        self._stages = self._next_chunk(self._walk)
        self.job.listener.on_opened()

    def _generate(self, stages: ChunkStages) -> None:
        if not self._has_begun_chunk:
            self._has_begun_chunk = True
            self.job.use_room()
        stages.advance()
        self.job.listener.on_pass()
        if stages.chunk is not None:
            self.job.listener.on_chunk(ChunkReport(stages.chunk, Latch(None, self._clock())))

    def _decode(self, stages: ChunkStages) -> None:
        assert self._walk is not None, "a chunk without a walk"
        started_ms = self._clock()
        frames = stages.advance()
        assert frames is not None, "a latent without frames"
        self.job.listener.on_frames(frames, self._clock() - started_ms)
        if stages.is_done:
            self._num_left -= 1
            self._has_begun_chunk = False
            if not self.is_done:
                self._stages = self._next_chunk(self._walk)

    def _next_chunk(self, walk: WalkPort) -> ChunkStages:
        request = self.job.request
        chunk = request.num_chunks - self._num_left
        if chunk in request.prompts:
            walk.set_prompt(request.prompts[chunk])
        return ChunkStages(walk, request.steering, request.cuts_of(chunk))
