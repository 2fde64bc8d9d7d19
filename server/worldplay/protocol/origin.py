"""Checks the Origin of a WebSocket: whether its page belongs to this server or is allowed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from worldplay.wording import show

_HOST = r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(?::(?P<port>[0-9]{0,5}))?"
_ORIGIN = re.compile(rf"(?P<scheme>https?)://{_HOST}", re.IGNORECASE)  # RFC 6454, 6.2, of web pages
_HOST_HEADER = re.compile(_HOST, re.IGNORECASE)  # RFC 9110, 7.2
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a page."""

    scheme: str
    host: str
    port: int


def is_allowed(origins: Sequence[str], hosts: Sequence[str], allow_origin: str) -> bool:
    """Return whether a handshake comes from a page of this server, from an allowed origin, or from no page.

    Browsers send the page's origin; other programs send none. Pages of other sites must not use this server
    unnoticed.

    Args:
        origins, hosts: the values of the handshake's Origin and Host headers.
        allow_origin: other origins that are allowed, separated by commas.
    """
    if not origins:
        return True
    origin = _parse_origin(origins[0]) if len(origins) == 1 else None
    if origin is None:
        return False
    return origin in read_origins(allow_origin) or (len(hosts) == 1 and _names(hosts[0], origin))


def read_origins(text: str) -> frozenset[Origin]:
    """Read origins separated by commas. Raises: ValueError naming the first that is invalid."""
    origins = set()
    for item in filter(None, map(str.strip, text.split(","))):
        origin = _parse_origin(item)
        if origin is None:
            raise ValueError(f"expected origins like https://world.example, got {show(item)}")
        origins.add(origin)
    return frozenset(origins)


def _parse_origin(text: str) -> Origin | None:
    match = _ORIGIN.fullmatch(text)
    if match is None:
        return None
    scheme = match["scheme"].lower()
    return Origin(scheme, match["host"].lower(), int(match["port"] or _DEFAULT_PORTS[scheme]))


def _names(host_header: str, origin: Origin) -> bool:
    """Return whether a Host header names this origin. The default port may be left out."""
    match = _HOST_HEADER.fullmatch(host_header)
    if match is None:
        return False
    port = int(match["port"] or _DEFAULT_PORTS[origin.scheme])
    return (match["host"].lower(), port) == (origin.host, origin.port)
