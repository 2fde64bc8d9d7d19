"""Makes one chunk of a session, stage by stage. It can be dropped between any two stages."""

from collections.abc import Callable
from functools import partial

from worldplay.engine.controls import ChunkSteering
from worldplay.engine.cuts import Cut
from worldplay.engine.pacing import Costs, Stage
from worldplay.engine.ports import ChunkReport, WalkPort
from worldplay.engine.session import Session
from worldplay.world.chunk import Chunk


class ChunkRun:
    """A session's chunk in progress, or its rest after a cut, until its latents are generated.

    There is only one at a time, because chunks share the model's caches. Worker thread only.
    """

    def __init__(
        self, session: Session, walk: WalkPort, clock: Callable[[], float], cut: Cut | None = None
    ) -> None:
        self.session = session
        self.cut = cut
        self.chunk: Chunk | None = None  # once it is generated
        self._clock = clock
        self._was_cached = cut is not None and walk.holds_context
        self._begun_ms = clock()
        self._steering = ChunkSteering(session.current_controls(), clock, again=cut is not None)
        begin = walk.begin_chunk if cut is None else partial(walk.begin_cut, cut.kept)
        self._pending = begin(self._steering)
        self._context_ms = 0.0
        self._denoise_ms = 0.0

    @property
    def spent_ms(self) -> dict[str, float]:
        """Return the time spent so far, by stage, as a chunk's own timings name them."""
        return {"context": self._context_ms, "denoise": self._denoise_ms}

    @property
    def is_latched(self) -> bool:
        """Return whether the controls were read. From then on the chunk is finished or cancelled."""
        return self._steering.latched is not None

    @property
    def is_committed(self) -> bool:
        """Return whether no other chunk may displace this one. A cut is committed from its beginning."""
        return self.is_latched or self.cut is not None

    @property
    def next_stage(self) -> Stage:
        return self._pending.next_stage

    def end_ms(self, now_ms: float) -> float:
        """Estimate when a cut is generated."""
        assert self.cut is not None, "only a cut has an expected end"
        return max(now_ms, self._begun_ms + self.cut.time_ms)

    def advance(self) -> None:
        """Do one stage."""
        started_ms, was_latched = self._clock(), self.is_latched
        self.chunk = self._pending.advance()
        time_ms = self._clock() - started_ms
        if not self.is_latched:
            self._context_ms += time_ms
            return
        self._denoise_ms += time_ms
        if not was_latched:
            self.session.mark_latched(started_ms, is_new=self.cut is None)

    def close(self) -> None:
        """Drop the chunk."""
        self._pending.close()

    def give_up(self) -> None:
        """Drop the chunk, and give back the controls that it read."""
        self.close()
        self._steering.give_back()

    def report(self) -> ChunkReport:
        """Describe the chunk, which is generated."""
        assert self.chunk is not None, "reported before its end"
        assert self._steering.latched is not None, "a chunk was made without reading its controls"
        return ChunkReport(self.chunk, self._steering.latched)

    def count(self, costs: Costs) -> None:
        """Record what this generated chunk took, to predict the next ones."""
        report = self.report()
        num_latents = len(report.chunk.poses) - report.chunk.first_latent
        costs.count_generated(num_latents, self._clock() - report.latch.at_ms)
        if self.cut is None:
            was_encoded = report.chunk.timings_ms["context"] > 0  # otherwise an earlier attempt had
            if was_encoded and not report.chunk.relit:
                costs.context.add(self._context_ms)
        elif self._was_cached and self.cut.kept:
            costs.kept.add(self._context_ms)
