"""What a client is sent, and its places on the media timeline."""

import asyncio

import pytest
from starlette.websockets import WebSocketDisconnect

from support.sender_client import Client, put_chunk
from support.sent import FRAMES, MAX_CHUNKS, TRACK, FakeSocket, connected, cut_of, report
from worldplay.protocol import messages as m
from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.web.outlet import Close
from worldplay.web.sender import Sender


async def test_frames_get_their_place_when_they_are_sent() -> None:
    client = Client()
    client.outlet.put(TRACK)
    for index in range(2):
        put_chunk(client, report(index))
    media = await client.sent("media")
    assert [(each["chunk"], each["frame"], each["key"]) for each in media] == [
        (0, 0, True),
        (0, 1, False),
        (1, 2, True),
        (1, 3, False),
    ]
    assert media[3]["time"] == pytest.approx(3 / 24)
    assert media[3]["data"] == TRACK.fragment(FRAMES[1], 3)


async def test_track_is_sent_as_the_init_segment() -> None:
    client = Client()
    client.outlet.put(TRACK)
    (init,) = await client.sent("init")
    assert (init["codec"], init["data"]) == (TRACK.codec, TRACK.init_segment)


@pytest.mark.usefixtures("few_frames")
async def test_dropped_chunks_leave_no_gap() -> None:
    client = Client()
    client.outlet.put(TRACK)
    for index in range(MAX_CHUNKS + 2):
        put_chunk(client, report(index))
    chunks = await client.sent("chunk")
    media = [each for each in client.socket.messages if each["type"] == "media"]
    assert [(chunk["index"], chunk["first_frame"]) for chunk in chunks] == [(2, 0), (3, 2), (4, 4)]
    assert [each["frame"] for each in media] == list(range(6))
    assert client.num_dropped == client.registry.get_sample_value("dropped_total") == 4


@pytest.mark.usefixtures("few_frames")
async def test_chunks_of_equal_number_are_told_apart() -> None:
    """After a `reset` the numbers begin again."""
    client = Client()
    client.outlet.put(TRACK)
    for _ in range(MAX_CHUNKS + 1):
        put_chunk(client, report(0))
    assert len(await client.sent("chunk")) == MAX_CHUNKS


async def test_latency_begins_at_the_chunk_that_includes_the_message() -> None:
    client = Client()
    client.latency.receive(7, now_ms=1000.0)
    client.outlet.put(TRACK)
    put_chunk(client, report(0))
    put_chunk(client, report(1, controls_seq=7))
    await client.sent("chunk")
    assert client.latency.show(2 / 24, now_ms=1500.0) == [500.0]


@pytest.mark.parametrize(("code", "closes_with"), [(ErrorCode.BAD_IMAGE, 1000), (ErrorCode.INTERNAL, 1011)])
async def test_error_is_told_and_counted(code: ErrorCode, closes_with: int) -> None:
    client = Client()
    client.outlet.put(ProtocolError(code, "expected nothing"))
    (error,) = await client.sent("error")
    assert (error["code"], client.socket.code) == (code.value, closes_with)
    assert client.registry.get_sample_value("errors_total", {"code": code.value}) == 1


@pytest.mark.parametrize(("fields", "told"), [((), None), (("taken_as", "revision"), (1, 3, 1))])
async def test_only_a_client_that_asks_gets_the_fields_of_a_cut(
    fields: tuple[str, ...], told: object
) -> None:
    client = Client(*fields)
    client.outlet.put(TRACK)
    whole = report(5)
    put_chunk(client, whole)
    put_chunk(client, cut_of(whole, 3))
    messages = await client.sent("chunk")
    media = [each for each in client.socket.messages if each["type"] == "media"]
    assert [(each["index"], each["first_frame"]) for each in messages] == [(5, 0), (5, 2)]
    assert (messages[1]["frames"], messages[1]["controls_seq"], len(messages[1]["poses"])) == (4, 7, 4)
    assert [(each["chunk"], each["frame"]) for each in media] == [(5, 0), (5, 1), (5, 2), (5, 3)]
    names = ("revision", "first_latent", "latents")
    assert tuple(messages[1][name] for name in names if name in messages[1]) == (told or ())


class SlowSocket(FakeSocket):
    """Sends a message each time that it is allowed to."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed = asyncio.Semaphore(0)

    async def send_bytes(self, data: bytes) -> None:
        await self.allowed.acquire()
        await super().send_bytes(data)


async def test_connection_that_ends_while_a_message_is_sent_takes_no_other() -> None:
    """What follows is for the connection that comes after it."""
    client, slow = Client(), SlowSocket()
    sending = asyncio.create_task(Sender(slow, connected(), client.outlet).run(timeout_s=1.0))  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    client.outlet.put(m.State(what="paused"))
    slow.allowed.release()
    await asyncio.sleep(0)  # now the message is sent, but the sender may not know yet
    sending.cancel()
    await asyncio.wait({sending}, timeout=0.5)
    assert sending.cancelled()
    assert [each["type"] for each in slow.messages] == ["welcome"]


class ClosedSocket:
    """uvicorn has closed it."""

    async def send_bytes(self, data: bytes) -> None:
        raise RuntimeError("Unexpected ASGI message 'websocket.send', after sending 'websocket.close'.")

    async def close(self, code: int) -> None:
        raise RuntimeError("Unexpected ASGI message 'websocket.close', after sending 'websocket.close'.")


@pytest.mark.parametrize("item", [m.State(what="paused"), Close(1000)])
async def test_socket_that_was_closed_because_nobody_answers_is_lost(item: m.State | Close) -> None:
    """Its walk waits for the client; after any other error the session would end."""
    client = Client()
    sending = Sender(ClosedSocket(), connected(), client.outlet)  # type: ignore[arg-type]
    client.outlet.put(item)
    with pytest.raises(WebSocketDisconnect):
        await sending.run(timeout_s=1.0)
