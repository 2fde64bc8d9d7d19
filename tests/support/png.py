"""PNG files written chunk by chunk, so that tests can make what no encoder would."""

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
_CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind: bytes, body: bytes = b"", crc: int | None = None) -> bytes:
    """A chunk with its own checksum, or with the one given."""
    checksum = zlib.crc32(kind + body) if crc is None else crc
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def header(width: int, height: int, depth: int, color_type: int, *, interlaced: bool = False) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, interlaced))


def pixel_data(samples: ArrayLike, depth: int, *, interlaced: bool = False) -> bytes:
    """The compressed rows of samples [H, W] or [H, W, channels], unfiltered."""
    pixels = np.asarray(samples, np.uint16)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    steps = _PASSES if interlaced else ((0, 0, 1, 1),)
    passes = [pixels[y::dy, x::dx] for x, y, dx, dy in steps]
    return zlib.compress(b"".join(b"\0" + _pack(row, depth) for part in passes if part.size for row in part))


def _pack(row: np.ndarray, depth: int) -> bytes:
    if depth == 16:
        return row.astype(">u2").tobytes()
    bits = np.unpackbits(row.astype(np.uint8).reshape(-1, 1), axis=1)[:, 8 - depth :]
    return np.packbits(bits).tobytes()


def png(
    samples: ArrayLike,
    color_type: int,
    depth: int = 8,
    before: Sequence[bytes] = (),
    after: Sequence[bytes] = (),
    *,
    interlaced: bool = False,
) -> bytes:
    """A whole file; `before` and `after` are chunks around the pixels."""
    height, width = np.asarray(samples).shape[:2]
    return b"".join(
        [
            SIGNATURE,
            header(width, height, depth, color_type, interlaced=interlaced),
            *before,
            chunk(b"IDAT", pixel_data(samples, depth, interlaced=interlaced)),
            *after,
            chunk(b"IEND"),
        ]
    )
