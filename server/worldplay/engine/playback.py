"""Tracks a client's playback: how much media it has buffered, and whether it needs more."""

from collections import deque
from dataclasses import dataclass, replace

from worldplay.engine.pacing import MIN_MARGIN_MS, AckDelays, RecentTimes, latch_buffered_ms, margin_ms

UNACKNOWLEDGED_CHUNKS = 2
SILENT_AFTER_MS = 1000.0  # a client that plays says so every 100 ms
MAX_NEED_MS = 250.0  # the most reserve and delay of one client that others wait for: it may report anything
LOST_AFTER_MS = 2000.0  # media that a client has not reported by then counts as lost
MAX_UNENCODED_S = 1.0  # of frames: at most one chunk may be made while another is encoded
_MAX_BATCHES = 64  # more than are handed over within LOST_AFTER_MS
_HELD_MARGIN_S = 0.02  # half a frame: a client that holds this much of a batch holds its first frame


@dataclass(frozen=True, slots=True)
class Playhead:
    """A client's report about its player, in media seconds; received_ms is of the server's clock."""

    shown_s: float
    buffered_s: float
    hidden: bool
    received_ms: float
    wanted_ms: float | None = None  # what the client wants to have buffered when frames come, if it says so

    @property
    def end_s(self) -> float:
        return self.shown_s + self.buffered_s

    def within(self, end_s: float) -> "Playhead":
        """Return the report without what is behind the end of the timeline: nobody can have that."""
        shown_s = min(self.shown_s, end_s)
        return replace(self, shown_s=shown_s, buffered_s=min(self.buffered_s, end_s - shown_s))


@dataclass(frozen=True, slots=True)
class _Batch:
    start_s: float
    duration_s: float
    handed_ms: float


@dataclass(frozen=True, slots=True)
class _Anchor:
    """The media time that the client showed at a moment, as reported or assumed."""

    shown_s: float
    at_ms: float


class Playback:
    """Tracks the media of one client. The timeline never goes back, not even at a rewind."""

    def __init__(self, start_s: float = 0.0) -> None:
        """The timeline begins at `start_s`: it goes on after a session that was lost."""
        self.handed_s = start_s
        self._end_s = start_s  # of the timeline: all that was handed over, with what counts as lost
        self.unencoded_s = 0.0  # handed over, but still raw frames, which are large
        self.ack_delays = AckDelays()
        self._playhead: Playhead | None = None
        self._anchor = _Anchor(start_s, 0.0)
        self._credit = UNACKNOWLEDGED_CHUNKS
        self._is_playing_on = False  # whether the next chunk follows without an intended break
        self._batches: deque[_Batch] = deque(maxlen=_MAX_BATCHES)
        self._unconfirmed: deque[_Batch] = deque(maxlen=UNACKNOWLEDGED_CHUNKS)

    @property
    def is_hidden(self) -> bool:
        return self._playhead is not None and self._playhead.hidden

    @property
    def _wanted_ms(self) -> float | None:
        return None if self._playhead is None else self._playhead.wanted_ms

    def renew(self) -> None:
        """Allow a silent client two more chunks, because it has just made a request."""
        self._credit = UNACKNOWLEDGED_CHUNKS
        self._is_playing_on = False

    def come_back(self, resent_s: float, skipped_s: float, now_ms: float) -> None:
        """Begin anew with a client that is back: what was on its way to the lost connection has not come.

        Args:
            resent_s: media that it is sent again, the last of the timeline. It may hold no other.
            skipped_s: how far the timeline was moved on.
        """
        self._end_s += skipped_s
        self.handed_s = self._end_s
        resent_from_s = self._end_s - resent_s
        self._playhead = None
        self._anchor = _Anchor(resent_from_s, now_ms)
        self._batches.clear()
        self._batches.append(_Batch(resent_from_s, resent_s, now_ms))
        self._unconfirmed.clear()
        self.renew()

    def wants_chunk(self, now_ms: float) -> bool:
        """Return whether a chunk would be seen: not if the client is hidden or silent."""
        if self.is_hidden:
            return False
        return not self._is_silent(now_ms) or self._credit > 0

    def begin_chunk(self, now_ms: float) -> bool:
        """Count a chunk whose first frames are about to be handed over. Returns: whether they come late."""
        if self._is_silent(now_ms):
            self._credit -= 1
        self._unconfirmed.append(_Batch(self.handed_s, 0.0, now_ms))
        is_late = self._is_playing_on and self.underrun_ms(now_ms) <= now_ms
        self._is_playing_on = True
        return is_late

    def hand(self, duration_s: float, now_ms: float) -> None:
        """Count media that is on its way to the client."""
        if self.underrun_ms(now_ms) <= now_ms:
            self._anchor = _Anchor(self.handed_s, now_ms)  # playback had stopped; it continues from here
        self._batches.append(_Batch(self.handed_s, duration_s, now_ms))
        self.handed_s += duration_s
        self._end_s += duration_s
        self.unencoded_s += duration_s

    def acknowledge(self, playhead: Playhead) -> None:
        """Update from the client's report."""
        playhead = playhead.within(self._end_s)
        if playhead.hidden:
            self._is_playing_on = False
        else:
            self._measure_delays(playhead)
        self._write_off_lost(playhead)
        self.handed_s = max(self.handed_s, playhead.end_s)  # media counted as lost may arrive after all
        self._playhead = playhead
        self._anchor = _Anchor(min(playhead.shown_s, self.handed_s), playhead.received_ms)
        self._credit = 0

    def underrun_ms(self, now_ms: float) -> float:
        """Return when the client's buffer runs empty at normal speed; now if it is already empty."""
        left_ms = (self.handed_s - self._anchor.shown_s) * 1000.0
        return max(now_ms, self._anchor.at_ms + left_ms)

    def decode_due_ms(self, decoding: RecentTimes, now_ms: float, spread_ms: float = 0.0) -> float:
        """Return when the next latent must be decoded, so that its client still has its reserve.

        Args:
            spread_ms: by how much stages before it rarely take longer than usual.
        """
        margin = max(spread_ms, margin_ms(decoding, self.ack_delays, self._wanted_ms))
        return self.underrun_ms(now_ms) - margin - self.ack_delays.median_ms

    def latch_buffered_ms(self, needed: RecentTimes, spread_ms: float = 0.0) -> float:
        """Return the buffered media at which the next chunk should latch its controls.

        Args:
            spread_ms: as for `decode_due_ms`.
        """
        return latch_buffered_ms(needed, self.ack_delays, max(spread_ms, self._reserve_ms))

    def wish_ms(self, needed: RecentTimes, spread_ms: float) -> float:
        """Return how much of `latch_buffered_ms` is only the client's wish, which others do not wait for."""
        needs_ms = max(spread_ms, min(MIN_MARGIN_MS, self._reserve_ms))
        needs_ms = latch_buffered_ms(needed, self.ack_delays, needs_ms)
        return self.latch_buffered_ms(needed, spread_ms) - min(needs_ms, needed.median_ms + MAX_NEED_MS)

    @property
    def _reserve_ms(self) -> float:
        """Return the reserve that the client wants to have, or should have if it does not say."""
        return MIN_MARGIN_MS if self._wanted_ms is None else self._wanted_ms

    def drop(self, duration_s: float) -> None:
        """Subtract media that was handed over but never sent. It is not on the client's timeline."""
        self._end_s = max(0.0, self._end_s - duration_s)
        self._subtract(duration_s)

    def _subtract(self, duration_s: float) -> None:
        self.handed_s = max(0.0, self.handed_s - duration_s)
        self._unconfirmed.clear()

    def _write_off_lost(self, playhead: Playhead) -> None:
        """Subtract media that the client still does not report long after it was handed over."""
        since_ms = playhead.received_ms - LOST_AFTER_MS
        on_its_way_s = sum(batch.duration_s for batch in self._batches if batch.handed_ms > since_ms)
        lost_s = self.handed_s - (playhead.end_s + on_its_way_s)
        if lost_s > 0:
            self._subtract(lost_s)

    def _is_silent(self, now_ms: float) -> bool:
        return self._playhead is None or now_ms - self._playhead.received_ms > SILENT_AFTER_MS

    def _measure_delays(self, playhead: Playhead) -> None:
        """Note how long the first frames of chunks took until the client held them."""
        while self._unconfirmed and playhead.end_s > self._unconfirmed[0].start_s + _HELD_MARGIN_S:
            batch = self._unconfirmed.popleft()
            if self._playhead is not None:
                self.ack_delays.add(batch.handed_ms, self._playhead.received_ms, playhead.received_ms)
