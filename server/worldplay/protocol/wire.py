"""Converts bytes to MessagePack maps and back. Any fault in the bytes is a ProtocolError."""

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import msgpack

from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.protocol.fields import Record
from worldplay.wording import MESSAGE_PACK, show

SMALL_FRAME_BYTES = 64 * 1024  # the most in any frame, without counting the image of a `start`
MAX_ARRAY_ITEMS = 1024
MAX_MAP_ITEMS = 64


def pack(message: Record) -> bytes:
    """Encode one message; nested records become maps."""
    packed: bytes = msgpack.packb(message.to_map(), default=Record.to_map)
    return packed


def unpack(frame: bytes) -> dict[str, Any]:
    """Decode the map of a frame, in memory of a small multiple of the frame's size.

    Raises: ProtocolError (malformed) unless it is one map of distinct string keys with a string `type`.
    """
    try:
        value = msgpack.unpackb(
            frame,
            object_pairs_hook=_distinct_map,
            ext_hook=_refuse_ext,
            max_ext_len=0,
            max_array_len=MAX_ARRAY_ITEMS,
            max_map_len=MAX_MAP_ITEMS,
        )
    except msgpack.ExtraData as error:
        _malformed(f"expected one MessagePack map, got {len(error.extra)} bytes after it")
    except (ValueError, RecursionError) as error:
        _malformed(f"expected one MessagePack map, got {len(frame)} bytes that are not: {_reason(error)}")
    if not isinstance(value, dict):
        _malformed(f"expected a map, got {show(value, MESSAGE_PACK)}")
    if not isinstance(value.get("type"), str):
        _malformed(f"expected a map with a string `type`, got {show(value.get('type'), MESSAGE_PACK)}")
    return value


def check_size(frame: bytes, max_bytes: int) -> None:
    """Refuse a frame that is larger than its type may be, before anything is decoded.

    Raises: ProtocolError (too_large, or malformed where the frame has no structure to measure).
    """
    if len(frame) <= SMALL_FRAME_BYTES:
        return
    if len(frame) > max_bytes:
        _too_large(f"expected at most {max_bytes} bytes, got {len(frame)}")
    rest = len(frame) - _image_bytes(frame)
    if rest > SMALL_FRAME_BYTES:
        _too_large(f"expected at most {SMALL_FRAME_BYTES} bytes beside the image of a start, got {rest}")


def _image_bytes(frame: bytes) -> int:
    """Measure the `image` of a `start`; 0 for other types and for an `image` that is not bytes."""
    kind, image = b"", memoryview(b"")
    for key, value in _scan_fields(frame):
        if key == b"\xa4type":
            kind = bytes(value[:8])
        elif key == b"\xa5image" and bytes(value[:1]) in (b"\xc4", b"\xc5", b"\xc6"):
            image = value
    return len(image) if kind == b"\xa5start" else 0


def _scan_fields(frame: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the first bytes of each key of a map, and each value, in encoded form.

    Megabytes of nested arrays must not become Python objects before they are refused.
    """
    unpacker = msgpack.Unpacker(max_buffer_size=len(frame), max_array_len=MAX_ARRAY_ITEMS)
    unpacker.feed(frame)
    view = memoryview(frame)
    try:
        num_fields = unpacker.read_map_header()
        if num_fields > MAX_MAP_ITEMS:
            raise ValueError(f"a map of {num_fields} fields")
        for _ in range(num_fields):
            key, value = _skip(unpacker, view), _skip(unpacker, view)
            yield bytes(key[:8]), value
    except (ValueError, RecursionError, msgpack.OutOfData) as error:
        _malformed(f"expected one MessagePack map, got {len(frame)} bytes that are not: {_reason(error)}")


def _skip(unpacker: msgpack.Unpacker, frame: memoryview) -> memoryview:
    begin = unpacker.tell()
    unpacker.skip()
    return frame[begin : unpacker.tell()]


def _distinct_map(pairs: Sequence[tuple[object, object]]) -> dict[object, object]:
    items = dict(pairs)
    if not all(isinstance(key, str) for key in items):
        raise ValueError("a map key is not a string")
    if len(items) != len(pairs):
        raise ValueError("a map has the same key twice")
    return items


def _refuse_ext(code: int, data: bytes) -> NoReturn:
    raise ValueError(f"extension type {code} is not used here")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__  # msgpack's StackError and FormatError say nothing themselves


def _malformed(message: str) -> NoReturn:
    raise ProtocolError(ErrorCode.MALFORMED, message)


def _too_large(message: str) -> NoReturn:
    raise ProtocolError(ErrorCode.TOO_LARGE, message)
