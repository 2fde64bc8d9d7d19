"""Builds picture files that no encoder would write."""

import io
import struct
import zlib
from typing import Any

from numpy.typing import ArrayLike
from PIL import Image

from support import icc
from support.png import (
    PALETTE,
    RGB,
    SIGNATURE,
    chunk,
    header,
    pixel_data,
    png,
)


def trns(*samples: int) -> bytes:
    return chunk(b"tRNS", struct.pack(f">{len(samples)}H", *samples))


def alphas(*values: int) -> bytes:
    return chunk(b"tRNS", bytes(values))


def gamma(value: int) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", value))


def iccp(profile: bytes) -> bytes:
    return chunk(b"iCCP", b"name\0\0" + zlib.compress(profile))


def cicp(primaries: int, transfer: int) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, 0, 1]))


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def encode(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def jpeg(mode: str, color: int | tuple[int, ...], profile: bytes | None = None) -> bytes:
    return encode(Image.new(mode, (16, 16), color), "JPEG", quality=95, icc_profile=profile)


def webp(color: tuple[int, ...], profile: bytes | None = None) -> bytes:
    mode = "RGB" if len(color) == 3 else "RGBA"
    return encode(Image.new(mode, (4, 2), color), "WEBP", lossless=True, icc_profile=profile)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(
        kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def animated_webp() -> bytes:
    first = Image.new("RGBA", (16, 16), (255, 0, 0, 128))
    others = [Image.new("RGBA", (16, 16), (0, 0, 255, 255))]
    options = {"save_all": True, "append_images": others, "background": (0, 255, 0, 255)}
    return encode(first, "WEBP", lossless=True, **options)


def frame_control(number: int, width: int, height: int, x: int = 0, y: int = 0) -> bytes:
    return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, x, y, 1, 1, 0, 0))


def frame_data(number: int, samples: ArrayLike) -> bytes:
    return chunk(b"fdAT", struct.pack(">I", number) + pixel_data(samples, 8))


def apng(*chunks: bytes) -> bytes:
    """Of 3 x 2 pixels and two frames."""
    control = chunk(b"acTL", struct.pack(">II", 2, 0))
    return b"".join([SIGNATURE, header(3, 2, 8, RGB), control, *chunks, chunk(b"IEND")])


GREEN = [[[60, 200, 60]] * 3] * 2
BLUE = [[[0, 0, 255]] * 3] * 2
IMAGE = chunk(b"IDAT", pixel_data(GREEN, 8))
GREY_16 = [[0, 0x1234, 0x12FF, 0x80FF, 0xFFFF]] * 2
RGB_16 = [
    [[0x1234, 0x5678, 0x9ABC], [0x1235, 0x5678, 0x9ABC], [0x12FF, 0x56FF, 0x9AFF], [0xFFFF, 0, 0x8000]]
] * 2
RGB_8 = [[[10, 20, 30], [10, 20, 31], [1, 2, 3]]] * 2
GREY_ALPHA_16 = [[[0, 0xFFFF], [0, 0x8000], [0, 0], [0x40FF, 0x40FF]]] * 2
INDICES = [[0, 1, 2, 3]] * 2
COLORS_OF_PALETTE = chunk(b"PLTE", bytes([255, 0, 0, 0, 0, 255, 0, 255, 0, 9, 9, 9]))
P3_PRIMARIES = chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
VP8L = webp((60, 200, 60))[20:]


def green(*before: bytes, after: tuple[bytes, ...] = ()) -> bytes:
    return png(GREEN, RGB, 8, before, after)


def indexed(*chunks: bytes, depth: int = 8) -> bytes:
    return png(INDICES, PALETTE, depth, chunks)


def parts_of_profile() -> list[bytes]:
    parts = icc.ADOBE_RGB[:200], icc.ADOBE_RGB[200:]
    return [segment(0xE2, b"ICC_PROFILE\0" + bytes([n + 1, 2]) + part) for n, part in enumerate(parts)]
