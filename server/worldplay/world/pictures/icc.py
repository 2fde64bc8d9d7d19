"""ICC profiles: checks and writes them."""

import struct
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

MAX_PROFILE_BYTES = 8 * 2**20  # printers' have up to 3

Chromaticity: TypeAlias = tuple[float, float]  # CIE x, y
# Of red, green, blue and white.
Primaries: TypeAlias = tuple[Chromaticity, Chromaticity, Chromaticity, Chromaticity]

_HEADER_BYTES = 128
_SPACES = {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK"}  # of a profile for pixels of a mode
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def fits(profile: bytes, mode: str) -> bool:
    """Return whether a profile describes pixels of this mode and is not obviously damaged.

    Profiles with multi-process elements are refused: they can take minutes, and browsers ignore them.
    """
    return (
        _HEADER_BYTES < len(profile) <= MAX_PROFILE_BYTES
        and profile[36:40] == b"acsp"
        and profile[16:20] == _SPACES[mode]
        and int.from_bytes(profile[:4], "big") <= len(profile)
        and b"mpet" not in profile
    )


def make_rgb_profile(primaries: Primaries, decode: Callable[[float], float]) -> bytes | None:
    """Make a profile for a display; None if no display can have these primaries.

    Args:
        decode: from an encoded value in [0, 1] to linear light in [0, 1].
    """
    if (columns := _adapted_columns(primaries)) is None:
        return None
    values = [round(65535 * decode(level / 255)) for level in range(256)]
    curve = b"curv" + bytes(4) + struct.pack(">L256H", len(values), *values)
    tags = {b"wtpt": _xyz(_D50)}
    for name, column in zip((b"r", b"g", b"b"), columns.T, strict=True):
        tags |= {name + b"XYZ": _xyz(column), name + b"TRC": curve}
    return _join(tags)


def _adapted_columns(primaries: Primaries) -> NDArray[np.float64] | None:
    """Return XYZ of red, green and blue as columns [3, 3], adapted to a D50 white; None if degenerate."""
    if any(y <= 0 for _, y in primaries):
        return None
    *colors, white = (np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in primaries)
    unscaled = np.stack(colors, axis=1)
    if abs(np.linalg.det(unscaled)) < 1e-6:
        return None
    columns = unscaled * np.linalg.solve(unscaled, white)
    cones = _BRADFORD @ white
    if (cones <= 0).any():
        return None
    adapted: NDArray[np.float64] = (
        np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ _D50 / cones) @ _BRADFORD @ columns
    )
    return adapted if np.abs(adapted).max() < 2**15 else None


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3l", *(round(65536 * value) for value in values.tolist()))


def _join(tags: dict[bytes, bytes]) -> bytes:
    """Join tags to a profile with its header and table of tags (ICC.1:2001-04, sections 6.1 and 6.2)."""
    start = _HEADER_BYTES + 4 + 12 * len(tags)
    table, body = struct.pack(">L", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">LL", start + len(body), len(data))
        body += data
    size = start + len(body)
    header = struct.pack(">L4sL4s4s4s", size, bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header = header.ljust(36, b"\0") + b"acsp"
    header = header.ljust(68, b"\0") + _xyz(_D50)[8:]
    return header.ljust(_HEADER_BYTES, b"\0") + table + body
