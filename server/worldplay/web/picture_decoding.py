"""Decodes the pictures of all clients one after the other: each may take half a gigabyte and a core."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from worldplay.world.memory import release_memory

T = TypeVar("T")


class PictureDecoding:
    """Runs functions that decode pictures, one at a time. Event loop only."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Semaphore(1)

    async def run(self, decode: Callable[[bytes], T], data: bytes) -> T:
        """Wait for the turn, and call a function in a thread. Its memory is given back to the system."""
        await self._one_at_a_time.acquire()
        decoding = asyncio.ensure_future(asyncio.to_thread(partial(_run, decode, data)))
        decoding.add_done_callback(self._release)
        return await asyncio.shield(decoding)  # a client that leaves does not end the thread

    def _release(self, decoding: "asyncio.Future[T]") -> None:
        self._one_at_a_time.release()
        if not decoding.cancelled():
            decoding.exception()  # if its client has left, nobody else reads it


def _run(decode: Callable[[bytes], T], data: bytes) -> T:
    try:
        return decode(data)
    finally:
        release_memory()
