"""uvicorn's HTTP/1.1 protocol with limits: connections, time for headers, small chunks, pipelined bytes."""

import asyncio
import re
from time import monotonic
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import get_remote_addr
from uvicorn.server import ServerState

from worldplay.protocol.rate import TokenBucket
from worldplay.web.connections import Connections
from worldplay.web.secured import SECURITY_HEADERS

MAX_PIPELINED_BYTES = 64 * 1024  # received while an earlier request is handled
MAX_HEADER_BYTES = 16 * 1024
MAX_HEADERS = 100  # each costs as much as a long one
_HEAD_END = re.compile(rb"\n\r?\n")
# Of the chunks of a body that are smaller than SMALL_CHUNK: each costs as much as a large one.
CHUNKS_PER_SECOND = 50
CHUNKS_BURST = 400
SMALL_CHUNK = 1024
_REST = b"".join(f"{name}: {value}\r\n".encode() for name, value in SECURITY_HEADERS.items())
_REST += b"connection: close\r\ncontent-length: 0\r\n\r\n"
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\n" + _REST
NOT_HTTP = b"HTTP/1.1 400 Bad Request\r\n" + _REST


class GuardedConfig(Config):
    """uvicorn's configuration, and the connections that its protocols share."""

    def __init__(self, app: Any, connections: Connections, **options: Any) -> None:
        super().__init__(app, **options)
        self.connections = connections


class _Parser(h11.Connection):
    """Reads requests, and refuses bodies of very many small chunks."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEADER_BYTES)
        self._chunks = TokenBucket(CHUNKS_PER_SECOND, CHUNKS_BURST)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        if self.their_state is h11.IDLE:
            head = _HEAD_END.split(self.trailing_data[0][:MAX_HEADER_BYTES], 1)[0]
            if head.count(b"\n") > MAX_HEADERS:
                raise h11.RemoteProtocolError("too many headers")
        event = super().next_event()
        is_small = isinstance(event, h11.Data) and event.chunk_end and len(event.data) < SMALL_CHUNK
        if is_small and not self._chunks.take(monotonic() * 1000.0):
            raise h11.RemoteProtocolError("too many small chunks")
        return event


class GuardedHttp(H11Protocol):
    """Refuses connections beyond the limits, and notices a client that leaves before its answer."""

    def __init__(
        self,
        config: GuardedConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limited = config.connections
        self.conn = _Parser()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        remote = get_remote_addr(transport)
        if self._limited.enter(transport, remote[0] if remote else None) is None:
            transport.write(_FULL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._limited.leave(self.transport)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._limited.note_request(self.transport)
        self._watch_pipeline()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, with the headers of all other responses."""
        self.transport.write(NOT_HTTP)
        self.transport.close()

    def on_response_complete(self) -> None:
        self._limited.expect_request(self.transport)
        before = self.cycle
        super().on_response_complete()
        if self.cycle is not before:  # a pipelined request
            self._limited.note_request(self.transport)

    def _watch_pipeline(self) -> None:
        """Keep reading while an answer is made. Otherwise nobody would notice the client leave."""
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            return
        if len(self.conn.trailing_data[0]) > MAX_PIPELINED_BYTES:
            self.transport.close()
        else:
            self.flow.resume_reading()
