"""The queue in front of a slow client."""

import asyncio

import pytest

from support.sent import MAX_CHUNKS
from worldplay.web.send_queue import MAX_MESSAGES, MAX_WAITING_FRAMES, SendQueue


async def drain(queue: SendQueue[str], count: int) -> list[str]:
    return [await asyncio.wait_for(queue.get(), 1) for _ in range(count)]


async def test_get_returns_items_in_order() -> None:
    queue: SendQueue[str] = SendQueue(lambda items: None)
    queue.put("init")
    queue.put("a", chunk=0)
    assert await drain(queue, 2) == ["init", "a"]


async def test_get_waits_for_the_next_item() -> None:
    queue: SendQueue[str] = SendQueue(lambda items: None)
    getting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not getting.done()
    queue.put("a")
    assert await getting == "a"


@pytest.mark.usefixtures("few_frames")
async def test_put_drops_the_oldest_whole_chunk_but_no_message() -> None:
    dropped: list[list[str]] = []
    queue: SendQueue[str] = SendQueue(dropped.append)
    queue.put("pong")
    for chunk in range(MAX_CHUNKS + 1):
        queue.put(f"{chunk}.0", chunk)
        queue.put(f"{chunk}.1", chunk)
    assert dropped == [["0.0", "0.1"]]
    assert await drain(queue, 3) == ["pong", "1.0", "1.1"]


@pytest.mark.usefixtures("few_frames")
async def test_put_drops_the_rest_of_a_chunk_that_was_partly_sent() -> None:
    queue: SendQueue[str] = SendQueue(lambda items: None)
    queue.put("0.0", 0)
    queue.put("0.1", 0)
    assert await queue.get() == "0.0"
    for chunk in range(1, MAX_CHUNKS + 1):
        queue.put(f"{chunk}.0", chunk)
        queue.put(f"{chunk}.1", chunk)
    assert await queue.get() == "1.0"


async def test_get_fails_once_there_were_more_messages_than_anybody_reads() -> None:
    queue: SendQueue[str] = SendQueue(lambda items: None)
    for _ in range(MAX_MESSAGES):
        queue.put("pong")
    assert await queue.get() == "pong"
    queue.put("pong")
    queue.put("one too many")
    with pytest.raises(BufferError, match="1000 messages"):
        await queue.get()


@pytest.mark.parametrize("frames_per_part", [16, 12, 4, 1])
async def test_two_seconds_wait_however_often_chunks_are_cut(frames_per_part: int) -> None:
    dropped: list[str] = []
    queue: SendQueue[str] = SendQueue(dropped.extend)
    for number in range(MAX_WAITING_FRAMES):
        if number % frames_per_part == 0:
            part = object()
            queue.put("chunk", part, is_frame=False)
        queue.put("frame", part)
    assert dropped == []
    queue.put("frame", object())
    assert dropped == ["chunk", *["frame"] * frames_per_part]


async def test_chunk_that_is_being_made_is_never_dropped() -> None:
    dropped: list[str] = []
    queue: SendQueue[str] = SendQueue(dropped.extend)
    for _ in range(MAX_WAITING_FRAMES + 1):
        queue.put("frame", 0)
    queue.put("pong")
    assert dropped == []
