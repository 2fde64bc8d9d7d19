"""Reads MP4 boxes back, independently of the writer under test."""

import struct
from collections.abc import Iterator

CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"dinf", b"stbl", b"mvex", b"moof", b"traf"}
# Bytes between a box's header and its children.
PREAMBLES = {b"stsd": 8, b"dref": 8, b"avc1": 78}


def walk(data: bytes, parent: str = "") -> Iterator[tuple[str, bytes]]:
    """Yield (path, payload) of every box, parents first; raise ValueError where sizes do not fit."""
    position = 0
    while position < len(data):
        size, name = struct.unpack_from(">L4s", data, position)
        if size < 8 or position + size > len(data):
            raise ValueError(f"expected {name!r} inside {parent or 'file'!r}, got size {size} at {position}")
        path, payload = f"{parent}/{name.decode()}", data[position + 8 : position + size]
        yield path, payload
        if name in CONTAINERS or name in PREAMBLES:
            yield from walk(payload[PREAMBLES.get(name, 0) :], path)
        position += size


def payload_of(data: bytes, path: str) -> bytes:
    (payload,) = (payload for found, payload in walk(data) if found == path)
    return payload


def nal_types(sample: bytes) -> list[int]:
    """The types of the length-prefixed NAL units of a sample."""
    types, position = [], 0
    while position < len(sample):
        (size,) = struct.unpack_from(">L", sample, position)
        types.append(sample[position + 4] & 31)
        position += 4 + size
    if position != len(sample):
        raise ValueError(f"expected NAL units that fill {len(sample)} bytes, got {position}")
    return types
