"""A bounded queue of what will be sent to one client. For a slow client the oldest chunks are dropped."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

# Two seconds. Pacing keeps one or two chunks waiting, unless the client does not read.
MAX_WAITING_FRAMES = 48
MAX_MESSAGES = 1000  # that belong to no chunk


def post(loop: asyncio.AbstractEventLoop, put: Callable[[Item], None], item: Item) -> None:
    """Call `put` on the event loop, from any thread."""
    try:
        loop.call_soon_threadsafe(put, item)
    except RuntimeError:  # the loop has ended with the server
        logger.debug("an item to send came after the server's end")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Item]):
    chunk: object | None
    item: Item
    is_frame: bool


class SendQueue(Generic[Item]):
    """A queue with one reader. An item may belong to a chunk, or to its rest after a cut: any object."""

    def __init__(self, on_drop: Callable[[list[Item]], None]) -> None:
        """on_drop gets the items of a chunk that is dropped."""
        self._items: deque[_Entry[Item]] = deque()
        self._ready = asyncio.Event()
        self._is_overfull = False
        self._on_drop = on_drop

    def put(
        self, item: Item, chunk: object | None = None, *, is_frame: bool = True, may_drop: bool = True
    ) -> None:
        """Add an item. If a message finds no room, it is dropped, and `get` fails from then on.

        Args:
            is_frame: of an item that belongs to a chunk: whether it counts as a frame.
            may_drop: of a message: whether what follows can be understood without it.
        """
        if may_drop and chunk is None and sum(entry.chunk is None for entry in self._items) >= MAX_MESSAGES:
            self._is_overfull = True
        else:
            self._items.append(_Entry(chunk, item, is_frame and chunk is not None))
            self._drop_oldest(chunk)
        self._ready.set()

    async def get(self) -> Item:
        """Wait for the next item. Raises: BufferError if a message found no room."""
        while not (self._items or self._is_overfull):
            self._ready.clear()
            await self._ready.wait()
        if self._is_overfull:
            raise BufferError(f"more than {MAX_MESSAGES} messages wait to be read")
        return self._items.popleft().item

    def discard(self, is_obsolete: Callable[[Item], bool]) -> None:
        """Remove items that nobody needs any more."""
        self._items = deque(entry for entry in self._items if not is_obsolete(entry.item))

    def begin_again(self) -> None:
        """Note that another reader begins: that messages found no room was the fault of the one before."""
        self._is_overfull = False

    def _drop_oldest(self, newest: object | None) -> None:
        """Drop the oldest chunks if too many frames wait. The next chunk begins with a keyframe."""
        while newest is not None and sum(entry.is_frame for entry in self._items) > MAX_WAITING_FRAMES:
            oldest = next(entry.chunk for entry in self._items if entry.chunk is not None)
            if oldest is newest:
                return
            self._on_drop([entry.item for entry in self._items if entry.chunk is oldest])
            self._items = deque(entry for entry in self._items if entry.chunk is not oldest)
