"""Bounds what one session's cuts may cost: so many a second, and fewer for a mouse that only moves."""

MAX_CUTS = 3.0  # at once: a press, its release, and one more
MS_PER_CUT = 445.0  # in the long run: three in two chunks
LOOK_EVERY_MS = 334.0  # half a chunk, from a latch to a cut for looks alone: at most one such cut in a chunk
_KEPT_FOR_KEYS = 1.0  # cuts that looks leave for keys


class CutBudget:
    """The cuts that one session may still make. A change of keys may use more of them than looks alone."""

    def __init__(self) -> None:
        self._left = MAX_CUTS
        self._at_ms = 0.0

    def allows(self, begin_ms: float, latched_ms: float, *, is_look: bool) -> bool:
        """Return whether a cut may begin at a time.

        Args:
            latched_ms: when controls were last read.
            is_look: whether only looks are new since then.
        """
        left = self._left_at(begin_ms)
        if not is_look:
            return left >= 1.0
        return left >= 1.0 + _KEPT_FOR_KEYS and begin_ms - latched_ms >= LOOK_EVERY_MS

    def spend(self, now_ms: float) -> None:
        """Note that a cut begins."""
        self._left, self._at_ms = self._left_at(now_ms) - 1.0, now_ms

    def _left_at(self, now_ms: float) -> float:
        return min(MAX_CUTS, self._left + (now_ms - self._at_ms) / MS_PER_CUT)
