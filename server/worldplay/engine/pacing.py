"""How early a chunk must be started so that its client's buffer does not run empty, and no earlier."""

import math
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Literal

MIN_MARGIN_MS = 50.0
MAX_BUFFERED_MS = 1333.0  # two chunks; a client that underruns with so much has a server that is too slow
CONTEXT_SLACK_MS = 20.0  # by which the context pass runs ahead of the latch, beyond what it usually takes
_NUM_RECENT = 32  # 20 s of one visitor's chunks

Stage = Literal["open", "context", "step", "decode"]  # what the worker does in one go


class RecentTimes:
    """The latest few durations of something."""

    def __init__(self) -> None:
        self._times_ms: deque[float] = deque(maxlen=_NUM_RECENT)

    def add(self, time_ms: float) -> None:
        self._times_ms.append(time_ms)

    def __bool__(self) -> bool:
        return bool(self._times_ms)

    @property
    def median_ms(self) -> float:
        return self._rank(0.5)

    @property
    def p95_ms(self) -> float:
        return self._rank(0.95)

    @property
    def least_ms(self) -> float:
        return min(self._times_ms, default=0.0)

    @property
    def jitter_ms(self) -> float:
        return self.p95_ms - self.median_ms

    def _rank(self, share: float) -> float:
        """Nearest rank; 0 if nothing was measured yet."""
        if not self._times_ms:
            return 0.0
        return sorted(self._times_ms)[math.ceil(share * len(self._times_ms)) - 1]


class AckDelays:
    """How long media has lately taken to reach a client, as far as its playheads can tell.

    Media that a playhead is the first to report came after the playhead before. Half way between the two is
    right on average. Only what the earlier playhead proves counts as jitter, not the playheads' own period.
    """

    def __init__(self) -> None:
        self._likely = RecentTimes()
        self._proven = RecentTimes()

    def add(self, handed_ms: float, lacked_ms: float, held_ms: float) -> None:
        """Add media handed over, the last playhead that lacked it, and the first that held it."""
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
    """What work has lately taken on this machine, for all sessions and clips together."""

    # From the start of a chunk to where it waits for its latch.
    context: RecentTimes = field(default_factory=RecentTimes)
    # Media that a chunk's client would have had to have in its buffer at the latch.
    needed: RecentTimes = field(default_factory=RecentTimes)
    tail: RecentTimes = field(default_factory=RecentTimes)  # from the latch to the last frame
    command: RecentTimes = field(default_factory=RecentTimes)  # opening, rewinding, prompting
    _first_ms: dict[Stage, float] = field(default_factory=dict)
    _longest_open_ms: float = 0.0
    _stages: dict[Stage, RecentTimes] = field(default_factory=lambda: defaultdict(RecentTimes))

    def count(self, stage: Stage, time_ms: float) -> None:
        """Learn from a stage. Sessions and clips use the same model at the same size."""
        if stage == "open":
            self._longest_open_ms = max(self._longest_open_ms, time_ms)
        if stage in self._first_ms:
            self._stages[stage].add(time_ms)
        else:  # the very first also loads code and prepares memory: it says little of the next
            self._first_ms[stage] = time_ms

    def safe_ms(self, stage: Stage) -> float:
        """Return what a stage takes at most, as a rule; infinite while that is unknown."""
        if stage == "open":  # It is rare and takes a released model seconds, so even the very first counts.
            return max(self._longest_open_ms, self.safe_ms("step") + self.safe_ms("decode"))
        times = self._stages[stage]
        return times.p95_ms if times else math.inf

    def least_ms(self, stage: Stage) -> float:
        """Return what a stage took at least; infinite while that is unknown."""
        times = self._stages[stage]
        return min(self._first_ms.get(stage, math.inf), times.least_ms if times else math.inf)


def needed_ms(frames_at_ms: float, latched_at_ms: float, media_before_ms: float) -> float:
    """Return the buffered media, at the latch, for which these frames would have come just in time.

    The largest over a chunk is what the chunk needed: its first frames decide where decoding is faster than
    playing, its last frames where it is slower.
    """
    return frames_at_ms - latched_at_ms - media_before_ms


def margin_ms(needed: RecentTimes, ack_delays: AckDelays) -> float:
    """Return the buffered media to keep in reserve against the jitter seen lately."""
    return max(MIN_MARGIN_MS, needed.jitter_ms + ack_delays.jitter_ms)


def latch_buffered_ms(needed: RecentTimes, ack_delays: AckDelays) -> float:
    """Return the buffered media at which the next chunk should latch its controls."""
    expected_ms = needed.median_ms + ack_delays.median_ms
    return min(MAX_BUFFERED_MS, margin_ms(needed, ack_delays) + expected_ms)
