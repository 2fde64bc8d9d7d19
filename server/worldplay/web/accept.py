"""Reads Accept headers: whether a client prefers a clip's file to JSON."""

import re
from collections.abc import Sequence

_Q = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")  # RFC 9110, 12.4.2


def prefers_video(lines: Sequence[str]) -> bool:
    """Return whether a client prefers video/mp4 to application/json. JSON wins a tie.

    Args:
        lines: the values of all Accept headers of a request.
    """
    ranges = [_parse_range(item) for line in lines for item in line.lower().split(",")]
    video, json = (_weigh(kind, ranges) for kind in ("video/mp4", "application/json"))
    return video[0] > 0 and video > json


def _weigh(kind: str, ranges: Sequence[tuple[str, float]]) -> tuple[float, int]:
    """Return the q of the most specific range that includes a media type, and how specific that range is."""
    names = ["*/*", f"{kind.partition('/')[0]}/*", kind]
    specific, q = max(((names.index(name), q) for name, q in ranges if name in names), default=(0, 0.0))
    return q, specific


def _parse_range(item: str) -> tuple[str, float]:
    """Split a media range from its q; a malformed q counts as 0."""
    name, *parameters = (part.strip() for part in item.split(";"))
    q = next((text.removeprefix("q=") for text in parameters if text.startswith("q=")), "1")
    return name, float(q) if _Q.fullmatch(q) else 0.0
