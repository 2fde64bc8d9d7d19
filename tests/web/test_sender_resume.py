"""What a client is sent that comes back on another connection."""

import pytest

from support.sender_client import Client, on_a_new_connection, put_chunk
from support.sent import FRAMES, TRACK, report, samples, welcome
from worldplay.protocol import messages as m
from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.web.outlet import Close, Resumption, Sample
from worldplay.web.send_queue import MAX_MESSAGES
from worldplay.web.sent_messages import REMEMBERED_FRAMES


async def test_client_that_comes_back_gets_what_was_sent_after_its_last_frame() -> None:
    client = Client()
    client.outlet.put(TRACK)
    for index in range(2):
        put_chunk(client, report(index))
    client.outlet.put(m.State(what="prompt", text="at night"))
    await client.sent("media")
    again = on_a_new_connection(client)
    assert client.outlet.resume(welcome(resumed=True), last_frame=1) == Resumption(2)
    put_chunk(client, report(2))
    await again.sent("media")
    kinds = [each["type"] for each in again.socket.messages]
    assert kinds == ["welcome", "chunk", "media", "media", "state", "chunk", "media", "media"]
    assert [each["frame"] for each in again.socket.messages if each["type"] == "media"] == [2, 3, 4, 5]


async def test_client_without_any_frame_gets_everything() -> None:
    client = Client()
    client.outlet.put(m.Queued(position=1, eta=None))
    client.outlet.put(TRACK)
    await client.sent("init")
    again = on_a_new_connection(client)
    assert client.outlet.resume(welcome(resumed=True), last_frame=None) == Resumption(0)
    await again.sent("init")
    assert [each["type"] for each in again.socket.messages] == ["welcome", "queued", "init"]


async def test_only_the_newest_news_wait_for_a_client_that_is_away() -> None:
    client = Client()
    client.outlet.put(TRACK)
    await client.sent("init")
    for number in range(MAX_MESSAGES + 1):
        client.outlet.put(m.Watchers(count=number))
        client.outlet.put(m.Queued(position=number + 1, eta=None))
    again = on_a_new_connection(client)
    client.outlet.resume(welcome(resumed=True), last_frame=None)
    await again.sent("queued")
    positions = [each["position"] for each in again.socket.messages if each["type"] == "queued"]
    assert positions == [MAX_MESSAGES + 1]


async def lost(num_chunks: int = REMEMBERED_FRAMES // 2 + 2) -> Client:
    """A client that was sent so many chunks, and the first two frames of another one."""
    client = Client()
    client.outlet.put(TRACK)
    for index in range(num_chunks):
        put_chunk(client, report(index))
        for _ in range(3):
            await client.outlet.next()
    put_chunk(client, report(1000, frames=5))
    for _ in range(5):
        await client.outlet.next()
    return client


def resend(client: Client, last_frame: int | None) -> tuple[Resumption, Client]:
    """Resume after a frame, and make the rest of the chunk, and another one."""
    again = on_a_new_connection(client)
    resumption = client.outlet.resume(welcome(resumed=True), last_frame)
    whole = report(1000, frames=5)
    client.outlet.put(Sample(whole, FRAMES[1], decoded_at_ms=1.0, decode_ms=2.0, encode_ms=3.0))
    put_chunk(client, report(1001))
    return resumption, again


KINDS = ["welcome", "init", "chunk", "media", "media", "media", "chunk", "media", "media"]


@pytest.mark.parametrize("last_frame", [1, None, 0])
async def test_client_that_lost_too_much_gets_the_newest_frames_at_once(last_frame: int | None) -> None:
    client = await lost()
    first = REMEMBERED_FRAMES + 4
    resumption, again = resend(client, last_frame)
    media = await again.sent("media")
    assert resumption == Resumption(2)
    assert [each["type"] for each in again.socket.messages] == KINDS
    chunks = [each for each in again.socket.messages if each["type"] == "chunk"]
    assert [(each["index"], each["first_frame"], each["frames"]) for each in chunks] == [
        (1000, first, 5),
        (1001, first + 3, 2),
    ]
    assert [(each["frame"], each["key"]) for each in media] == [
        (first, True),
        (first + 1, False),
        (first + 2, False),
        (first + 3, True),
        (first + 4, False),
    ]
    assert client.num_dropped == 0


async def test_timeline_does_not_go_back_for_a_client_that_has_later_frames() -> None:
    """The walk was on another server meanwhile, or the client is wrong."""
    client = await lost(num_chunks=0)
    resumption, again = resend(client, last_frame=499)
    media = await again.sent("media")
    assert resumption == Resumption(2, num_skipped=500)
    assert [each["frame"] for each in media] == list(range(500, 505))
    assert again.socket.messages[2]["first_frame"] == 500
    assert media[0]["time"] == pytest.approx(500 / 24)
    assert media[1]["data"] == TRACK.fragment(FRAMES[1], 501)
    twice = on_a_new_connection(client)
    assert client.outlet.resume(welcome(resumed=True), last_frame=501) == Resumption(3)
    assert [each["frame"] for each in await twice.sent("media")] == [502, 503, 504]


async def test_controls_of_an_earlier_connection_are_in_no_chunk() -> None:
    """Its `seq` may be higher than any of the new one's, which begins anew."""
    client = Client()
    client.outlet.put(TRACK)
    put_chunk(client, report(0, controls_seq=5010))
    await client.sent("media")
    put_chunk(client, report(1, controls_seq=5011, latched_ms=90.0))  # waits when the connection is lost
    again = on_a_new_connection(client)
    client.outlet.resume(welcome(resumed=True), last_frame=1)
    client.outlet.begin_connection(100.0)
    put_chunk(client, report(2, controls_seq=5011, latched_ms=95.0))  # was made, but not encoded
    put_chunk(client, report(3, controls_seq=1, latched_ms=120.0))
    told = [each["controls_seq"] for each in await again.sent("chunk")]
    assert told == [None, None, 1]


@pytest.mark.parametrize("last_frame", [0, 1])
async def test_chunk_that_is_sent_again_names_no_controls(last_frame: int) -> None:
    client = Client()
    client.outlet.put(TRACK)
    for index in range(2):
        put_chunk(client, report(index, controls_seq=5010))
    await client.sent("media")
    again = on_a_new_connection(client)
    client.outlet.resume(welcome(resumed=True), last_frame)
    told = await again.sent("chunk")
    assert [each["controls_seq"] for each in told] == [None] * len(told) != []


async def test_latency_counts_no_message_of_an_earlier_connection() -> None:
    client = Client()
    client.outlet.put(TRACK)
    client.latency.receive(5010, now_ms=10.0)
    client.outlet.resume(welcome(resumed=True), last_frame=None)
    client.outlet.begin_connection(100.0)
    client.latency.receive(1, now_ms=110.0)
    put_chunk(client, report(0, controls_seq=5010, latched_ms=90.0))
    put_chunk(client, report(1, controls_seq=1, latched_ms=120.0))
    await client.sent("media")
    assert client.latency.show(2 / 24, now_ms=150.0) == [40.0]


async def test_impossible_frame_moves_nothing() -> None:
    resumption, again = resend(await lost(num_chunks=0), last_frame=2**53 - 1)
    assert resumption == Resumption(2)
    assert [each["frame"] for each in await again.sent("media")] == list(range(5))


async def test_client_gets_no_frame_of_an_earlier_walk() -> None:
    client = await lost()
    client.outlet.put(TRACK)
    await client.outlet.next()
    again = on_a_new_connection(client)
    assert client.outlet.resume(welcome(resumed=True), last_frame=1) == Resumption(0)
    put_chunk(client, report(0))
    await again.sent("media")
    assert [each["type"] for each in again.socket.messages] == ["welcome", "init", "chunk", "media", "media"]


async def test_answers_to_a_lost_connection_are_not_for_the_next_one() -> None:
    client = Client()
    client.outlet.put(m.Pong(t=1.0, server=2.0))
    client.outlet.put(Close(1000))
    again = on_a_new_connection(client)
    client.outlet.resume(welcome(resumed=True), last_frame=None)
    await again.sent("pong")
    assert [each["type"] for each in again.socket.messages] == ["welcome"]


@pytest.mark.parametrize("is_sent", [True, False])
@pytest.mark.parametrize("last", [ProtocolError(ErrorCode.TOO_FAST, "too fast"), m.Bye(reason="stopping")])
async def test_what_ended_a_connection_does_not_end_the_next_one(
    last: ProtocolError | m.Bye, is_sent: bool
) -> None:
    client = Client()
    client.outlet.put(TRACK)
    client.outlet.put(last)
    if is_sent:
        await client.sent("init")
    again = on_a_new_connection(client)
    client.outlet.resume(welcome(resumed=True), last_frame=None)
    put_chunk(client, report(0))
    await again.sent("media")
    assert [each["type"] for each in again.socket.messages] == ["welcome", "init", "chunk", "media", "media"]


async def test_numbers_go_on_where_a_lost_session_ended() -> None:
    client = Client(first_frame=100)
    client.outlet.put(TRACK)
    put_chunk(client, report(7))
    media = await client.sent("media")
    assert [each["frame"] for each in media] == [100, 101]


async def test_client_that_read_too_slowly_may_come_back() -> None:
    """And gets the init of a walk that began meanwhile."""
    client = Client()
    for seq in range(MAX_MESSAGES + 1):
        client.outlet.put(m.Received(seq=seq, at=0.0))
    client.outlet.put(TRACK)
    with pytest.raises(BufferError):
        await client.outlet.next()
    again = on_a_new_connection(client)
    client.outlet.resume(welcome(resumed=True), last_frame=None)
    await again.sent("init")
    assert [each["type"] for each in again.socket.messages] == ["welcome", "init"]


async def test_chunk_of_which_no_frame_was_sent_is_announced_again() -> None:
    client = Client()
    client.outlet.put(TRACK)
    client.outlet.put(report(0))
    await client.sent("chunk")
    for sample in samples(report(0)):
        client.outlet.put(sample)
    again = on_a_new_connection(client)
    client.outlet.resume(welcome(resumed=True), last_frame=7)  # of another server
    await again.sent("media")
    assert [each["type"] for each in again.socket.messages][:4] == ["welcome", "init", "chunk", "media"]
