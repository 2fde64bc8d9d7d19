"""Decodes the pictures of all clients one after the other: each may take half a gigabyte and a core."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar
from weakref import WeakValueDictionary

from worldplay.web.limits import BytesLimit
from worldplay.world.memory import release_memory

MAX_ADDRESS_BYTES, MAX_BYTES = 2**26, 2**27  # of what waits, of one address and in all

T = TypeVar("T")


class PicturesFullError(Exception):
    """Too many bytes wait to be decoded."""


class PictureDecoding:
    """Runs functions that decode pictures, one at a time, of all addresses in turn. Event loop only."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Semaphore(1)
        self._of_address: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._waiting = BytesLimit(MAX_ADDRESS_BYTES, MAX_BYTES)

    async def run(self, address: str, decode: Callable[[bytes], T], data: bytes) -> T:
        """Wait for the turn, and call a function in a thread. Its memory is given back to the system.

        Raises: PicturesFullError, and what the function raises.
        """
        if not self._waiting.add(address, len(data)):
            raise PicturesFullError
        try:
            async with self._of_address.setdefault(address, asyncio.Lock()):
                await self._one_at_a_time.acquire()
                decoding = asyncio.ensure_future(asyncio.to_thread(partial(_run, decode, data)))
                decoding.add_done_callback(self._release)
                return await asyncio.shield(decoding)  # a client that leaves does not end the thread
        finally:
            self._waiting.remove(address, len(data))

    def _release(self, decoding: "asyncio.Future[T]") -> None:
        self._one_at_a_time.release()
        if not decoding.cancelled():
            decoding.exception()  # if its client has left, nobody else reads it


def _run(decode: Callable[[bytes], T], data: bytes) -> T:
    try:
        return decode(data)
    finally:
        release_memory()
