"""No bytes whatsoever do anything but mean a map or be refused."""

from contextlib import suppress

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worldplay.protocol.connection import ClientConnection, ServerConnection
from worldplay.protocol.errors import ProtocolError
from worldplay.protocol.fields import Record
from worldplay.protocol.messages import (
    CLIENT_MESSAGES,
    SERVER_MESSAGES,
    Controls,
    Hello,
    Limits,
    Look,
    Media,
    Playhead,
    Poses,
    Queued,
    Start,
)
from worldplay.protocol.wire import MAX_MAP_ITEMS, SMALL_FRAME_BYTES, check_size, pack, unpack

LIMITS = Limits(
    message_bytes=1 << 20, image_bytes=900_000, image_pixels=1 << 24, prompt_chars=1000, poses=400
)
HELLO = pack(Hello(protocol=1))
START = pack(Start())
SLOW = [HealthCheck.too_slow]
fuzz = settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=SLOW)

counts = st.integers(0, 2**53 - 1)
numbers = st.floats(-1e6, 1e6)
looks = st.builds(Look, yaw=st.floats(-6, 6), pitch=st.floats(-6, 6))
keys = st.lists(st.sampled_from(["w", "s", "a", "d", "up", "down", "left", "right"]), unique=True)
poses = st.lists(st.lists(numbers, min_size=16, max_size=16), min_size=1, max_size=3)
client_messages = st.one_of(
    st.builds(Controls, seq=counts, t=numbers, keys=keys, look=looks),
    st.builds(
        Playhead,
        shown=st.floats(0, 1e9),
        buffered=st.floats(0, 1e9),
        stalled=counts,
        hidden=st.booleans(),
    ),
    st.builds(Poses, seq=counts, poses=poses),
    st.builds(
        Start,
        image=st.none() | st.binary(max_size=64),
        prompt=st.none() | st.text(max_size=64),
        seed=st.none() | st.integers(0, 2**32 - 1),
    ),
)
maps = st.dictionaries(
    st.sampled_from(["seq", "t", "keys", "look", "poses", "chunk", "text", "shown", "data", "index"]),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
        max_leaves=8,
    ),
)


def started() -> ServerConnection:
    server = ServerConnection(LIMITS)
    server.receive(HELLO, now_ms=0)
    server.receive(START, now_ms=0)
    return server


def receive_anything(frame: bytes) -> None:
    """Fails by any exception that is not a ProtocolError."""
    with suppress(ProtocolError):
        assert isinstance(started().receive(frame, now_ms=0), Record)
    with suppress(ProtocolError):
        assert isinstance(ClientConnection().receive(frame), Record)


@fuzz
@given(st.binary(max_size=256))
def test_random_bytes_are_refused(frame: bytes) -> None:
    receive_anything(frame)


@fuzz
@given(client_messages, st.data())
def test_mutated_messages_are_refused_or_mean_something(message: Record, data: st.DataObject) -> None:
    frame = bytearray(pack(message))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(frame)))
        frame[position : position + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    receive_anything(bytes(frame))


@fuzz
@given(st.sampled_from([*CLIENT_MESSAGES, *SERVER_MESSAGES]), maps)
def test_wrong_fields_are_refused_or_mean_something(kind: str, fields: dict[str, object]) -> None:
    receive_anything(msgpack.packb({"type": kind, **fields}))


@fuzz
@given(client_messages)
def test_messages_survive_the_wire(message: Record) -> None:
    assert started().receive(pack(message), now_ms=0) == message


def test_absent_optional_field_is_left_out_and_required_nil_is_sent() -> None:
    assert msgpack.unpackb(START) == {"type": "start"}
    assert msgpack.unpackb(pack(Queued(position=1, eta=None))) == {
        "type": "queued",
        "position": 1,
        "eta": None,
    }


def test_media_carries_its_bytes_unchanged() -> None:
    data = bytes(range(256)) * 40
    media = Media(
        chunk=1,
        frame=13,
        time=0.5,
        duration=0.04,
        key=True,
        decoded_at=1.5,
        decode=9.5,
        encode=0.5,
        data=data,
    )
    assert msgpack.unpackb(pack(media))["data"] == data


def test_what_a_stranger_sent_is_never_repeated_at_length() -> None:
    frame = msgpack.packb({"type": "stop", "x" * 60_000: "y"})
    with pytest.raises(ProtocolError) as caught:
        started().receive(frame, now_ms=0)
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    "frame",
    [
        b"\xdf\xff\xff\xff\xff" + b"\xa1a\x01" * 100_000,
        b"\x82\xa4type\xa5start\xa5image" + b"\x91" * 100_000,
        b"\x82\xa4type\xa5start\xa5image\xc6\x00\xff\xff\xff" + bytes(100_000),
        b"\xc1" * 100_000,
        b"\x90" * 100_000,
    ],
)
def test_large_frame_without_structure_is_malformed(frame: bytes) -> None:
    with pytest.raises(ProtocolError, match="malformed: expected one MessagePack map"):
        check_size(frame, 1 << 20)


def test_large_frame_of_small_values_is_refused_undecoded() -> None:
    frame = msgpack.packb({"type": "start", "image": [[0] * 1000] * 500})
    with pytest.raises(ProtocolError, match="too_large: expected at most 65536 bytes beside the image"):
        check_size(frame, 1 << 20)


def test_image_does_not_count_against_the_small_limit() -> None:
    frame = msgpack.packb({"image": bytes(500_000), "type": "start"})
    check_size(frame, 1 << 20)
    assert len(unpack(frame)["image"]) == 500_000


def test_frame_of_exactly_the_limit_passes() -> None:
    check_size(bytes(SMALL_FRAME_BYTES), 1 << 20)


def test_map_of_the_most_fields_is_decoded() -> None:
    fields = {str(number): number for number in range(MAX_MAP_ITEMS - 1)} | {"type": "start"}
    assert unpack(msgpack.packb(fields)) == fields
