"""Waits for what another process or thread does."""

import time
from collections.abc import Callable


def wait_until(is_so: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait until something is so. Raises: AssertionError if it takes too long."""
    ends = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < ends, "it never came to be so"
        time.sleep(0.02)
