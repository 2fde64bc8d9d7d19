"""Waits for something to become so."""

import time
from collections.abc import Callable


def wait_until(is_so: Callable[[], bool], timeout_s: float) -> bool:
    end_s = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.05)
    return True
