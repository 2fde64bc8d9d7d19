"""The uvicorn server of a world: what it does every second, and how it stops."""

import asyncio
import faulthandler
import logging
import os
import socket
from collections.abc import Callable

import uvicorn

from worldplay.engine.engine import Engine
from worldplay.web.connections import Connections
from worldplay.web.freed_memory import FreedMemory, collect_freed
from worldplay.web.guarded_http import GuardedConfig
from worldplay.web.streams import Streams

logger = logging.getLogger(__name__)

# Together less than ten seconds, after which many supervisors kill a process that they stop.
CHUNK_S, CLOSE_S, REQUESTS_S = 3.0, 1.0, 3
READ_S = 2.0  # of REQUESTS_S, for clients to read what they are being sent
SHOWN_S = 5  # how long /health says that the engine has failed, before the process ends
LAST_S = 15.0  # after which a process that cannot stop is ended
EXIT_FAILED = 70  # EX_SOFTWARE: the engine has failed


class WorldServer(uvicorn.Server):
    """Serves until it gets a signal, or until the engine fails; then `has_failed` is true."""

    def __init__(
        self, config: GuardedConfig, engine: Engine, streams: Streams, connections: Connections
    ) -> None:
        super().__init__(config)
        self.has_failed = False
        self.on_stopping: Callable[[], None] = lambda: None  # heard when the server begins to stop
        self._engine = engine
        self._streams = streams
        self._connections = connections
        self._failed_s = 0
        self._memory = FreedMemory(collect_freed, lambda: engine.stats().counters.sessions_ended)

    async def main_loop(self) -> None:
        seconds = asyncio.create_task(_every_second(self._tick))
        try:
            await super().main_loop()
        finally:
            seconds.cancel()

    def _tick(self) -> None:
        self._connections.sweep()
        self._engine.tick()
        self._memory.tick()
        self._failed_s = 0 if self._engine.is_live else self._failed_s + 1
        if self._failed_s == 1:
            logger.critical("the engine has failed; the process will end, so that it can be started again")
            faulthandler.dump_traceback(all_threads=True)
        if self._failed_s > SHOWN_S and not self.has_failed:
            self.has_failed = self.should_exit = True
            asyncio.get_running_loop().call_later(LAST_S, os._exit, EXIT_FAILED)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: take no new clients, finish chunks, say bye, and then close what is left."""
        self.on_stopping()
        for server in self.servers:
            server.close()
        self._engine.stop_admission()
        await self._streams.end_all(CHUNK_S, CLOSE_S)
        asyncio.get_running_loop().call_later(READ_S, self._connections.abort)
        await super().shutdown(sockets)


async def _every_second(call: Callable[[], None]) -> None:
    """Call a function every second of the monotonic clock."""
    while True:
        await asyncio.sleep(1.0)
        call()
