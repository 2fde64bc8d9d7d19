"""The time of day, for decisions about what is old enough to be removed.

A jump of the system clock counts only after it has lasted an hour.
"""

import logging
from collections.abc import Callable
from threading import Lock

logger = logging.getLogger(__name__)

STEADY_S = 3600.0  # how long a time must last, by the monotonic clock, before it is believed
TOLERANCE_S = 60.0  # of a step that counts as no jump: clocks are corrected all the time


class SteadyClock:
    """Tells the time of day. A jump of it is believed only when it has lasted for STEADY_S. Any thread."""

    def __init__(self, now: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._now, self._monotonic = now, monotonic
        self._began_s = monotonic()
        self._offset_s = now() - self._began_s  # between the two clocks, as believed
        self._jump: tuple[float, float] | None = None  # another offset, and when it was first seen
        self._lock = Lock()

    def __call__(self) -> float:
        """Return the time in seconds since 1970, without a jump that is not believed yet."""
        with self._lock:
            return self._look() + self._offset_s

    @property
    def has_jumped(self) -> bool:
        """Return whether the time has jumped a short while ago, so that nobody knows how old files are."""
        with self._lock:
            self._look()
            return self._jump is not None

    @property
    def is_steady(self) -> bool:
        """Return whether the time is believed enough to remove what is old: not soon after the start."""
        with self._lock:
            return self._look() >= self._began_s + STEADY_S and self._jump is None

    def _look(self) -> float:
        """Compare the clocks. Returns: the monotonic one's time."""
        monotonic_s = self._monotonic()
        offset_s = self._now() - monotonic_s
        if abs(offset_s - self._offset_s) <= TOLERANCE_S:
            self._offset_s, self._jump = offset_s, None
        elif self._jump is None or abs(offset_s - self._jump[0]) > TOLERANCE_S:
            logger.warning("the clock has jumped by %.0f s", offset_s - self._offset_s)
            self._jump = offset_s, monotonic_s
        elif monotonic_s >= self._jump[1] + STEADY_S:
            self._offset_s, self._jump = offset_s, None
        return monotonic_s
