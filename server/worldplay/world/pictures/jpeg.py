"""Decodes JPEG. Segments without effect on the pixels are removed, because Pillow fails on unusual ones."""

import re
import struct
from collections.abc import Iterator
from io import BytesIO

from PIL.JpegImagePlugin import JpegImageFile

from worldplay.world.pictures.decoded import Decoded
from worldplay.world.pictures.icc import fits

_SOI = b"\xff\xd8"
START = _SOI + b"\xff"

_SCAN, _COMMENT, _APP0, _EXIF, _ICC, _ADOBE = 0xDA, 0xFE, 0xE0, 0xE1, 0xE2, 0xEE
_APPLICATION = range(0xE0, 0xF0)
_PADDING = re.compile(rb"\xff+")
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xDA)}


class JpegFile:
    """A JPEG whose headers are read and whose pixels are still compressed."""

    def __init__(self, data: bytes) -> None:
        """Raises: whatever Pillow raises about damage."""
        self._exif = b""
        self._profile_parts: list[bytes] = []
        self._file = JpegImageFile(BytesIO(self._strip(data)))
        self.size = self._file.size

    def decode(self) -> Decoded:
        """Raises: whatever Pillow raises about damage."""
        self._file.load()
        profile = _join_profile(self._profile_parts)
        return Decoded(self._file, None, profile if fits(profile, self._file.mode) else None, self._exif)

    def _strip(self, data: bytes) -> bytes:
        """Remove comments, and application segments that libjpeg ignores; keep EXIF and the profile."""
        kept, rest = [_SOI], len(_SOI)
        for marker, start, end in _split(data):
            body, rest = data[start + 4 : end], end
            if (marker not in _APPLICATION and marker != _COMMENT) or _changes_decoding(marker, body):
                kept.append(data[start:end])
            elif marker == _EXIF and body.startswith(b"Exif\0\0"):
                self._exif = self._exif or body
            elif marker == _ICC and body.startswith(b"ICC_PROFILE\0"):
                self._profile_parts.append(body[12:])
        kept.append(data[_skip_padding(data, rest) :])  # Pillow takes seconds for megabytes of padding
        return b"".join(kept)


def _split(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker, start and end of each segment before the pixels, up to the first irregular one."""
    position = len(_SOI)
    while (start := _skip_padding(data, position)) + 4 <= len(data) and data[start] == 0xFF:
        marker = data[start + 1]
        if marker == _SCAN or marker in _WITHOUT_LENGTH:
            return
        (length,) = struct.unpack_from(">H", data, start + 2)
        position = start + 2 + max(2, length)
        if position > len(data):
            return
        yield marker, start, position


def _skip_padding(data: bytes, position: int) -> int:
    """Return the position of the last 0xFF; a marker may begin with any number of them."""
    padding = _PADDING.match(data, position)
    return position if padding is None else padding.end() - 1


def _changes_decoding(marker: int, body: bytes) -> bool:
    """Return whether libjpeg reads this segment, to learn the colour space of the pixels."""
    return (marker == _APP0 and body.startswith(b"JFIF\0") and len(body) >= 14) or (
        marker == _ADOBE and body.startswith(b"Adobe") and len(body) >= 12
    )


def _join_profile(parts: list[bytes]) -> bytes:
    """Join an ICC profile's parts, which begin with its number and the count; empty if incomplete."""
    in_order = sorted(part for part in parts if len(part) > 2)
    if [part[0] for part in in_order] != list(range(1, len(parts) + 1)):
        return b""
    if any(part[1] != len(parts) for part in in_order):
        return b""
    return b"".join(part[2:] for part in in_order)
