"""A player without a screen: at which moments frames are due, and which of them come late."""

from worldplay.protocol.messages import Media


class Player:
    """Plays frames at the speed of the video. It waits when it has none, and then goes on from there.

    If it does not `play`, each frame counts as shown when it arrives.
    """

    def __init__(self, plays: bool) -> None:
        self._plays = plays
        self._now_s: float | None = None  # None before the first frame
        self.shown_s = 0.0  # media time of the playhead
        self.arrived_s = 0.0  # media time at which the last frame ends
        self.num_late = 0  # frames that came after the frame before them had been shown
        self.stalled_s = 0.0
        self._stalled_before_s = 0.0  # the last frame
        self._frame_s = 0.0  # how long it is shown

    @property
    def buffered_s(self) -> float:
        return self.arrived_s - self.shown_s

    @property
    def num_missing(self) -> int:
        """Return how many frames should have been shown since the last one ended, and have not come."""
        return int((self.stalled_s - self._stalled_before_s) / self._frame_s) if self._frame_s else 0

    def take(self, media: Media, now_s: float) -> None:
        """Take a frame that has arrived. The first one is on time."""
        if self._now_s is None:
            self._now_s, self.shown_s = now_s, media.time
        else:
            self.advance(now_s)
            self.num_late += self._plays and self.shown_s == self.arrived_s
        self.arrived_s = media.time + media.duration
        self._stalled_before_s, self._frame_s = self.stalled_s, media.duration
        if not self._plays:
            self.shown_s = self.arrived_s

    def advance(self, now_s: float) -> None:
        """Play until now."""
        if self._now_s is None or not self._plays:
            return
        step_s, self._now_s = now_s - self._now_s, now_s
        if step_s < self.buffered_s:
            self.shown_s += step_s
        else:
            self.stalled_s += step_s - self.buffered_s
            self.shown_s = self.arrived_s
