"""Latents between generation and decoding: decoded one by one, just in time, or thrown away by a cut."""

from collections import deque
from collections.abc import Callable, Iterator

from worldplay.engine.pacing import Costs, needed_ms
from worldplay.engine.ports import ChunkReport, Frames, WalkPort
from worldplay.engine.session import Session
from worldplay.engine.stats import Counters
from worldplay.world.frames import FRAMES_PER_LATENT


class DecodingChunk:
    """The latents of one version of a chunk: as first generated, or as made again by a cut."""

    def __init__(self, report: ChunkReport, walk: WalkPort, now_ms: float) -> None:
        self.report = report
        self.next_latent = report.chunk.first_latent
        self.end = len(report.chunk.poses)
        self.frames = walk.decode_for_encoder(report.chunk)
        self.is_announced = False
        self.is_final = False  # no cut may change it
        self._generate_ms = now_ms - report.latch.at_ms
        self._decode_ms = 0.0
        self._needed_ms = 0.0
        self._media_ms = 0.0  # handed over so far

    @property
    def num_left(self) -> int:
        return self.end - self.next_latent

    @property
    def stages_ms(self) -> dict[str, float]:
        """Return the time spent on these latents by stage."""
        return {**self.report.chunk.timings_ms, "decode": self._decode_ms}

    def count_frames(self, end: int) -> int:
        """Count the video frames of the latents that are not decoded, up to number `end`."""
        has_first = self.report.chunk.index == 0 and self.next_latent == 0 < end
        return FRAMES_PER_LATENT * (end - self.next_latent) - (FRAMES_PER_LATENT - 1) * has_first

    def add_decoded(self, time_ms: float, media_ms: float) -> None:
        """Note that a latent was decoded in this time, for so much media."""
        self.next_latent += 1
        self._decode_ms += time_ms
        spent_ms = self._generate_ms + self._decode_ms
        self._needed_ms = max(self._needed_ms, needed_ms(spent_ms, self._media_ms))
        self._media_ms += media_ms

    def count(self, costs: Costs, counters: Counters) -> None:
        """Record what these latents took, when the last of them is decoded or thrown away."""
        chunk = self.report.chunk
        num_decoded = self.next_latent - chunk.first_latent
        is_new = chunk.first_latent == 0 and num_decoded > 0  # otherwise another version of it was counted
        counters.add_chunk(self.stages_ms, is_new=is_new)
        if chunk.first_latent:
            return
        costs.needed.add(self._needed_ms if num_decoded else self._generate_ms + costs.decode_ms)
        costs.count_tail(self._generate_ms, self._decode_ms, len(chunk.poses) - num_decoded)


class DecodeQueue:
    """The latents of one session that are not decoded yet, the next one first. With the decoder's lock.

    The next one may be in a decoder's hands. It counts as not decoded, but no cut can throw it away.
    """

    def __init__(
        self, session: Session, fps: float, clock: Callable[[], float], costs: Costs, counters: Counters
    ) -> None:
        self.session = session
        self._fps = fps
        self._clock = clock
        self._costs = costs
        self._counters = counters
        self._chunks: deque[DecodingChunk] = deque()
        self._in_hand: DecodingChunk | None = None  # whose next latent is being decoded
        self._num_announced = (-1, 0)  # the newest chunk that was announced, and how often

    def __bool__(self) -> bool:
        return bool(self._chunks)

    @property
    def is_in_hand(self) -> bool:
        """Return whether the next latent is being decoded, or could not be."""
        return self._in_hand is not None

    @property
    def first_uncut(self) -> int:
        """Return the number, in the newest chunk, of the first latent that a cut may throw away."""
        newest = self._chunks[-1]
        return newest.end if newest.is_final else newest.next_latent + (self._in_hand is newest)

    @property
    def num_latents(self) -> int:
        return sum(chunk.num_left for chunk in self._chunks)

    @property
    def newest(self) -> DecodingChunk | None:
        """Return the newest chunk if some of it is not decoded; only this one can be cut."""
        return self._chunks[-1] if self._chunks else None

    @property
    def media_ms(self) -> float:
        """Return how long these latents are shown."""
        return self._ms(sum(chunk.count_frames(chunk.end) for chunk in self._chunks))

    def media_before_ms(self, kept: int) -> float:
        """Return how long the latents before number `kept` of the newest chunk are shown."""
        newest = self._chunks[-1]
        return self.media_ms - self._ms(newest.count_frames(newest.end) - newest.count_frames(kept))

    def num_before(self, kept: int) -> int:
        """Count the latents before number `kept` of the newest chunk."""
        return self.num_latents - self.num_from(kept)

    def num_from(self, kept: int) -> int:
        """Count the latents of the newest chunk from number `kept` on."""
        return self._chunks[-1].end - kept

    def add(self, report: ChunkReport, walk: WalkPort) -> None:
        """Take a chunk that was just generated. After a cut it replaces the newest one's latents."""
        kept = report.chunk.first_latent
        newest = self.newest
        if newest is not None and newest.report.chunk.index == report.chunk.index:
            self._counters.latents_thrown_away += self.num_from(kept)
            newest.end = kept
            if newest.num_left == 0:
                self._chunks.pop().count(self._costs, self._counters)
        self._chunks.append(DecodingChunk(report, walk, self._clock()))

    @property
    def next_chunk(self) -> int:
        """Return the number of the chunk whose latent is next."""
        return self._chunks[0].report.chunk.index

    def make_final(self) -> None:
        """Let no cut change what was generated, because somebody keeps a copy of it."""
        for chunk in self._chunks:
            chunk.is_final = True

    def keep(self, num_chunks: int | None) -> bool:
        """Forget the latents after a walk's first `num_chunks` chunks; None: forget none.

        If one of them is being decoded, it is not delivered. The time that they took is counted.

        Returns: whether there were any.
        """
        if num_chunks is None:
            return False
        stay = deque(chunk for chunk in self._chunks if chunk.report.chunk.index < num_chunks)
        for chunk in self._chunks:
            if chunk not in stay:
                self._counters.add_stages(chunk.stages_ms)
        is_dropping = len(stay) < len(self._chunks)
        self._chunks = stay
        if self._in_hand not in stay:
            self._in_hand = None
        return is_dropping

    def clear(self) -> None:
        """Forget all latents, as `keep` does, and what was reported of them."""
        self.keep(0)
        self._num_announced = (-1, 0)

    def decode_next(self) -> None:
        """Decode the next latent and give its frames to the listener."""
        self._announce(self._chunks[0])
        started_ms = self._clock()
        self.finish(next(self.begin()), started_ms)

    def begin(self) -> Iterator[Frames]:
        """Put the next latent into a decoder's hands. Returns: an iterator that yields its frames next."""
        self._in_hand = self._chunks[0]
        return self._in_hand.frames

    def finish(self, frames: Frames, started_ms: float) -> None:
        """Give the decoded frames to the listener, unless the latents were forgotten meanwhile."""
        chunk = self._in_hand
        if chunk is None or self.session.is_closed:
            return
        now_ms = self._clock()
        self._announce(chunk)
        self._hand_over(chunk, frames, now_ms - started_ms, now_ms)
        self._in_hand = None
        chunk.add_decoded(now_ms - started_ms, self._ms(len(frames)))
        self._costs.count("decode", now_ms - started_ms)
        if chunk.num_left == 0:
            self._chunks.popleft().count(self._costs, self._counters)

    def _hand_over(self, chunk: DecodingChunk, frames: Frames, time_ms: float, now_ms: float) -> None:
        if chunk.next_latent == 0:
            late = self.session.mark_made(chunk.report.chunk.index + 1, now_ms)
            self._counters.late_chunks += late
        self.session.mark_handed(len(frames) / self._fps, now_ms)
        self.session.listener.on_frames(frames, time_ms, now_ms)
        self._counters.frames += len(frames)

    def _announce(self, chunk: DecodingChunk) -> None:
        """Report a chunk, once, before its frames."""
        if chunk.is_announced:
            return
        chunk.is_announced = True
        made = chunk.report.chunk
        index, count = self._num_announced
        revision = count if index == made.index and made.first_latent else 0
        self._num_announced = made.index, revision + 1
        self.session.listener.on_chunk(ChunkReport(made, chunk.report.latch, revision))
        if made.bumped:
            self.session.listener.on_state("bump", {"chunk": made.index})

    def _ms(self, num_frames: int) -> float:
        return num_frames / self._fps * 1000.0
