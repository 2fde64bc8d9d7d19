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
        self._is_overfull = False
        self._on_drop = on_drop

    def put(self, item: Item, chunk: int | None = None) -> None:
        """Add an item; if the page provokes messages without reading them, it is dropped, and `get` fails."""
        if chunk is None and sum(serial is None for serial, _ in self._items) >= MAX_MESSAGES:
            self._is_overfull = True
        else:
            self._items.append((chunk, item))
            self._drop_oldest()
        self._ready.set()

    async def get(self) -> Item:
        """Wait for the next item. Raises: BufferError if there was room for one no more."""
        while not (self._items or self._is_overfull):
            self._ready.clear()
            await self._ready.wait()
        if self._is_overfull:
            raise BufferError(f"more than {MAX_MESSAGES} messages wait to be read")
        return self._items.popleft()[1]

    def _drop_oldest(self) -> None:
        """A chunk begins with a keyframe, so whole chunks, or the rest of one, can be left out."""
        waiting = sorted({serial for serial, _ in self._items if serial is not None})
        if len(waiting) > MAX_CHUNKS:
            self._on_drop([item for serial, item in self._items if serial == waiting[0]])
            self._items = deque(pair for pair in self._items if pair[0] != waiting[0])
