"""The WebSocket endpoint: one client's connection, from handshake to close."""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic

from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from worldplay.engine.engine import Engine, monotonic_ms
from worldplay.engine.session import Session
from worldplay.protocol import messages as m
from worldplay.protocol.connection import ServerConnection
from worldplay.protocol.errors import CLOSE_CODES, ErrorCode, ProtocolError
from worldplay.protocol.origin import is_allowed
from worldplay.settings import Settings
from worldplay.web.address_rates import AddressRates
from worldplay.web.latency import LatencyTracker
from worldplay.web.limits import LIMITS
from worldplay.web.listener import SessionListener
from worldplay.web.logs import client_id
from worldplay.web.monitoring import Metrics
from worldplay.web.operator_metrics import OperatorMetrics
from worldplay.web.picture_decoding import PictureDecoding
from worldplay.web.receiver import Receiver
from worldplay.web.schemas import ClientState, StreamInfo
from worldplay.web.send_queue import post
from worldplay.web.sender import Close, Sender
from worldplay.web.translate import our_fault
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
    ) -> None:
        self._websocket = websocket
        self._rates = rates
        self._engine = engine
        self._client = client_id.get()
        self._began_s = monotonic()
        self._host = websocket.client.host if websocket.client else ""
        self._settings = settings
        self._connection = ServerConnection(LIMITS, settings.token)
        latency, loop = LatencyTracker(), asyncio.get_running_loop()
        fields = frozenset(websocket.query_params.get("fields", "").split(","))
        self._bye = m.Bye(
            reason="the server is stopping", resume_in=RESUME_IN_S if "resume_in" in fields else None
        )
        self._listener = SessionListener(
            world,
            lambda item: post(loop, self._sender.put, item),
            tells_taken_as="taken_as" in fields,
            tells_yielded="yielded" in fields,
            on_yielded=lambda reason: post(loop, details.count_yielded, reason),
        )
        self._sender = Sender(websocket, self._connection, latency, metrics, self._listener.drop, fields)
        self._receiver = Receiver(
            world, engine, self._listener, self._sender, latency, metrics, decoding, details, fields
        )

    def leave(self) -> None:
        """End because the server stops: finish the chunk in progress, say bye, and close."""
        if self._listener.session is None:
            self.leave_now()
        else:
            self._listener.leave([self._bye, Close(SERVICE_RESTART)])

    def leave_now(self) -> None:
        """End because the server stops, whatever the engine does."""
        self._sender.put(self._bye)
        self._sender.put(Close(SERVICE_RESTART))

    def describe(self) -> StreamInfo:
        """Say who this is and what it does, for the operator."""
        session = self._listener.session
        now_s = monotonic()
        return StreamInfo(
            client=self._client,
            address=self._host,
            state=self._state(session),
            session=None if session is None else session.number,
            age_s=round(now_s - self._began_s, 1),
            idle_s=None if session is None else round(now_s - session.activity.input_ms / 1000.0, 1),
            frames=self._sender.num_frames,
        )

    def _state(self, session: Session | None) -> ClientState:
        if session is None:
            return "choosing" if self._connection.has_greeted else "greeting"
        place = self._engine.place_of(session)
        return "paused" if place == "walking" and session.is_paused else place

    async def run(self) -> None:
        """Serve until either side ends the connection. The session is closed in every case."""
        if not await self._accept():
            return
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._sender.run(self._settings.send_timeout_s))
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and not reader.cancelled() and reader.exception() is None:
                await asyncio.wait({writer}, timeout=CLOSE_TIMEOUT_S)  # let the last messages be sent
        finally:
            self._listener.close()
            for task in (reader, writer):
                task.cancel()
            outcomes = await asyncio.gather(reader, writer, return_exceptions=True)
            await self._close(_explain_end(outcomes))

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
        if code is not None:
            # A client that does not read does not get the close code.
            with suppress(asyncio.TimeoutError, WebSocketDisconnect):
                await asyncio.wait_for(self._websocket.close(code), CLOSE_TIMEOUT_S)

    async def _read(self) -> None:
        """Handle messages until the client leaves or must be disconnected."""
        try:
            goes_on = await asyncio.wait_for(self._take_frame(), HELLO_TIMEOUT_S)
            while goes_on:
                await asyncio.sleep(0)  # others first: many frames may have come together
                goes_on = await asyncio.wait_for(self._take_frame(), self._patience_s())
        except asyncio.TimeoutError:  # Python 3.10 has its own beside TimeoutError
            self._explain_silence()
        except WebSocketDisconnect:
            self._sender.put(Close(1000))
        except Exception as error:  # the top of the endpoint: a fault of the server; the client is told
            logger.exception("a message could not be handled")
            self._sender.put(our_fault(error))

    def _patience_s(self) -> float | None:
        """Return how long to wait for the next message. A client that walks may say nothing for ever."""
        if self._listener.session is not None:
            return None
        return max(0.0, min(SILENCE_TIMEOUT_S, self._began_s + START_TIMEOUT_S - monotonic()))

    def _explain_silence(self) -> None:
        if self._connection.has_greeted:
            self._sender.put(m.Bye(reason="no walk was started"))
            self._sender.put(Close(1000))
        else:
            late = f"expected hello within {HELLO_TIMEOUT_S:.0f} s"
            self._sender.put(ProtocolError(ErrorCode.BAD_ORDER, late))

    async def _take_frame(self) -> bool:
        """Handle the next frame. Returns: whether the client may send more."""
        event = await self._websocket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code", 1006))
        frame: bytes | str = event["text"] if event.get("bytes") is None else event["bytes"]
        try:
            self._rates.charge(self._host, len(frame), monotonic_ms())
            message = self._connection.receive(frame, monotonic_ms())
            return await self._receiver.handle(message)
        except ProtocolError as error:
            self._sender.put(error)
            return not error.fatal


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
