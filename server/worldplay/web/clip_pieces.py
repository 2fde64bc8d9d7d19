"""Brings a clip's pieces from the encoding thread to the event loop."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.requests import Request

from worldplay.clips.file import ChunkDone, ClipFile, Data, Failed, Finished, PassDone, Piece
from worldplay.clips.plan import ClipPlan
from worldplay.engine.engine import Engine
from worldplay.web.answer import ClientGoneError
from worldplay.web.errors import clip_error
from worldplay.web.send_queue import post
from worldplay.world.world import World


@dataclass(frozen=True, slots=True)
class _Gone:
    """The client has left."""


class ClipPieces:
    """Receives the pieces of one clip, and notices if its client leaves."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Piece | _Gone] = asyncio.Queue()

    @contextmanager
    def make(self, world: World, engine: Engine, plan: ClipPlan, request: Request) -> Iterator[None]:
        """Make the clip while this context is open, and watch for the client to leave."""
        loop = asyncio.get_running_loop()
        clip = ClipFile(world, lambda piece: post(loop, self._queue.put_nowait, piece))
        watch = asyncio.create_task(self._watch(request))
        try:
            clip.begin(engine, plan)
            yield
        finally:
            clip.close()
            watch.cancel()

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the file, part by part.

        Raises: ApiError if the clip cannot be made; ClientGoneError if the client has left.
        """
        while True:
            match await self._queue.get():
                case Data(data):
                    yield data
                case PassDone() | ChunkDone():
                    pass
                case Finished():
                    return
                case Failed(code, message):
                    raise clip_error(code, message)
                case _Gone():
                    raise ClientGoneError

    async def _watch(self, request: Request) -> None:
        """Wait until the client leaves."""
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self._queue.put_nowait(_Gone())
