"""How early a chunk must be started so that its page does not run dry, and no earlier."""

import math
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Literal

MIN_TARGET_MS = 50.0
MAX_LEAD_MS = 1333.0  # two chunks; a page that stays dry all the same has a server that is too slow for it
CONTEXT_SLACK_MS = 20.0  # by which the context pass runs ahead of the latch, beyond what it usually takes
_NUM_RECENT = 32  # 20 s of one visitor's chunks

Stage = Literal["open", "context", "step", "decode"]  # what is done in one go, between two looks around


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
    """How long media has lately taken to a page, as far as playheads a while apart can tell.

    A page that first has something at one playhead got it since the one before. Half way between is right on
    average; but only what the earlier playhead proves counts as jitter, not the playheads' own period.
    """

    def __init__(self) -> None:
        self._likely = RecentTimes()
        self._proven = RecentTimes()

    def add(self, handed_ms: float, lacked_ms: float, held_ms: float) -> None:
        """Note media handed over, and the times of the last playhead without it and the first with it."""
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
    """What work has lately taken on this machine, whoever it was for."""

    context: RecentTimes = field(
        default_factory=RecentTimes
    )  # start of a chunk to where it waits for the latch
    need: RecentTimes = field(default_factory=RecentTimes)  # lead that a chunk would have needed at its latch
    tail: RecentTimes = field(default_factory=RecentTimes)  # latch to last frame
    command: RecentTimes = field(default_factory=RecentTimes)  # opening, rewinding, prompting
    _first_ms: dict[Stage, float] = field(default_factory=dict)
    _longest_open_ms: float = 0.0
    _stages: dict[Stage, RecentTimes] = field(default_factory=lambda: defaultdict(RecentTimes))

    def count(self, stage: Stage, time_ms: float) -> None:
        """Learn from a stage, be it a session's or a clip's: they use the same model at the same size."""
        if stage == "open":
            self._longest_open_ms = max(self._longest_open_ms, time_ms)
        if stage in self._first_ms:
            self._stages[stage].add(time_ms)
        else:  # the first of all also loads code and prepares memory, and says little of the next
            self._first_ms[stage] = time_ms

    def safe_ms(self, stage: Stage) -> float:
        """What a stage takes at most, as a rule; infinite as long as it is not known."""
        if stage == "open":  # at least a pass over the text and the encoding of a picture; seldom done, and
            # seconds of a released model, so that even the first of all counts
            return max(self._longest_open_ms, self.safe_ms("step") + self.safe_ms("decode"))
        times = self._stages[stage]
        return times.p95_ms if times else math.inf

    def least_ms(self, stage: Stage) -> float:
        """What a stage took at least; infinite as long as it is not known."""
        times = self._stages[stage]
        return min(self._first_ms.get(stage, math.inf), times.least_ms if times else math.inf)


def need_ms(frames_at_ms: float, latched_at_ms: float, media_before_ms: float) -> float:
    """The lead at the latch for which these frames would have come just in time.

    The largest over a chunk is its need: its first frames decide where decoding outruns playing, its last
    where it does not.
    """
    return frames_at_ms - latched_at_ms - media_before_ms


def target_ms(need: RecentTimes, ack_delays: AckDelays) -> float:
    """Lead to keep in hand against the jitter seen lately."""
    return max(MIN_TARGET_MS, need.jitter_ms + ack_delays.jitter_ms)


def latch_lead_ms(need: RecentTimes, ack_delays: AckDelays) -> float:
    """The lead at which the next chunk should latch its controls."""
    expected_ms = need.median_ms + ack_delays.median_ms
    return min(MAX_LEAD_MS, target_ms(need, ack_delays) + expected_ms)
