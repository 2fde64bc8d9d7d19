"""Decides how early to start a chunk: just early enough that its client's buffer does not run empty."""

import math
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Literal

MIN_MARGIN_MS = 50.0  # for a client that does not say what it wants to have buffered
MAX_BUFFERED_MS = 1333.0  # two chunks; if these do not prevent underruns, the server is too slow
MIN_CUT_SLACK_MS = 5.0
MAX_CUT_SLACK_MS = 50.0
CONTEXT_SLACK_MS = 20.0
MAX_SPREAD_MS = 150.0  # more reserve would be felt more than a rare stall
_NUM_STAGES = 256  # half a minute of one visitor's stages
_NUM_RECENT = 32  # 20 s of one visitor's chunks

LatchMode = Literal["latent", "chunk"]  # whether chunks are cut when controls change
Stage = Literal["open", "context", "step", "decode"]  # what the worker does in one go


class RecentTimes:
    """The latest few durations of something. Its numbers are 0 if nothing was measured yet."""

    def __init__(self, count: int = _NUM_RECENT) -> None:
        self._times_ms: deque[float] = deque(maxlen=count)
        # Kept, as they are read much more often than a time is added.
        self.least_ms = self.median_ms = self.p95_ms = self.p995_ms = 0.0

    def add(self, time_ms: float) -> None:
        self._times_ms.append(time_ms)
        ascending = sorted(self._times_ms)
        self.least_ms = ascending[0]
        self.median_ms = _rank(ascending, 0.5)
        self.p95_ms = _rank(ascending, 0.95)
        self.p995_ms = _rank(ascending, 0.995)

    def __bool__(self) -> bool:
        return bool(self._times_ms)

    @property
    def jitter_ms(self) -> float:
        return self.p95_ms - self.median_ms


def _rank(ascending: list[float], share: float) -> float:
    """Return the nearest rank."""
    return ascending[math.ceil(share * len(ascending)) - 1]


class AckDelays:
    """Recent delays of media on the way to a client, estimated from its playheads.

    If a playhead is the first to report some media, the media arrived between the previous playhead and this
    one; the middle is right on average. The jitter uses only the delay up to the previous playhead, which is
    certain. So the interval between playheads does not count as jitter.
    """

    def __init__(self) -> None:
        self._likely = RecentTimes()
        self._proven = RecentTimes()

    def add(self, handed_ms: float, lacked_ms: float, held_ms: float) -> None:
        """Add a delay: when media was handed over, last missing in a playhead, and first reported by one."""
        self._likely.add(max(0.0, (lacked_ms + held_ms) / 2 - handed_ms))
        self._proven.add(max(0.0, lacked_ms - handed_ms))

    @property
    def median_ms(self) -> float:
        return self._likely.median_ms

    @property
    def jitter_ms(self) -> float:
        return self._proven.jitter_ms


@dataclass(slots=True)
class Costs:
    """Recent durations of work on this machine, for all sessions and clips together."""

    decodes_beside: bool = False  # latents are decoded on another thread than all the rest
    # From the start of a chunk until it waits for its latch.
    context: RecentTimes = field(default_factory=RecentTimes)
    # Buffered media that a chunk's client needed at the latch to avoid an underrun.
    needed: RecentTimes = field(default_factory=RecentTimes)
    # From the latch to the last frame; to the last latent if these are decoded beside.
    tail: RecentTimes = field(default_factory=RecentTimes)
    command: RecentTimes = field(default_factory=RecentTimes)  # opening, rewinding, prompting
    # From the latch until so many latents are generated.
    generate: dict[int, RecentTimes] = field(default_factory=dict)
    kept: RecentTimes = field(default_factory=RecentTimes)  # encoding the latents that a cut keeps
    # By how much stages exceeded their median: of all, and of decoding.
    _excess: RecentTimes = field(default_factory=lambda: RecentTimes(_NUM_STAGES))
    _decode_excess: RecentTimes = field(default_factory=lambda: RecentTimes(_NUM_STAGES))
    _first_ms: dict[Stage, float] = field(default_factory=dict)
    _longest_open_ms: float = 0.0
    _stages: dict[Stage, RecentTimes] = field(default_factory=lambda: defaultdict(RecentTimes))

    def count(self, stage: Stage, time_ms: float) -> None:
        """Record a stage. Sessions and clips share the times: they use the same model at the same size."""
        if stage == "open":
            self._longest_open_ms = max(self._longest_open_ms, time_ms)
        if stage in self._first_ms:
            times = self._stages[stage]
            if times and stage != "open":
                self._count_excess(stage, time_ms - times.median_ms)
            times.add(time_ms)
        else:  # the first one also loads code and allocates memory, so it is kept apart
            self._first_ms[stage] = time_ms

    def _count_excess(self, stage: Stage, excess_ms: float) -> None:
        self._excess.add(max(0.0, excess_ms))
        if stage == "decode":
            self._decode_excess.add(max(0.0, excess_ms))

    @property
    def planned_context_ms(self) -> float:
        """Return how long before its latch a chunk begins: mostly a little earlier than it must."""
        return self.context.p95_ms + CONTEXT_SLACK_MS

    @property
    def spread_ms(self) -> float:
        """Return by how much stages rarely exceed their median: what only one in half a minute exceeds."""
        return min(MAX_SPREAD_MS, self._excess.p995_ms)

    @property
    def decode_spread_ms(self) -> float:
        """Return the same of what may delay a latent that is generated."""
        return min(MAX_SPREAD_MS, self._decode_excess.p995_ms) if self.decodes_beside else self.spread_ms

    @property
    def decoding(self) -> RecentTimes:
        """Return the recent times of decoding a latent."""
        return self._stages["decode"]

    @property
    def decode_ms(self) -> float:
        """Return the usual time of decoding a latent; 0 if nothing was measured yet."""
        return self.decoding.median_ms

    def decoding_delay_ms(self, num_latents: int) -> float:
        """Estimate how long decoding so many latents keeps the model from other work."""
        return 0.0 if self.decodes_beside else self.decode_ms * num_latents

    def count_tail(self, generate_ms: float, decode_ms: float, num_undecoded: int) -> None:
        """Record how long a chunk kept the model from other work, from its latch on.

        Args:
            decode_ms: of its latents that were decoded.
            num_undecoded: how many a cut threw away.
        """
        decode_ms += self.decode_ms * num_undecoded
        self.tail.add(generate_ms + (0.0 if self.decodes_beside else decode_ms))

    def count_generated(self, num_latents: int, time_ms: float) -> None:
        """Record the time from a latch until its latents are generated."""
        self.generate.setdefault(num_latents, RecentTimes()).add(time_ms)

    def cut_ms(self, num_latents: int, *, is_cached: bool) -> float:
        """Estimate a cut, until so many latents are generated again; infinite if unknown.

        What was not measured yet counts as more: as more latents, and as the whole context.
        """
        times = [self.generate[count].median_ms for count in sorted(self.generate) if count >= num_latents]
        if not times:
            return math.inf
        kept_ms = self.kept.median_ms if self.kept else self.context.median_ms
        return times[0] + kept_ms + (0.0 if is_cached else self.context.median_ms)

    @property
    def cut_slack_ms(self) -> float:
        """Return how much earlier than it must a cut should begin, by how much generating has varied."""
        jitter_ms = max((times.jitter_ms for times in self.generate.values()), default=0.0)
        return min(MAX_CUT_SLACK_MS, max(MIN_CUT_SLACK_MS, jitter_ms))

    def safe_ms(self, stage: Stage) -> float:
        """Return the time that a stage rarely exceeds; infinite if unknown."""
        if stage == "open":  # It is rare, and takes seconds with a released model, so even the first counts.
            return max(self._longest_open_ms, self.safe_ms("step") + self.safe_ms("decode"))
        times = self._stages[stage]
        return times.p95_ms if times else math.inf

    def least_ms(self, stage: Stage) -> float:
        """Return the shortest time of a stage; infinite if unknown."""
        times = self._stages[stage]
        return min(self._first_ms.get(stage, math.inf), times.least_ms if times else math.inf)


def needed_ms(since_latch_ms: float, media_before_ms: float) -> float:
    """Return how much buffered media, at the latch, would make frames arrive just in time.

    A chunk needs the largest value of its frames: of the first frames if decoding is faster than playing, of
    the last frames if it is slower.

    Args:
        since_latch_ms: from the latch until these frames are decoded.
        media_before_ms: how long the frames of the chunk before them are shown.
    """
    return since_latch_ms - media_before_ms


def margin_ms(times: RecentTimes, ack_delays: AckDelays, wanted_ms: float | None = None) -> float:
    """Return the buffered media to keep in reserve against the recent jitter of work and delivery.

    Args:
        times: of the work that comes before the delivery.
        wanted_ms: what the client wants to have buffered, by the jitter that it sees; None: it does not say.
            This includes the jitter of work and delivery, so these are not added to it.
    """
    wanted_ms = MIN_MARGIN_MS if wanted_ms is None else wanted_ms
    return max(wanted_ms, times.jitter_ms + ack_delays.jitter_ms)


def latch_buffered_ms(needed: RecentTimes, ack_delays: AckDelays, wanted_ms: float | None = None) -> float:
    """Return the buffered media at which the next chunk should latch its controls."""
    expected_ms = needed.median_ms + ack_delays.median_ms
    return min(MAX_BUFFERED_MS, margin_ms(needed, ack_delays, wanted_ms) + expected_ms)
