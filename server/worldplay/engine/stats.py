"""Counts the engine's work, for /health and /metrics."""

from dataclasses import dataclass, field

from worldplay.engine.pacing import RecentTimes


@dataclass(slots=True)
class Counters:
    """Totals since the start. Written with the decoder's lock held; any thread may read them."""

    chunks: int = 0
    frames: int = 0
    late_chunks: int = 0  # the client's buffer was empty before their first frame
    cancelled_chunks: int = 0
    cuts: int = 0  # of chunks whose rest was generated again
    cuts_abandoned: int = 0  # because the old latents were needed before the new ones were ready
    cuts_refused: dict[str, int] = field(default_factory=dict)  # by reason; replaced, never changed
    latents_thrown_away: int = 0  # generated, or begun by a cut that was given up, but never decoded
    speculation_hits: int = 0  # context passes that were ready when the controls were latched
    speculation_misses: int = 0  # context passes lost to other work
    walks_opened: int = 0
    sessions_opened: int = 0
    sessions_ended: int = 0
    sessions_refused: int = 0  # no free slot, and the queue was full
    clips: int = 0  # finished
    clips_cancelled: int = 0
    failures: int = 0  # sessions and clips that ended because of a server error
    out_of_memory: int = 0  # of these, those caused by lack of memory
    busy_ms: float = 0.0
    stage_ms: dict[str, float] = field(default_factory=dict)  # replaced, never changed: others read it
    chunk_median_ms: float = 0.0  # of the latest chunks, all stages together
    chunk_p95_ms: float = 0.0
    chunk_times: RecentTimes = field(default_factory=RecentTimes)

    def refuse_cut(self, reason: str) -> None:
        self.cuts_refused = self.cuts_refused | {reason: self.cuts_refused.get(reason, 0) + 1}

    def abandon_cut(self, stages_ms: dict[str, float], num_latents: int) -> None:
        """Count a cut that was given up, with the time spent on it and its latents."""
        self.cuts_abandoned += 1
        self.latents_thrown_away += num_latents
        self.add_stages(stages_ms)

    def add_stages(self, stages_ms: dict[str, float]) -> None:
        """Count time in ms at each stage, also of work that was thrown away."""
        self.stage_ms = self.stage_ms | {
            stage: self.stage_ms.get(stage, 0.0) + time_ms for stage, time_ms in stages_ms.items()
        }

    def add_chunk(self, stages_ms: dict[str, float], *, is_new: bool) -> None:
        """Count a chunk, or its rest after a cut, with its time in ms at each stage."""
        self.add_stages(stages_ms)
        if not is_new:
            return
        self.chunks += 1
        self.chunk_times.add(sum(stages_ms.values()))
        self.chunk_median_ms = self.chunk_times.median_ms
        self.chunk_p95_ms = self.chunk_times.p95_ms


@dataclass(frozen=True, slots=True)
class EngineStats:
    """The engine's current state, and the totals so far."""

    sessions: int
    queued: int
    clips_queued: int  # including the one in progress
    uptime_ms: float
    counters: Counters
