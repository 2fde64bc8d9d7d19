"""The queue in front of a slow client."""

import asyncio

import pytest

from worldplay.web.send_queue import MAX_CHUNKS, MAX_MESSAGES, SendQueue


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


async def test_put_drops_the_oldest_whole_chunk_but_no_message() -> None:
    dropped: list[list[str]] = []
    queue: SendQueue[str] = SendQueue(dropped.append)
    queue.put("pong")
    for chunk in range(MAX_CHUNKS + 1):
        queue.put(f"{chunk}.0", chunk)
        queue.put(f"{chunk}.1", chunk)
    assert dropped == [["0.0", "0.1"]]
    assert await drain(queue, 3) == ["pong", "1.0", "1.1"]


async def test_put_drops_the_rest_of_a_chunk_that_was_partly_sent() -> None:
    queue: SendQueue[str] = SendQueue(lambda items: None)
    queue.put("0.0", 0)
    queue.put("0.1", 0)
    assert await queue.get() == "0.0"
    for chunk in range(1, MAX_CHUNKS + 1):
        queue.put(f"{chunk}.0", chunk)
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
