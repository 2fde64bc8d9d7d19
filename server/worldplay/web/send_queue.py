"""A bounded queue of what will be sent to one client. For a slow client the oldest chunks are dropped."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

MAX_CHUNKS = 3  # waiting; pacing keeps it at one or two, unless the client does not read
MAX_MESSAGES = 1000  # that belong to no chunk


def post(loop: asyncio.AbstractEventLoop, put: Callable[[Item], None], item: Item) -> None:
    """Call `put` on the event loop, from any thread."""
    try:
        loop.call_soon_threadsafe(put, item)
    except RuntimeError:  # the loop has ended with the server
        logger.debug("an item to send came after the server's end")


class SendQueue(Generic[Item]):
    """A queue with one reader. An item may belong to a chunk, which can be any object."""

    def __init__(self, on_drop: Callable[[list[Item]], None]) -> None:
        """on_drop gets the items of a chunk that is dropped."""
        self._items: deque[tuple[object | None, Item]] = deque()
        self._ready = asyncio.Event()
        self._is_overfull = False
        self._on_drop = on_drop

    def put(self, item: Item, chunk: object | None = None) -> None:
        """Add an item. If a message finds no room, it is dropped, and `get` fails from then on."""
        if chunk is None and sum(chunk is None for chunk, _ in self._items) >= MAX_MESSAGES:
            self._is_overfull = True
        else:
            self._items.append((chunk, item))
            self._drop_oldest()
        self._ready.set()

    async def get(self) -> Item:
        """Wait for the next item. Raises: BufferError if a message found no room."""
        while not (self._items or self._is_overfull):
            self._ready.clear()
            await self._ready.wait()
        if self._is_overfull:
            raise BufferError(f"more than {MAX_MESSAGES} messages wait to be read")
        return self._items.popleft()[1]

    def discard(self, is_obsolete: Callable[[Item], bool]) -> None:
        """Remove items that nobody needs any more."""
        self._items = deque(pair for pair in self._items if not is_obsolete(pair[1]))

    def _drop_oldest(self) -> None:
        """Drop the oldest chunk if there are too many. The next chunk begins with a keyframe."""
        waiting = list({id(chunk): chunk for chunk, _ in self._items if chunk is not None}.values())
        if len(waiting) > MAX_CHUNKS:
            oldest = waiting[0]
            self._on_drop([item for chunk, item in self._items if chunk is oldest])
            self._items = deque(pair for pair in self._items if pair[0] is not oldest)
