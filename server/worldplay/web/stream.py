"""The WebSocket endpoint: one client's connection, from handshake to close."""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect

from worldplay.engine.engine import Engine, monotonic_ms
from worldplay.protocol import messages as m
from worldplay.protocol.connection import ServerConnection
from worldplay.protocol.errors import CLOSE_CODES, ErrorCode, ProtocolError
from worldplay.protocol.messages import SUBPROTOCOL
from worldplay.protocol.origin import is_allowed
from worldplay.settings import Settings
from worldplay.store.store import Store
from worldplay.web.limits import LIMITS
from worldplay.web.monitoring import Metrics
from worldplay.web.outlet import Close
from worldplay.web.receiver import Receiver
from worldplay.web.sender import Sender
from worldplay.web.translate import our_fault
from worldplay.web.visits import Visits
from worldplay.wording import show
from worldplay.world.world import World

logger = logging.getLogger(__name__)

HELLO_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0


class Stream:
    """Connects the parts of one connection: receiver, engine, listener, sender. Reads the client's frames."""

    def __init__(
        self,
        websocket: WebSocket,
        settings: Settings,
        world: World,
        engine: Engine,
        metrics: Metrics,
        visits: Visits,
        store: Store | None,
    ) -> None:
        self._websocket = websocket
        self._settings = settings
        self._visits = visits
        self._connection = ServerConnection(LIMITS, settings.token)
        fields = frozenset(websocket.query_params.get("fields", "").split(","))
        self._receiver = Receiver(world, engine, metrics, visits, store, self.dismiss, fields)
        self._sender = Sender(websocket, self._connection, self._receiver.visit.outlet)
        self._is_lost = False  # the client may come back
        self._is_dismissed = False
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    async def run(self) -> None:
        """Serve until either side ends the connection."""
        if not await self._accept():
            self._visits.end(self._receiver.visit)
            return
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._sender.run(self._settings.send_timeout_s))
        self._tasks = (reader, writer)
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and not reader.cancelled() and reader.exception() is None:
                await asyncio.wait({writer}, timeout=CLOSE_TIMEOUT_S)  # let the last messages be sent
        finally:
            for task in (reader, writer):
                task.cancel()
            outcomes = await asyncio.gather(reader, writer, return_exceptions=True)
            self._is_lost = self._is_lost or any(map(_is_loss, outcomes))
            self._leave()
            await self._close(_explain_end(outcomes))

    def dismiss(self) -> None:
        """End this connection, because its client has come back on another one."""
        self._is_dismissed = True
        for task in self._tasks:
            task.cancel()

    def _leave(self) -> None:
        visit = self._receiver.visit
        if not visit.is_attached(self.dismiss):
            return
        if self._is_lost:
            self._visits.lose(visit)
        else:
            self._visits.end(visit)

    async def _accept(self) -> bool:
        headers = self._websocket.headers
        origins, hosts = headers.getlist("origin"), headers.getlist("host")
        if not is_allowed(origins, hosts, self._settings.allow_origin):
            said = f"its Origin is {show(headers.get('origin'))}, the Host {show(headers.get('host'))}"
            logger.warning("refused a page of another site: %s (see docs/deploy.md)", said)
            await self._websocket.close(1008)
            return False
        offered = self._websocket.scope["subprotocols"]
        await self._websocket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        return True

    async def _close(self, code: int | None) -> None:
        if self._is_dismissed:
            code = CLOSE_CODES[ErrorCode.TAKEN_OVER]
            await self._tell_taken_over()
        if code is not None:
            # A client that does not read does not get the close code.
            with suppress(asyncio.TimeoutError, WebSocketDisconnect):
                await asyncio.wait_for(self._websocket.close(code), CLOSE_TIMEOUT_S)

    async def _tell_taken_over(self) -> None:
        error = ProtocolError(ErrorCode.TAKEN_OVER, "the session continues on another connection")
        with suppress(asyncio.TimeoutError, WebSocketDisconnect, RuntimeError):  # it is often dead
            data = self._connection.send(m.error_message(error))
            await asyncio.wait_for(self._websocket.send_bytes(data), CLOSE_TIMEOUT_S)

    async def _read(self) -> None:
        """Handle messages until the client leaves or must be disconnected."""
        try:
            goes_on = await asyncio.wait_for(self._take_frame(), HELLO_TIMEOUT_S)
            while goes_on:
                goes_on = await self._take_frame()
        except asyncio.TimeoutError:  # Python 3.10 has its own beside TimeoutError
            late = f"expected hello within {HELLO_TIMEOUT_S:.0f} s"
            self._put(ProtocolError(ErrorCode.BAD_ORDER, late))
        except WebSocketDisconnect:
            self._is_lost = True
            self._put(Close(1000))
        except Exception as error:  # the top of the endpoint: a fault of the server; the client is told
            logger.exception("a message could not be handled")
            self._put(our_fault(error))

    def _put(self, item: Close | ProtocolError) -> None:
        self._receiver.visit.outlet.put(item)

    async def _take_frame(self) -> bool:
        """Handle the next frame. Returns: whether the client may send more."""
        event = await self._websocket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code", 1006))
        frame = event.get("bytes")
        try:
            message = self._connection.receive(event["text"] if frame is None else frame, monotonic_ms())
            return await self._receiver.handle(message)
        except ProtocolError as error:
            self._put(error)
            return not error.fatal


def _is_loss(outcome: BaseException | None) -> bool:
    """Return whether a task ended because the client cannot be reached."""
    return isinstance(outcome, asyncio.TimeoutError | BufferError | WebSocketDisconnect)


def _explain_end(outcomes: Iterable[BaseException | None]) -> int | None:
    """Log why the tasks of a stream failed. Returns: the close code; None if none failed."""
    for outcome in outcomes:
        if isinstance(outcome, asyncio.TimeoutError | BufferError):
            logger.info("the client did not read for too long")
            return CLOSE_CODES[ErrorCode.SLOW_CONSUMER]
        if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
            logger.error("a stream failed", exc_info=outcome)
            return CLOSE_CODES[ErrorCode.INTERNAL]
    return None
