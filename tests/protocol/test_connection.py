"""The order of messages and the limits of a connection, by hand."""

import msgpack
import pytest

from worldplay.protocol.connection import ClientConnection, ServerConnection
from worldplay.protocol.errors import CLOSE_CODES, ErrorCode, ProtocolError
from worldplay.protocol.messages import (
    Bye,
    Chunk,
    ChunkShape,
    Controls,
    Hello,
    Init,
    LatentMotion,
    Limits,
    Look,
    Media,
    Ping,
    Pong,
    Rewind,
    ServerMessage,
    Start,
    State,
    Stop,
    Timings,
    Welcome,
    error_message,
)
from worldplay.protocol.rate import MESSAGES_BURST
from worldplay.protocol.wire import pack, unpack

LIMITS = Limits(message_bytes=80_000, image_bytes=1_000, image_pixels=1 << 20, prompt_chars=20, poses=4)
WELCOME = Welcome(
    protocol=1,
    session="s-1",
    secret="k-9",
    resumed=False,
    limits=LIMITS,
    worlds=(),
    model="embedded",
    fps=24,
    size=(224, 128),
    sizes=((224, 128),),
    chunk=ChunkShape(latents=4, frames=16, first_frames=13),
)
INIT = Init(codec="avc1.64000c", mime='video/mp4; codecs="avc1.64000c"', data=b"ftyp")
IDENTITY = (1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)


def chunk(index: int = 0, first_frame: int = 0, frames: int = 13) -> Chunk:
    return Chunk(
        index=index,
        first_frame=first_frame,
        frames=frames,
        controls_seq=None,
        latched_at=1.5,
        labels=(0,) * 4,
        motions=(LatentMotion(forward=0, right=0, yaw=0, pitch=0),) * 4,
        poses=(IDENTITY,) * 4,
        timings=Timings(select=0, context=1, denoise=2),
    )


def media(chunk: int = 0, frame: int = 0) -> Media:
    return Media(
        chunk=chunk,
        frame=frame,
        time=frame / 24,
        duration=1 / 24,
        key=frame == 0,
        decoded_at=2.5,
        decode=9,
        encode=1,
        data=b"moof",
    )


def controls(seq: int) -> bytes:
    return pack(Controls(seq=seq, t=1.5, keys=("w",), look=Look(yaw=0, pitch=0)))


def started(token: str | None = None) -> ServerConnection:
    server = ServerConnection(LIMITS, token)
    server.receive(pack(Hello(protocol=1, token=token)), now_ms=0)
    server.receive(pack(Start()), now_ms=0)
    return server


def test_messages_arrive_typed() -> None:
    server = started()
    assert server.receive(controls(3), now_ms=1) == Controls(
        seq=3, t=1.5, keys=("w",), look=Look(yaw=0, pitch=0)
    )
    assert server.receive(pack(Rewind(chunk=2)), now_ms=1) == Rewind(chunk=2)
    assert server.receive(pack(Stop()), now_ms=1) == Stop()


def test_ping_between_hello_and_start_is_legal() -> None:
    server = ServerConnection(LIMITS)
    server.receive(pack(Hello(protocol=1)), now_ms=0)
    assert server.receive(pack(Ping(t=5)), now_ms=0) == Ping(t=5)


def test_seq_is_counted_on_over_a_second_start() -> None:
    server = started()
    server.receive(controls(7), now_ms=0)
    server.receive(pack(Start(seed=1)), now_ms=0)
    with pytest.raises(ProtocolError, match="bad_order: expected a seq over 7, got 7"):
        server.receive(controls(7), now_ms=0)


def test_refused_start_image_leaves_the_connection_open() -> None:
    server = ServerConnection(LIMITS)
    server.receive(pack(Hello(protocol=1)), now_ms=0)
    with pytest.raises(ProtocolError) as caught:
        server.receive(pack(Start(image=bytes(1_001))), now_ms=0)
    assert not caught.value.fatal
    assert server.receive(pack(Start(image=bytes(1_000))), now_ms=0) == Start(image=bytes(1_000))


def test_token_is_checked_when_one_is_set() -> None:
    assert started(token="sésame")
    server = ServerConnection(LIMITS, "sésame")
    with pytest.raises(ProtocolError, match="unauthorized"):
        server.receive(pack(Hello(protocol=1, token="sesame")), now_ms=0)


def test_token_is_ignored_when_none_is_set() -> None:
    server = ServerConnection(LIMITS)
    assert server.receive(pack(Hello(protocol=1, token="any")), now_ms=0) == Hello(protocol=1, token="any")


def test_flood_is_refused_after_the_burst() -> None:
    server = started()
    for seq in range(MESSAGES_BURST - 2):
        server.receive(controls(seq), now_ms=0)
    with pytest.raises(ProtocolError, match="too_fast: expected at most 200 messages a second"):
        server.receive(controls(MESSAGES_BURST), now_ms=4)


def test_steady_rate_of_the_limit_is_never_refused() -> None:
    server = started()
    for seq in range(3000):
        server.receive(controls(seq), now_ms=5 * seq)


def test_server_speaks_in_the_documented_order() -> None:
    server, client = started(), ClientConnection()
    spoken: list[ServerMessage] = [
        WELCOME,
        INIT,
        chunk(),
        *[media(frame=frame) for frame in range(13)],
        chunk(1, 13, 16),
        media(1, 13),
        State(what="rewound", chunk=1),
        chunk(1, 14, 16),
        media(1, 14),
        INIT,
        chunk(0, 15),
        Pong(t=1, server=2),
        Bye(reason="stopped"),
    ]
    assert [client.receive(server.send(message)) for message in spoken] == spoken


@pytest.mark.parametrize(
    ("spoken", "fault"),
    [
        ([INIT], "expected welcome first, got init"),
        ([Pong(t=1, server=2)], "expected welcome first, got pong"),
        ([WELCOME, WELCOME], "expected welcome only once"),
        ([WELCOME, chunk()], "expected init first, got chunk"),
        ([WELCOME, INIT, media()], "expected media of the last chunk announced, got chunk 0"),
        ([WELCOME, INIT, chunk(), media(chunk=1)], "expected media of the last chunk announced, got chunk 1"),
        ([WELCOME, INIT, chunk(), INIT, media()], "expected media of the last chunk announced"),
        ([WELCOME, INIT, chunk(), media(frame=1)], "expected frame 0, got 1"),
        ([WELCOME, INIT, chunk(frames=1), media(), media(frame=1)], "expected no more than the chunk's 1"),
        ([WELCOME, INIT, chunk(), media(), chunk(1, 0)], "expected first_frame 1, got 0"),
        ([Bye(reason="full"), Bye(reason="full")], "expected nothing after bye"),
        ([error_message(ProtocolError(ErrorCode.BUSY, "full")), WELCOME], "expected nothing after bye"),
    ],
)
def test_server_out_of_order_is_noticed_at_both_ends(spoken: list[ServerMessage], fault: str) -> None:
    server, client = started(), ClientConnection()
    for message in spoken[:-1]:
        client.receive(server.send(message))
    with pytest.raises(AssertionError, match=fault):
        server.send(spoken[-1])
    with pytest.raises(ProtocolError, match=fault):
        client.receive(pack(spoken[-1]))


def test_server_greets_nobody_unasked() -> None:
    with pytest.raises(AssertionError, match="welcome before hello"):
        ServerConnection(LIMITS).send(WELCOME)


def test_error_is_told_before_any_hello() -> None:
    error = ProtocolError(ErrorCode.TEXT_FRAME, "expected a binary frame, got 2 characters of text")
    frame = ServerConnection(LIMITS).send(error_message(error))
    told = ClientConnection().receive(frame)
    assert told == error_message(error)
    assert (error.close_code, error.fatal, error.retryable) == (1003, True, False)


def test_every_code_has_a_close_code_or_none() -> None:
    assert set(CLOSE_CODES) == set(ErrorCode)


def test_text_frame_of_a_server_is_refused() -> None:
    with pytest.raises(ProtocolError, match="text_frame"):
        ClientConnection().receive("welcome")


def test_client_ignores_fields_that_a_newer_server_sends() -> None:
    client = ClientConnection()
    welcome = unpack(pack(WELCOME))
    welcome["limits"]["walks"] = 3
    assert client.receive(msgpack.packb({**welcome, "mood": "good"})) == WELCOME
