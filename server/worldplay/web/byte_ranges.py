"""Reads Range headers of HTTP (RFC 9110, 14), with which players seek and downloads go on."""

import re

# A header with several ranges, or of another unit, may be ignored.
_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.IGNORECASE)


class UnsatisfiableError(ValueError):
    """The range begins behind the end."""


def read_range(header: str | None, num_bytes: int) -> range | None:
    """Read which bytes are wanted of `num_bytes`. Returns: None for all of them.

    Raises: UnsatisfiableError.
    """
    match = None if header is None else _RANGE.fullmatch(header)
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        return _last_bytes(last, num_bytes)
    if last and int(last) < int(first):
        return None
    if int(first) >= num_bytes:
        raise UnsatisfiableError
    return range(int(first), min(num_bytes, int(last) + 1) if last else num_bytes)


def _last_bytes(count: str, num_bytes: int) -> range | None:
    if not count:
        return None
    if int(count) == 0:
        raise UnsatisfiableError
    return range(max(0, num_bytes - int(count)), num_bytes)
