"""Notices a stage of a thread that never ends."""

from collections.abc import Iterator
from contextlib import contextmanager


class Watchdog:
    """Counts a stage's seconds by ticks: the time in which the process was stopped does not count."""

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._stage = 0
        self._is_working = False
        self._seen_stage = 0
        self._num_ticks = 0

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Mark a stage. On the thread that is watched."""
        self._stage += 1
        self._is_working = True
        try:
            yield
        finally:
            self._is_working = False

    def tick(self) -> None:
        """Note that a second has passed. One caller only, from any thread."""
        is_same = self._is_working and self._stage == self._seen_stage
        self._seen_stage = self._stage
        self._num_ticks = self._num_ticks + 1 if is_same else 0

    @property
    def is_hung(self) -> bool:
        """Return whether the stage in progress takes too long."""
        return self._num_ticks >= self._most_s
