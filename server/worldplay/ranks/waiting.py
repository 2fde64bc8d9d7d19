"""Notices that rank 0 waits for the other ranks in vain: one of them hangs, but does not end."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Protocol

LOADING_S = 600.0  # for which rank 0 waits until the others have loaded their weights


class Waiting:
    """What rank 0 waits for. Anything that ends is progress.

    It adds up the time between looks: while this process is stopped itself, nobody looks.
    """

    def __init__(self, limit_s: float = math.inf) -> None:
        self._limit_s = limit_s
        self._longest_s = limit_s  # for what is waited for now
        self._count = 0
        self._waited_s = 0.0
        self._lock = Lock()

    @contextmanager
    def during(self, longest_s: float = 0.0) -> Iterator[None]:
        """Mark a wait, which may take so long if that is more than the limit."""
        self.begin(longest_s)
        try:
            yield
        finally:
            self.end()

    def begin(self, longest_s: float = 0.0) -> None:
        with self._lock:
            self._count += 1
            self._waited_s = 0.0
            self._longest_s = max(self._limit_s, longest_s)

    def end(self) -> None:
        with self._lock:
            self._count -= 1
            self._waited_s = 0.0
            self._longest_s = self._limit_s

    def look(self, passed_s: float) -> bool:
        """Note that time has passed. Returns: whether rank 0 has waited for too long. One caller only."""
        with self._lock:
            self._waited_s = self._waited_s + passed_s if self._count else 0.0
            return self._waited_s > self._longest_s


class Work(Protocol):
    """An event of CUDA."""

    def record(self) -> object: ...

    def synchronize(self) -> None: ...


class DeviceWork:
    """Waits for what a GPU computes, on a thread of its own: a call of CUDA may never return."""

    def __init__(self, waiting: Waiting, make_event: Callable[[], Work]) -> None:
        self._waiting = waiting
        self._make_event = make_event
        self._events: SimpleQueue[Work] = SimpleQueue()
        self.thread = Thread(target=self._wait, name="worldplay-gpu-work", daemon=True)
        self.thread.start()

    def note(self) -> None:
        """Wait for all that was launched until now."""
        event = self._make_event()
        event.record()
        self._waiting.begin()
        self._events.put(event)

    def _wait(self) -> None:
        while True:
            event = self._events.get()
            try:
                event.synchronize()
            except RuntimeError:  # the thread that computes meets it, too, and says what it was
                return
            self._waiting.end()
