"""How much a client may ask for in a time."""

from collections.abc import Callable

import pytest

from worldplay.protocol.connection import ServerConnection
from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.protocol.messages import ClientMessage, Controls, Hello, Limits, Look, Poses, Prompt, Start
from worldplay.protocol.rate import TokenBucket
from worldplay.protocol.wire import pack

LIMITS = Limits(message_bytes=2**20, image_bytes=1_000, image_pixels=1 << 20, prompt_chars=20, poses=400)
IDENTITY = (1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)


def started() -> ServerConnection:
    server = ServerConnection(LIMITS)
    for message in (Hello(protocol=1), Start()):
        server.receive(pack(message), now_ms=0)
    return server


def test_bucket_takes_as_much_as_it_holds() -> None:
    bucket = TokenBucket(per_second=1000, burst=10)
    assert bucket.take(0, cost=10)
    assert not bucket.take(0)
    assert bucket.take(1)


@pytest.mark.parametrize(
    ("dear", "most"),
    [
        (lambda seq: Poses(seq=seq, poses=(IDENTITY,) * 400), 40),
        (lambda seq: Poses(seq=seq, pose_string="w-21600"), 40),
        (lambda seq: Prompt(text="x"), 100),
        (lambda seq: Start(seed=seq), 40),
        (lambda seq: Start(image=b"x"), 4),
    ],
)
def test_dear_messages_are_refused_sooner(dear: Callable[[int], ClientMessage], most: int) -> None:
    server = started()
    with pytest.raises(ProtocolError, match="too_fast: expected less work than these"):
        _send_all(server, [dear(seq) for seq in range(1 + most)])


def _send_all(server: ServerConnection, messages: list[ClientMessage]) -> None:
    for message in messages:
        server.receive(pack(message), now_ms=0)


def test_keys_do_not_count_as_work() -> None:
    server = started()
    for seq in range(5000):
        look = Look(yaw=0, pitch=0)
        server.receive(pack(Controls(seq=seq, t=0, keys=("w",), look=look)), now_ms=5 * seq)


def test_megabytes_a_second_are_too_fast() -> None:
    server, codes = ServerConnection(LIMITS), set[ErrorCode]()
    for _ in range(61):
        with pytest.raises(ProtocolError) as refused:
            server.receive(bytes(70_000), now_ms=0)
        codes.add(refused.value.code)
    assert ErrorCode.TOO_FAST in codes
