"""Decides which sessions have a slot and which wait for one."""

from collections import deque

from worldplay.engine.pacing import RecentTimes


class Admission:
    """A bounded number of slots with a bounded first-come, first-served queue before them."""

    def __init__(self, max_sessions: int, max_queued: int) -> None:
        if max_sessions < 1 or max_queued < 0:
            raise ValueError(f"expected slots >= 1 and a queue >= 0, got {max_sessions} and {max_queued}")
        self._max_sessions = max_sessions
        self._max_queued = max_queued
        self._seated_ms: dict[int, float] = {}
        self._queue: deque[int] = deque()
        self._stays = RecentTimes()

    @property
    def num_seated(self) -> int:
        return len(self._seated_ms)

    @property
    def is_full(self) -> bool:
        return self.num_seated >= self._max_sessions

    @property
    def num_queued(self) -> int:
        return len(self._queue)

    @property
    def queue(self) -> list[int]:
        """Return the keys that wait, the next one first."""
        return list(self._queue)

    def enter(self, key: int, now_ms: float) -> bool:
        """Take a slot, or wait for one. Returns: False if both are full."""
        if self.num_seated < self._max_sessions and not self._queue:
            self._seated_ms[key] = now_ms
            return True
        if len(self._queue) >= self._max_queued:
            return False
        self._queue.append(key)
        return True

    def leave(self, key: int, now_ms: float) -> None:
        """Remove a key, if it is there. A freed slot goes to the key that has waited longest."""
        seated_ms = self._seated_ms.pop(key, None)
        if seated_ms is not None:
            self._stays.add(now_ms - seated_ms)
        elif key in self._queue:
            self._queue.remove(key)
        while self._queue and self.num_seated < self._max_sessions:
            self._seated_ms[self._queue.popleft()] = now_ms

    def is_seated(self, key: int) -> bool:
        return key in self._seated_ms

    def eta_s(self, position: int) -> float | None:
        """Estimate the wait at a position (1 is next) from recent visits; None if none has ended yet."""
        if not self._stays:
            return None
        return position * self._stays.median_ms / self._max_sessions / 1000.0
