"""Reads PNG files chunk by chunk, and skips chunks that do not change the picture."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

SIGNATURE = b"\x89PNG\r\n\x1a\n"
START = SIGNATURE + b"\0\0\0\rIHDR"  # the header comes first and has one length

# Ancillary chunks that change what a browser shows. Others, such as text, are ignored.
_ANCILLARY = {b"tRNS", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"eXIf", b"acTL"}


@dataclass(frozen=True, slots=True)
class Header:
    """IHDR."""

    width: int
    height: int
    depth: int
    color_type: int
    interlaced: bool


@dataclass(slots=True)
class Frame:
    """Compressed pixels and the rectangle that they fill."""

    width: int
    height: int
    x: int = 0
    y: int = 0
    data: list[memoryview] = field(default_factory=list)


@dataclass(slots=True)
class Chunks:
    """A file's contents."""

    header: Header
    palette: bytes | None = None
    ancillary: dict[bytes, bytes] = field(default_factory=dict)  # the first intact one of each type
    image: Frame = field(init=False)
    animation: list[Frame] = field(default_factory=list)  # the frames of an APNG; the first may be `image`

    def __post_init__(self) -> None:
        self.image = Frame(self.header.width, self.header.height)

    @property
    def first_frame(self) -> Frame:
        """Return what a browser shows first. An animation may begin with another frame than `image`."""
        if self.animation and self.animation[0].data:
            return self.animation[0]
        return self.image


def read_chunks(data: bytes) -> Chunks:
    """Read the chunks of a file that begins with START.

    Ancillary chunks with a wrong checksum are skipped, as browsers do.
    Raises: ValueError if a critical chunk is damaged, missing or unknown.
    """
    found = _split(memoryview(data))
    _, body = next(found, (b"", memoryview(b"")))
    chunks = Chunks(_read_header(body))
    for kind, body in found:
        if kind == b"IEND":
            break
        _add(chunks, kind, body)
    if not chunks.image.data:
        raise ValueError("there are no pixels")
    return chunks


def _split(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the intact chunks. A file may end without IEND."""
    position = len(SIGNATURE)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">L4s", data, position)
        body = data[position + 8 : position + 8 + length]
        checksum = data[position + 8 + length : position + 12 + length]
        critical = not kind[0] & 0x20 and kind != b"IEND"
        if zlib.crc32(body, zlib.crc32(kind)).to_bytes(4, "big") == checksum:
            yield kind, body
        elif critical:
            raise ValueError(f"the chunk {kind.decode('latin-1')!r} has a wrong checksum or is cut off")
        position += 12 + length


def _read_header(body: memoryview) -> Header:
    width, height, depth, color_type, compression, filtering, interlace = struct.unpack(">LLBBBBB", body)
    if compression or filtering or interlace > 1:
        raise ValueError(f"compression {compression}, filter {filtering}, interlace {interlace}")
    return Header(width, height, depth, color_type, bool(interlace))


def _add(chunks: Chunks, kind: bytes, body: memoryview) -> None:
    if kind == b"IDAT":
        chunks.image.data.append(body)
    elif kind == b"PLTE":
        _add_palette(chunks, bytes(body))
    elif kind == b"fcTL":
        _add_frame(chunks, body)
    elif kind == b"fdAT":
        if chunks.animation and chunks.animation[-1] is not chunks.image:
            chunks.animation[-1].data.append(body[4:])  # after its sequence number
    elif kind in _ANCILLARY:
        _add_ancillary(chunks, kind, bytes(body))
    elif not kind[0] & 0x20:
        raise ValueError(f"unexpected critical chunk {kind.decode('latin-1')!r}")


def _add_palette(chunks: Chunks, body: bytes) -> None:
    if chunks.palette is None and not chunks.image.data:
        chunks.palette = body
        chunks.ancillary.pop(b"tRNS", None)  # valid only after the palette


def _add_ancillary(chunks: Chunks, kind: bytes, body: bytes) -> None:
    """Add a chunk if it precedes the pixels; only EXIF may follow them."""
    if kind == b"eXIf" or not chunks.image.data:
        chunks.ancillary.setdefault(kind, body)


def _add_frame(chunks: Chunks, body: memoryview) -> None:
    """Add a frame of an animation. If a frame does not fit, the whole animation is ignored."""
    if not _is_animated(chunks):
        return
    width, height, x, y = struct.unpack_from(">LLLL", body, 4) if len(body) >= 20 else (0, 0, 0, 0)
    header = chunks.header
    if 0 < width <= header.width - x and 0 < height <= header.height - y:
        chunks.animation.append(Frame(width, height, x, y) if chunks.image.data else chunks.image)
    else:
        del chunks.ancillary[b"acTL"]
        chunks.animation.clear()


def _is_animated(chunks: Chunks) -> bool:
    control = chunks.ancillary.get(b"acTL", b"")
    return len(control) >= 8 and any(control[:4])
