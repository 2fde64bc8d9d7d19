"""Time in tests: a clock that only the test moves, and waiting for other processes and threads."""

import time
from collections.abc import Callable


class Clock:
    """A clock that only the test moves."""

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def wait_until(is_so: Callable[[], bool], timeout_s: float = 50.0) -> None:
    """Wait until something is so. Raises: AssertionError if it takes too long."""
    ends = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < ends, "it never came to be so"
        time.sleep(0.02)
