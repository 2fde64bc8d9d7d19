"""All open streams, and how they end when the server stops."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, get_args

from anyio import move_on_after

from worldplay.web.schemas import ClientState, StreamInfo

STATES: tuple[ClientState, ...] = get_args(ClientState)


class OpenStream(Protocol):
    """A stream, as the server sees it."""

    def describe(self) -> StreamInfo:
        """Say who it is and what it does."""
        ...

    def leave(self) -> None:
        """Finish the chunk in progress, say bye, and close."""
        ...

    def leave_now(self) -> None:
        """Say bye and close, whatever the engine does."""
        ...


class Streams:
    """The streams of all clients. Event loop only."""

    def __init__(self) -> None:
        self._open: set[OpenStream] = set()
        self._all_ended = asyncio.Event()

    @contextmanager
    def enter(self, stream: OpenStream) -> Iterator[None]:
        """Count a stream while this context is open."""
        self._open.add(stream)
        self._all_ended.clear()
        try:
            yield
        finally:
            self._open.discard(stream)
            if not self._open:
                self._all_ended.set()

    def describe(self) -> list[StreamInfo]:
        """Describe every stream, the oldest first."""
        return sorted((stream.describe() for stream in self._open), key=lambda info: -info.age_s)

    def count_states(self) -> dict[ClientState, int]:
        """Count the streams in each state."""
        counts = Counter(info.state for info in self.describe())
        return {state: counts[state] for state in STATES}

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
            with move_on_after(timeout_s):
                await self._all_ended.wait()
