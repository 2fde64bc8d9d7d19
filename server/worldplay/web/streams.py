"""All open streams, and how they end when the server stops."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol


class Leaving(Protocol):
    """A stream that can be ended."""

    def leave(self) -> None:
        """Finish the chunk in progress, say bye, and close."""
        ...

    def leave_now(self) -> None:
        """Say bye and close, whatever the engine does."""
        ...


class Streams:
    """The streams of all clients. Event loop only."""

    def __init__(self) -> None:
        self._open: set[Leaving] = set()
        self._all_ended = asyncio.Event()

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def enter(self, stream: Leaving) -> Iterator[None]:
        """Count a stream while this context is open."""
        self._open.add(stream)
        self._all_ended.clear()
        try:
            yield
        finally:
            self._open.discard(stream)
            if not self._open:
                self._all_ended.set()

    async def end_all(self, chunk_s: float, close_s: float) -> None:
        """End every stream: first with its chunk, which may take `chunk_s`, then without."""
        for stream in list(self._open):
            stream.leave()
        await self._wait(chunk_s)
        for stream in list(self._open):
            stream.leave_now()
        await self._wait(close_s)

    async def _wait(self, timeout_s: float) -> None:
        if self._open:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._all_ended.wait(), timeout_s)
