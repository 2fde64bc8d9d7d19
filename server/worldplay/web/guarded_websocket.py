"""uvicorn's WebSocket protocol with limits: frames, unfinished messages, answers that are not read."""

import asyncio
from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame

from worldplay.protocol.rate import TokenBucket
from worldplay.web.connections import Connections
from worldplay.web.guarded_http import NOT_HTTP, GuardedConfig

CLOSE_TIMEOUT_S = 2.0  # for the answer to a close frame
SLICE_BYTES = 8 * 1024  # parsed at once: up to 1300 frames
FIRST_MESSAGE_BYTES = 64 * 1024 + SLICE_BYTES  # before `hello` has come
MAX_UNREAD_BYTES = 2**20  # of answers to a client that does not read
# Of frames that are not whole messages: pings, pongs, and parts of messages that are smaller than SMALL_PART.
PARTS_PER_SECOND = 50
PARTS_BURST = 400
SMALL_PART = 1024
# More than the protocol allows, which answers with an error. Messages beyond this are dropped unread.
MESSAGES_PER_SECOND = 300
MESSAGES_BURST = 1000


class GuardedWebSocket(WebSocketsSansIOProtocol):
    """Ends connections that cost more than their messages count for."""

    def __init__(
        self,
        config: GuardedConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limited: Connections = config.connections
        self._parts = TokenBucket(PARTS_PER_SECOND, PARTS_BURST)
        self._messages = TokenBucket(MESSAGES_PER_SECOND, MESSAGES_BURST)
        self._has_ended = False
        self._has_dropped = False
        self._has_greeted = False
        self.close_timeout = CLOSE_TIMEOUT_S

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._limited.note_request(self.transport)
        if connection := self._limited.find(self.transport):
            connection.fail = self._fail

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_ended = True
        self._drop_large_messages()
        super().connection_lost(exc)
        self._limited.leave(self.transport)
        self._drop_unfinished()

    def data_received(self, data: bytes) -> None:
        """Parse slice by slice, so that no read holds the event loop for long."""
        if self._has_dropped:
            self._fail(1008, "too many messages")  # the protocol would have ended the session by now
        for start in range(0, len(data), SLICE_BYTES):
            if self._has_ended or self.transport.is_closing():
                return
            super().data_received(data[start : start + SLICE_BYTES])
            self._count_unfinished()
        if not self.handshake_initiated:  # the request came whole, so it could not be read
            self._has_ended = self.close_sent = True
            self.transport.write(NOT_HTTP)
            self.transport.close()

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # or a refusal would be reported as an unfinished handshake

    def handle_cont(self, event: Frame) -> None:
        if self._may_take_part(event):
            super().handle_cont(event)

    def handle_text(self, event: Frame) -> None:
        if self._may_take_part(event):
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        if self._may_take_part(event):
            super().handle_bytes(event)

    def handle_ping(self) -> None:
        if self._may_take_control():
            super().handle_ping()
            if self.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
                self._has_ended = True
                self.transport.abort()

    def handle_pong(self, event: Frame) -> None:
        if self._may_take_control():
            super().handle_pong(event)

    def send_receive_event_to_app(self) -> None:
        self._has_greeted = True
        if self._messages.take(self._now_ms()):
            super().send_receive_event_to_app()
        else:
            self.frames, self._has_dropped = [], True

    def _may_take_part(self, event: Frame) -> bool:
        if self._has_ended:
            return False
        if self.close_sent:
            self.frames = []
            return event.fin
        is_whole = event.fin and not self.frames
        if is_whole or len(event.data) >= SMALL_PART or self._parts.take(self._now_ms()):
            return True
        self._fail(1008, "too many small fragments")
        return False

    def _may_take_control(self) -> bool:
        if self._has_ended:
            return False
        if self._parts.take(self._now_ms()):
            return True
        self._fail(1008, "too many control frames")
        return False

    def _count_unfinished(self) -> None:
        connection = self._limited.find(self.transport)
        held = (self.conn.current_size or 0) + len(self.conn.reader.buffer)
        if not self._has_greeted and held > FIRST_MESSAGE_BYTES:
            self._fail(1009, "too large before hello")
        elif connection is not None and not self._limited.hold(connection, held):
            self._limited.make_room(FIRST_MESSAGE_BYTES)

    def _fail(self, code: int, reason: str) -> None:
        self._has_ended = True
        if self.conn.close_sent is None:
            self.conn.fail(code, reason)
            self.handle_parser_exception()
        self._drop_unfinished()

    def _drop_large_messages(self) -> None:
        """Free what was not read yet and is large. A `stop` is small, and still counts."""
        waiting = [self.queue.get_nowait() for _ in range(self.queue.qsize())]
        for event in waiting:
            data = event.get("bytes") if event["type"] == "websocket.receive" else None
            if data is None or len(data) <= SMALL_PART:
                self.queue.put_nowait(event)

    def _drop_unfinished(self) -> None:
        """Free what was received of a message; reference cycles would keep it until a rare collection."""
        self.frames = []
        self.conn.reader.buffer = bytearray()
        connection = self._limited.find(self.transport)
        if connection is not None:
            self._limited.hold(connection, 0)

    def _now_ms(self) -> float:
        return self.loop.time() * 1000.0
