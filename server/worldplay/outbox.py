"""What waits to be sent to one page: bounded, and when the page is too slow the newest chunks win."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")

MAX_CHUNKS = 3  # waiting; pacing keeps it at one or two, a page that does not read gets here
MAX_MESSAGES = 1000  # that belong to no chunk


class Outbox(Generic[Item]):
    """A queue with one reader. Items of one chunk share a serial number; other items have None."""

    def __init__(self, on_drop: Callable[[list[Item]], None]) -> None:
        """on_drop is given what of a chunk is thrown away."""
        self._items: deque[tuple[int | None, Item]] = deque()
        self._ready = asyncio.Event()
        self._on_drop = on_drop

    def put(self, item: Item, chunk: int | None = None) -> None:
        """Add an item. Raises: BufferError if a page provokes messages without reading them."""
        self._items.append((chunk, item))
        if chunk is None:
            if sum(serial is None for serial, _ in self._items) > MAX_MESSAGES:
                raise BufferError(f"more than {MAX_MESSAGES} messages wait to be read")
        else:
            self._drop_oldest()
        self._ready.set()

    async def get(self) -> Item:
        """Wait for the next item."""
        while not self._items:
            self._ready.clear()
            await self._ready.wait()
        return self._items.popleft()[1]

    def _drop_oldest(self) -> None:
        """A chunk begins with a keyframe, so whole chunks, or the rest of one, can be left out."""
        waiting = sorted({serial for serial, _ in self._items if serial is not None})
        if len(waiting) > MAX_CHUNKS:
            self._on_drop([item for serial, item in self._items if serial == waiting[0]])
            self._items = deque(pair for pair in self._items if pair[0] != waiting[0])
