"""The WebSocket endpoint: one client's connection, from handshake to close."""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic

from anyio import fail_after
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from worldplay.engine.engine import Engine, monotonic_ms
from worldplay.engine.session import Session
from worldplay.protocol import messages as m
from worldplay.protocol.connection import ServerConnection
from worldplay.protocol.errors import CLOSE_CODES, ErrorCode, ProtocolError
from worldplay.protocol.origin import is_allowed
from worldplay.settings import Settings
from worldplay.web.address_rates import AddressRates
from worldplay.web.connections import group_address
from worldplay.web.limits import LIMITS
from worldplay.web.logs import client_id
from worldplay.web.monitoring import Metrics
from worldplay.web.operator_metrics import OperatorMetrics
from worldplay.web.outlet import Close
from worldplay.web.picture_decoding import PictureDecoding
from worldplay.web.receiver import Receiver
from worldplay.web.schemas import ClientState, StreamInfo
from worldplay.web.sender import Sender
from worldplay.web.translate import our_fault
from worldplay.web.visits import Visits
from worldplay.wording import show
from worldplay.world.world import World

logger = logging.getLogger(__name__)

HELLO_TIMEOUT_S = 10.0
SILENCE_TIMEOUT_S = 300.0  # between hello and the first start; a page says ping every few seconds
START_TIMEOUT_S = 3600.0  # from hello to the first start
CLOSE_TIMEOUT_S = 2.0
SERVICE_RESTART = 1012
RESUME_IN_S = 5.0  # a server that is started again loads its model meanwhile


class Stream:
    """Connects the parts of one connection: receiver, engine, listener, sender. Reads the client's frames."""

    def __init__(
        self,
        websocket: WebSocket,
        settings: Settings,
        world: World,
        engine: Engine,
        metrics: Metrics,
        decoding: PictureDecoding,
        rates: AddressRates,
        details: OperatorMetrics,
        visits: Visits,
    ) -> None:
        self._websocket = websocket
        self._rates = rates
        self._engine = engine
        self._errors = metrics.protocol_errors
        self._client = client_id.get()
        self._began_s = monotonic()
        self._host = websocket.client.host if websocket.client else ""
        self._settings = settings
        self._connection = ServerConnection(LIMITS, settings.token)
        self._visits = visits
        fields = frozenset(websocket.query_params.get("fields", "").split(","))
        self._bye = m.Bye(
            reason="the server is stopping", resume_in=RESUME_IN_S if "resume_in" in fields else None
        )
        address = group_address(self._host)
        self._receiver = Receiver(
            world, engine, metrics, decoding, details, visits, self.dismiss, fields, address
        )
        self._sender = Sender(websocket, self._connection, self._receiver.visit.outlet)
        self._is_lost = False  # the client may come back
        self._is_dismissed = False
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    def leave(self) -> None:
        """End because the server stops: finish the chunk in progress, say bye, and close."""
        visit = self._receiver.visit
        if visit.session is None:
            self.leave_now()
        else:
            visit.listener.leave([self._bye, Close(SERVICE_RESTART)])

    def leave_now(self) -> None:
        """End because the server stops, whatever the engine does."""
        self._put(self._bye)
        self._put(Close(SERVICE_RESTART))

    def describe(self) -> StreamInfo:
        """Say who this is and what it does, for the operator."""
        session = self._receiver.visit.session
        now_s = monotonic()
        return StreamInfo(
            client=self._client,
            address=self._host,
            state=self._state(session),
            session=None if session is None else session.number,
            age_s=round(now_s - self._began_s, 1),
            idle_s=None if session is None else round(now_s - session.activity.input_ms / 1000.0, 1),
            frames=self._num_frames(),
        )

    def _num_frames(self) -> int:
        watcher = self._receiver.watcher
        return (self._receiver.visit.outlet if watcher is None else watcher).num_frames

    def _state(self, session: Session | None) -> ClientState:
        if self._receiver.watcher is not None:
            return "watching"
        if session is None:
            return "choosing" if self._connection.has_greeted else "greeting"
        place = self._engine.place_of(session)
        return "paused" if place == "walking" and session.is_paused else place

    async def run(self) -> None:
        """Serve until either side ends the connection."""
        is_accepted = False
        try:
            is_accepted = await self._accept()
        finally:
            if not is_accepted:
                self._visits.end(self._receiver.visit)
        if not is_accepted:
            return
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._sender.run(self._settings.send_timeout_s))
        self._tasks = (reader, writer)
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and not reader.cancelled() and reader.exception() is None:
                await asyncio.wait({writer}, timeout=CLOSE_TIMEOUT_S)  # let the last messages be sent
            elif writer.done() and not writer.cancelled() and _is_loss(writer.exception()):
                await asyncio.wait({reader}, timeout=CLOSE_TIMEOUT_S)  # a `stop` may have come before
        finally:
            for task in (reader, writer):
                task.cancel()
            outcomes = await asyncio.gather(reader, writer, return_exceptions=True)
            lost = self._is_lost or any(map(_is_loss, outcomes))
            self._is_lost = lost and not self._connection.has_stopped
            self._detach()
            error = _explain_end(outcomes)
            await self._close(None if error is None else self._end_with(error))

    def dismiss(self) -> None:
        """End this connection, because its client has come back on another one."""
        self._is_dismissed = True
        for task in self._tasks:
            task.cancel()

    def _detach(self) -> None:
        """Leave the visit to wait for its client, or end it."""
        if self._receiver.watcher is not None:
            self._receiver.watcher.leave()
            return
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
            refusal = PlainTextResponse("pages of other sites may not walk here", 403)
            await self._websocket.send_denial_response(refusal)
            return False
        offered = self._websocket.scope["subprotocols"]
        await self._websocket.accept(m.SUBPROTOCOL if m.SUBPROTOCOL in offered else None)
        return True

    async def _close(self, code: int | None) -> None:
        if self._is_dismissed:
            code = self._end_with(ErrorCode.TAKEN_OVER)
            await self._tell_taken_over()
        if code is not None and self._websocket.application_state is WebSocketState.CONNECTED:
            # A client that does not read does not get the close code.
            with suppress(TimeoutError, WebSocketDisconnect), fail_after(CLOSE_TIMEOUT_S):
                await self._websocket.close(code)

    def _end_with(self, error: ErrorCode) -> int | None:
        """Count the error that ends the connection. Returns: its close code."""
        self._errors.labels(error.value).inc()
        return CLOSE_CODES[error]

    async def _tell_taken_over(self) -> None:
        error = ProtocolError(ErrorCode.TAKEN_OVER, "the session continues on another connection")
        with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):  # it is often dead
            data = self._connection.send(m.error_message(error))
            with fail_after(CLOSE_TIMEOUT_S):
                await self._websocket.send_bytes(data)

    async def _read(self) -> None:
        """Handle messages until the client leaves or must be disconnected."""
        try:
            goes_on = await self._take_frame(HELLO_TIMEOUT_S)
            while goes_on:
                await asyncio.sleep(0)  # others first: many frames may have come together
                goes_on = await self._take_frame(self._patience_s())
        except TimeoutError:
            self._explain_silence()
        except WebSocketDisconnect:
            self._is_lost = True
            self._put(Close(1000))
        except Exception as error:  # the top of the endpoint: a fault of the server; the client is told
            logger.exception("a message could not be handled")
            self._put(our_fault(error))

    def _put(self, item: m.ServerMessage | Close | ProtocolError) -> None:
        self._receiver.put(item)

    def _patience_s(self) -> float | None:
        """Return how long to wait for the next message. A client with video may say nothing for ever."""
        if self._receiver.visit.session is not None or self._receiver.watcher is not None:
            return None
        return max(0.0, min(SILENCE_TIMEOUT_S, self._began_s + START_TIMEOUT_S - monotonic()))

    def _explain_silence(self) -> None:
        if self._connection.has_greeted:
            self._put(m.Bye(reason="no walk was started"))
            self._put(Close(1000))
        else:
            late = f"expected hello within {HELLO_TIMEOUT_S:.0f} s"
            self._put(ProtocolError(ErrorCode.BAD_ORDER, late))

    async def _take_frame(self, patience_s: float | None) -> bool:
        """Handle the next frame. Returns: whether the client may send more. Raises: TimeoutError."""
        with fail_after(patience_s):
            event = await self._websocket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code", 1006))
        frame: bytes | str = event["text"] if event.get("bytes") is None else event["bytes"]
        try:
            self._rates.charge(self._host, len(frame), monotonic_ms())
            message = self._connection.receive(frame, monotonic_ms())
            return await self._receiver.handle(message)
        except ProtocolError as error:
            self._put(error)
            return not error.fatal


def _is_loss(outcome: BaseException | None) -> bool:
    """Return whether a task ended because the client cannot be reached."""
    return isinstance(outcome, TimeoutError | BufferError | WebSocketDisconnect)


def _explain_end(outcomes: Iterable[BaseException | None]) -> ErrorCode | None:
    """Log why the tasks of a stream failed. Returns: the error; None if none failed."""
    for outcome in outcomes:
        if isinstance(outcome, TimeoutError | BufferError):
            logger.info("the client did not read for too long")
            return ErrorCode.SLOW_CONSUMER
        if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
            logger.error("a stream failed", exc_info=outcome)
            return ErrorCode.INTERNAL
    return None
