"""From the client to the engine: acts on each message."""

import asyncio
import logging
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from worldplay.engine.engine import Engine, monotonic_ms
from worldplay.engine.failures import REASONS
from worldplay.engine.session import Session
from worldplay.protocol import messages as m
from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.web.latency import LatencyTracker
from worldplay.web.listener import SessionListener
from worldplay.web.monitoring import Metrics
from worldplay.web.operator_metrics import OperatorMetrics
from worldplay.web.picture_decoding import PictureDecoding
from worldplay.web.sender import Close, Sender
from worldplay.web.translate import check_start, count_places, read_image, read_trajectory, welcome
from worldplay.world.machine import is_memory_short
from worldplay.world.pictures.fit import StartPicture
from worldplay.world.steering import WalkRequest
from worldplay.world.world import World

logger = logging.getLogger(__name__)

MAX_STALLS = 10  # counted for one report; more did not happen in 100 ms
_COMMANDS: dict[type[m.ClientMessage], Callable[[Session], None]] = {
    m.Pause: Session.pause,
    m.ResumeWalk: Session.resume,
    m.Step: Session.step,
    m.Reset: Session.reset,
}


class Receiver:
    """Acts on the messages of one client. Event loop only."""

    def __init__(
        self,
        world: World,
        engine: Engine,
        listener: SessionListener,
        sender: Sender,
        latency: LatencyTracker,
        metrics: Metrics,
        decoding: PictureDecoding,
        details: OperatorMetrics,
        fields: AbstractSet[str],
    ) -> None:
        """Act on what a client sends that knows these later `fields` of the protocol."""
        self._fields = fields
        self._world = world
        self._engine = engine
        self._listener = listener
        self._sender = sender
        self._latency = latency
        self._metrics = metrics
        self._decoding = decoding
        self._details = details
        self._num_stalls = 0

    async def handle(self, message: m.ClientMessage) -> bool:
        """Act on a message. Returns: whether the client may send more.

        Raises: ProtocolError if the request is not possible.
        """
        match message:
            case m.Hello():
                places = count_places(self._engine) if "places" in self._fields else None
                self._sender.put(welcome(self._world, self._engine.latch, self._fields, places))
            case m.Ping(t=t):
                self._sender.put(m.Pong(t=t, server=monotonic_ms()))
            case m.Stop():
                self._sender.put(m.Bye(reason="stopped"))
                self._sender.put(Close(1000))
                return False
            case m.Start():
                await self._start(message)
            case m.Poses():
                await self._follow_poses(message)
            case _:
                self._steer(message)
        return True

    async def _start(self, message: m.Start) -> None:
        check_start(message, self._world)
        if self._listener.session is None:
            self._check_room(has_picture=message.image is not None)
        view, picture = message.view, None
        if message.image is not None:
            picture, view = await self._decoding.run(self._read_picture, message.image)
        is_new = self._listener.session is None
        session = self._listener.open(self._engine)
        if is_new:
            logger.info("opened session %d", session.number)
        session.start(WalkRequest(view, picture, message.prompt, message.seed))
        if picture is not None and view is not None:
            self._sender.put(m.State(what="view", view=view))

    def _check_room(self, *, has_picture: bool) -> None:
        """Refuse a first walk, before its picture is decoded. Raises: ProtocolError (busy)."""
        if is_memory_short():
            raise ProtocolError(ErrorCode.BUSY, "the server is short of memory and takes no new walks")
        if has_picture and self._engine.is_full:  # without a picture the engine refuses, and counts it
            raise ProtocolError(ErrorCode.BUSY, REASONS["busy"])

    def _read_picture(self, data: bytes) -> tuple[StartPicture, str | None]:
        """Decode a picture to start from.

        Returns: the picture, and the name of the start view; None if the walk begins in the picture itself.
        """
        picture = self._world.cut(read_image(data))
        if self._world.own_pictures == "as_is":
            return picture, None
        return picture, self._world.start_view(None, picture).name

    def _session_for(self, message: m.ClientMessage) -> Session:
        session = self._listener.session
        if session is None:
            expected = f"expected a start that succeeds before {message.type}"
            raise ProtocolError(ErrorCode.BAD_REQUEST, f"{expected}, got none")
        return session

    async def _follow_poses(self, message: m.Poses) -> None:
        session = self._session_for(message)
        moves = await asyncio.to_thread(read_trajectory, message)  # hundreds of poses, or an hour of motions
        self._acknowledge(message.seq)
        session.poses(message.seq, moves)

    def _steer(self, message: m.ClientMessage) -> None:
        session = self._session_for(message)
        match message:
            case m.Controls(seq=seq, t=t, keys=keys, look=look):
                self._acknowledge(seq)
                session.controls(seq, t, frozenset(keys), look.yaw, look.pitch)
            case m.Playhead():
                self._follow_playhead(session, message)
            case m.Prompt(text=text):
                session.prompt(text)
            case m.Rewind(chunk=chunk):
                session.rewind(chunk)
            case _:
                _COMMANDS[type(message)](session)

    def _acknowledge(self, seq: int) -> None:
        """Note that the engine gets a control message, and tell the client if it wants to know."""
        now_ms = monotonic_ms()
        self._latency.receive(seq, now_ms)
        if "received" in self._fields:
            self._sender.put(m.Received(seq=seq, at=now_ms))

    def _follow_playhead(self, session: Session, playhead: m.Playhead) -> None:
        for latency_ms in self._latency.show(playhead.shown, monotonic_ms()):
            self._metrics.input_to_photon_s.observe(latency_ms / 1000.0)
        self._details.stalls.inc(max(0, min(playhead.stalled - self._num_stalls, MAX_STALLS)))
        self._num_stalls = max(self._num_stalls, playhead.stalled)
        session.playhead(playhead.shown, playhead.buffered, playhead.hidden)
