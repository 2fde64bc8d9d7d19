"""Makes one chunk, from controls to frames. It can be dropped between any two stages."""

from collections.abc import Callable, Iterator

from worldplay.engine.controls import ChunkSteering, Latch
from worldplay.engine.pacing import Costs, Stage, needed_ms
from worldplay.engine.ports import ChunkReport, Frames, WalkPort
from worldplay.engine.session import Session
from worldplay.engine.stats import Counters
from worldplay.world.chunk import Chunk
from worldplay.world.steering import Steering


class ChunkStages:
    """The stages of a chunk: its context pass, its denoising steps, and the decoding of each latent."""

    def __init__(self, walk: WalkPort, steering: Steering) -> None:
        self.chunk: Chunk | None = None  # once it is generated
        self._walk = walk
        self._pending = walk.begin_chunk(steering)
        self._frames: Iterator[Frames] = iter(())
        self._num_undecoded = 0

    @property
    def next_stage(self) -> Stage:
        """Return what `advance` will do."""
        return self._pending.next_stage if self.chunk is None else "decode"

    @property
    def is_done(self) -> bool:
        return self.chunk is not None and self._num_undecoded == 0

    def advance(self) -> Frames | None:
        """Do the next stage. Returns: the frames of a latent if one was decoded."""
        if self.chunk is not None:
            self._num_undecoded -= 1
            return next(self._frames)
        self.chunk = self._pending.advance()
        if self.chunk is not None:
            self._frames = self._walk.decode(self.chunk)
            self._num_undecoded = len(self.chunk.poses)
        return None

    def close(self) -> None:
        """Drop the chunk. The walk is unchanged, unless the chunk was already generated."""
        self._pending.close()


class ChunkRun:
    """A session's chunk in progress. There is only one at a time, because chunks share the model's caches.

    Worker thread only.
    """

    def __init__(
        self, session: Session, walk: WalkPort, fps: float, clock: Callable[[], float], counters: Counters
    ) -> None:
        self.session = session
        self._walk = walk
        self._fps = fps
        self._clock = clock
        self._counters = counters
        self._steering = ChunkSteering(session.current_controls(), clock)
        self._stages = ChunkStages(walk, self._steering)
        self._context_ms = 0.0
        self._decode_ms = 0.0
        self._media_ms = 0.0  # handed over so far
        self._needed_ms = 0.0

    @property
    def is_latched(self) -> bool:
        """Return whether the controls were read. From then on the chunk is finished or cancelled."""
        return self._steering.latched is not None

    @property
    def is_done(self) -> bool:
        return self._stages.is_done

    @property
    def next_stage(self) -> Stage:
        return self._stages.next_stage

    def advance(self) -> None:
        """Do one stage."""
        started_ms, was_latched, was_generated = self._clock(), self.is_latched, self._chunk is not None
        frames = self._stages.advance()
        if frames is not None:
            self._hand_over(frames, started_ms)
        elif self._chunk is not None and not was_generated:
            self._report(self._chunk)
        if not self.is_latched:
            self._context_ms += self._clock() - started_ms
        elif not was_latched:
            self.session.mark_latched(started_ms)

    def close(self) -> None:
        """Drop the chunk."""
        self._stages.close()

    def count(self, costs: Costs) -> None:
        """Record what this finished chunk took, to predict the next ones."""
        assert self._chunk is not None, "counted before its end"
        costs.context.add(self._context_ms)
        costs.needed.add(self._needed_ms)
        costs.tail.add(self._clock() - self._latch.at_ms)
        self._counters.add_chunk({**self._chunk.timings_ms, "decode": self._decode_ms})

    @property
    def _chunk(self) -> Chunk | None:
        return self._stages.chunk

    @property
    def _latch(self) -> Latch:
        assert self._steering.latched is not None, "a chunk was made without reading its controls"
        return self._steering.latched

    def _report(self, chunk: Chunk) -> None:
        self.session.listener.on_chunk(ChunkReport(chunk, self._latch))
        if chunk.bumped:
            self.session.listener.on_state("bump", {"chunk": chunk.index})

    def _hand_over(self, frames: Frames, started_ms: float) -> None:
        """Give the frames of a latent to the listener."""
        assert self._chunk is not None, "decoded before it was generated"
        now_ms = self._clock()
        if not self._media_ms:
            self._counters.late_chunks += self.session.mark_made(self._walk.num_chunks, now_ms)
        self.session.mark_handed(len(frames) / self._fps, now_ms)
        self.session.listener.on_frames(frames, now_ms - started_ms, now_ms)
        self._counters.frames += len(frames)
        self._decode_ms += now_ms - started_ms
        self._needed_ms = max(self._needed_ms, needed_ms(now_ms, self._latch.at_ms, self._media_ms))
        self._media_ms += len(frames) / self._fps * 1000.0
