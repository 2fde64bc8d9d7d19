"""One chunk on its way from controls to frames, stage by stage: it can be dropped between any two."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

from worldplay.engine.controls import ChunkSteering, Latch
from worldplay.engine.pacing import Costs, Stage, need_ms
from worldplay.engine.ports import ChunkReport, Frames, WalkPort
from worldplay.engine.session import Session
from worldplay.engine.stats import Counters

if TYPE_CHECKING:
    from worldplay.world.rollout import Chunk


class ChunkRun:
    """The chunk in the making. There is one at a time: the model's caches serve one. Worker thread only."""

    def __init__(
        self, session: Session, walk: WalkPort, fps: float, clock: Callable[[], float], counters: Counters
    ) -> None:
        self.session = session
        self._walk = walk
        self._fps = fps
        self._clock = clock
        self._counters = counters
        self._steering = ChunkSteering(session.current_controls(), clock)
        self._stages: Generator[object, None, Chunk] = walk.generate(self._steering)
        self._chunk: Chunk | None = None
        self._frames: Iterator[Frames] = iter(())
        self._has_context = False
        self._context_ms = 0.0
        self._decode_ms = 0.0
        self._media_ms = 0.0  # handed so far
        self._need_ms = 0.0

    @property
    def is_latched(self) -> bool:
        """Whether the controls were read: from then on the chunk is finished or cancelled, never put off."""
        return self._steering.latched is not None

    @property
    def next_stage(self) -> Stage:
        """What `advance` will do."""
        if self._chunk is not None:
            return "decode"
        return "step" if self._has_context else "context"

    def advance(self) -> bool:
        """Do one stage: a context pass, a denoising step, a latent's decoding. Returns whether it is all."""
        started_ms = self._clock()
        was_latched = self.is_latched
        if self._chunk is not None:
            return not self._decode_next(started_ms)
        try:
            next(self._stages)
        except StopIteration as stop:
            self._announce(stop.value)
        self._has_context = True
        if not self.is_latched:
            self._context_ms += self._clock() - started_ms
        elif not was_latched:
            self.session.mark_latched(started_ms)
        return False

    def close(self) -> None:
        """Drop the chunk; the walk does not know that it was begun, unless its frames were being decoded."""
        self._stages.close()

    def count(self, costs: Costs) -> None:
        """Learn from this chunk, now done, what the next ones will take."""
        assert self._chunk is not None, "counted before its end"
        latched = self._latched()
        costs.context.add(self._context_ms)
        costs.need.add(self._need_ms)
        costs.tail.add(self._clock() - latched.at_ms)
        self._counters.add_chunk({**self._chunk.timings_ms, "decode": self._decode_ms})

    def _latched(self) -> Latch:
        assert self._steering.latched is not None, "a chunk was made without reading its controls"
        return self._steering.latched

    def _announce(self, chunk: Chunk) -> None:
        """Report the chunk and turn to its frames."""
        latched = self._latched()
        self._chunk = chunk
        self._frames = self._walk.decode(chunk)
        self.session.listener.on_chunk(make_report(chunk, latched.seq, latched.at_ms))
        if chunk.bumped:
            self.session.listener.on_state("bump", {"chunk": chunk.index})

    def _decode_next(self, started_ms: float) -> bool:
        """Hand over the next latent's frames. Returns whether there were any."""
        frames = next(self._frames, None)
        if frames is None:
            return False
        assert self._chunk is not None, "decoded before its end"
        now_ms = self._clock()
        if not self._media_ms:
            self._counters.late_chunks += self.session.mark_made(self._walk.num_chunks, now_ms)
        self.session.mark_handed(len(frames) / self._fps, now_ms)
        self.session.listener.on_frames(self._chunk.index, frames, now_ms - started_ms, now_ms)
        self._counters.frames += len(frames)
        self._decode_ms += now_ms - started_ms
        self._need_ms = max(self._need_ms, need_ms(now_ms, self._latched().at_ms, self._media_ms))
        self._media_ms += len(frames) / self._fps * 1000.0
        return True


def make_report(chunk: Chunk, controls_seq: int | None, latched_at_ms: float) -> ChunkReport:
    """Say of a finished chunk what its receiver needs to know."""
    return ChunkReport(
        index=chunk.index,
        frames=chunk.num_frames,
        controls_seq=controls_seq,
        latched_at_ms=latched_at_ms,
        motions=chunk.motions,
        poses=chunk.poses,
        labels=chunk.labels,
        timings_ms=chunk.timings_ms,
    )
