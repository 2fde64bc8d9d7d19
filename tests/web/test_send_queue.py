"""The queue in front of a slow page."""

import asyncio

import pytest

from worldplay.web.send_queue import MAX_CHUNKS, MAX_MESSAGES, Outbox


async def drain(outbox: Outbox[str], count: int) -> list[str]:
    return [await asyncio.wait_for(outbox.get(), 1) for _ in range(count)]


async def test_get_returns_items_in_order() -> None:
    outbox: Outbox[str] = Outbox(lambda items: None)
    outbox.put("init")
    outbox.put("a", chunk=0)
    assert await drain(outbox, 2) == ["init", "a"]


async def test_get_waits_for_the_next_item() -> None:
    outbox: Outbox[str] = Outbox(lambda items: None)
    getting = asyncio.create_task(outbox.get())
    await asyncio.sleep(0)
    assert not getting.done()
    outbox.put("a")
    assert await getting == "a"


async def test_put_drops_the_oldest_whole_chunk_but_no_message() -> None:
    dropped: list[list[str]] = []
    outbox: Outbox[str] = Outbox(dropped.append)
    outbox.put("pong")
    for chunk in range(MAX_CHUNKS + 1):
        outbox.put(f"{chunk}.0", chunk)
        outbox.put(f"{chunk}.1", chunk)
    assert dropped == [["0.0", "0.1"]]
    assert await drain(outbox, 3) == ["pong", "1.0", "1.1"]


async def test_put_drops_the_rest_of_a_chunk_that_was_partly_sent() -> None:
    outbox: Outbox[str] = Outbox(lambda items: None)
    outbox.put("0.0", 0)
    outbox.put("0.1", 0)
    assert await outbox.get() == "0.0"
    for chunk in range(1, MAX_CHUNKS + 1):
        outbox.put(f"{chunk}.0", chunk)
    assert await outbox.get() == "1.0"


async def test_get_fails_once_there_were_more_messages_than_anybody_reads() -> None:
    outbox: Outbox[str] = Outbox(lambda items: None)
    for _ in range(MAX_MESSAGES):
        outbox.put("pong")
    assert await outbox.get() == "pong"
    outbox.put("pong")
    outbox.put("one too many")
    with pytest.raises(BufferError, match="1000 messages"):
        await outbox.get()
