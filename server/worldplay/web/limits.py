"""Limits on what clients may send, and on how many requests are handled at a time."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from worldplay.protocol.messages import Limits
from worldplay.web.errors import ApiError, busy
from worldplay.world.pose_files import MAX_PROMPT_CHARS

LIMITS = Limits(
    message_bytes=9 * 2**20,
    image_bytes=8 * 2**20,
    image_pixels=32_000_000,
    prompt_chars=MAX_PROMPT_CHARS,
    poses=400,
)


class RequestLimit:
    """Bounds how many requests may be in one phase at a time."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._num_held = 0

    def check(self, retry_s: float) -> None:
        """Raises: ApiError (busy) if the limit is reached; it says to retry after `retry_s`."""
        if self._num_held >= self._most:
            raise _too_many(f"{self._most} {self._what}", retry_s)

    @contextmanager
    def hold(self, retry_s: float) -> Iterator[None]:
        """Count one request while this context is open. Raises: as `check`."""
        self.check(retry_s)
        self._num_held += 1
        try:
            yield
        finally:
            self._num_held -= 1


class AddressLimit:
    """Bounds how many requests of one address, and of all together, are handled at a time."""

    def __init__(self, each: int, most: int, what: str) -> None:
        self._each = each
        self._most = most
        self._what = what
        self._held = Counter[str]()

    @contextmanager
    def hold(self, address: str, retry_s: float) -> Iterator[None]:
        """Count one request while this context is open. Raises: ApiError (busy) if there are too many."""
        if self._held[address] >= self._each:
            raise _too_many(f"{self._each} {self._what} of one address", retry_s)
        if self._held.total() >= self._most:
            raise _too_many(f"{self._most} {self._what}", retry_s)
        self._held[address] += 1
        try:
            yield
        finally:
            self._held[address] -= 1
            if not self._held[address]:
                del self._held[address]


class BytesLimit:
    """Bounds the bytes that are held for one address, and for all together."""

    def __init__(self, each: int, most: int, *, one_fits: bool = True) -> None:
        """Args: one_fits: something of any size may be held if nothing else is."""
        self._each = each
        self._most = most
        self._one_fits = one_fits
        self._held = Counter[str]()

    def add(self, address: str, num_bytes: int) -> bool:
        """Count bytes, if there is room for them. Returns: whether there is."""
        for held, most in ((self._held[address], self._each), (self._held.total(), self._most)):
            if (held > 0 or not self._one_fits) and held + num_bytes > most:
                return False
        self._held[address] += num_bytes
        return True

    def remove(self, address: str, num_bytes: int) -> None:
        """Count bytes no more that were added."""
        self._held[address] -= num_bytes
        if not self._held[address]:
            del self._held[address]


def _too_many(limit: str, retry_s: float) -> ApiError:
    return busy(f"at most {limit} at a time: try again later", retry_s)
