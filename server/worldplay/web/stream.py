"""The WebSocket endpoint: joins protocol, engine and encoder for one visitor, and nothing else does."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

from starlette.websockets import WebSocket, WebSocketDisconnect

from worldplay.engine.engine import Engine
from worldplay.engine.ports import ChunkReport, Frames
from worldplay.engine.session import Session
from worldplay.media.encoder import EncodedFrame
from worldplay.media.track import VideoTrack
from worldplay.protocol import messages as m
from worldplay.protocol.connection import ServerConnection
from worldplay.protocol.errors import CLOSE_CODES, ErrorCode, ProtocolError
from worldplay.settings import Settings
from worldplay.web.latency import PhotonClock
from worldplay.web.monitoring import Metrics
from worldplay.web.origin import describe_origin, is_allowed
from worldplay.web.send_queue import Outbox
from worldplay.web.translate import LIMITS, check_start, read_image, read_trajectory, welcome
from worldplay.world.images import StartPicture
from worldplay.world.steering import WalkRequest
from worldplay.world.world import World

logger = logging.getLogger(__name__)

HELLO_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0


def now_ms() -> float:
    """The server clock of the protocol."""
    return time.monotonic() * 1000.0


@dataclass(frozen=True, slots=True)
class _Announced:
    """A finished chunk; serial numbers count the chunks of a connection, whatever walk they are of."""

    serial: int
    report: ChunkReport


@dataclass(frozen=True, slots=True)
class _Sample:
    """An encoded frame that gets its place on the timeline when it is sent."""

    serial: int
    chunk: int
    frame: EncodedFrame
    decoded_at_ms: float
    decode_ms: float
    encode_ms: float


@dataclass(frozen=True, slots=True)
class _Close:
    """The end of what is sent."""

    code: int


_Item = m.ServerMessage | _Announced | _Sample | _Close


_COMMANDS: dict[type[m.ClientMessage], Callable[[Session], None]] = {
    m.Pause: Session.pause,
    m.ResumeWalk: Session.resume,
    m.Step: Session.step,
    m.Reset: Session.reset,
}


class Stream:
    """One visitor's connection, from handshake to close; also what the engine reports to."""

    def __init__(
        self, websocket: WebSocket, settings: Settings, world: World, engine: Engine, metrics: Metrics
    ) -> None:
        self._websocket = websocket
        self._settings = settings
        self._world = world
        self._engine = engine
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._connection = ServerConnection(LIMITS, settings.token)
        self._outbox: Outbox[_Item] = Outbox(self._count_dropped)
        self._encoding = ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._photon = PhotonClock()
        self._track: VideoTrack | None = None
        self._session: Session | None = None
        self._serials = count()
        self._chunk: _Announced | None = None  # whose frames the engine is making
        self._keyed: int | None = None  # serial of the chunk being encoded
        self._next_frame = 0  # on the media timeline

    async def run(self) -> None:
        """Serve until either side ends it; whatever happens, the session is closed."""
        headers = self._websocket.headers
        if not is_allowed(headers, self._settings.allow_origin):
            logger.warning(
                "refused a page of another site: %s (see docs/deploy.md)", describe_origin(headers)
            )
            await self._websocket.close(1008)
            return
        offered = self._websocket.scope["subprotocols"]
        await self._websocket.accept(m.SUBPROTOCOL if m.SUBPROTOCOL in offered else None)
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and not reader.cancelled() and reader.exception() is None:
                await asyncio.wait({writer}, timeout=CLOSE_TIMEOUT_S)  # let the last words out
        finally:
            if self._session is not None:
                self._session.close()
            for task in (reader, writer):
                task.cancel()
            outcomes = await asyncio.gather(reader, writer, return_exceptions=True)
            self._encoding.shutdown(wait=False, cancel_futures=True)
            code = _explain_end(outcomes)
            if code is not None:
                # A page that does not read will not hear it.
                with suppress(asyncio.TimeoutError, WebSocketDisconnect):
                    await asyncio.wait_for(self._websocket.close(code), CLOSE_TIMEOUT_S)

    # -- from the page

    async def _read(self) -> None:
        """Take messages until the page leaves or must go."""
        try:
            goes_on = await asyncio.wait_for(self._take_frame(), HELLO_TIMEOUT_S)
            while goes_on:
                goes_on = await self._take_frame()
        except asyncio.TimeoutError:  # Python 3.10 has its own beside TimeoutError
            self._refuse(ProtocolError(ErrorCode.BAD_ORDER, f"expected hello within {HELLO_TIMEOUT_S:.0f} s"))
        except WebSocketDisconnect:
            self._outbox.put(_Close(1000))

    async def _take_frame(self) -> bool:
        event = await self._websocket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code", 1006))
        frame = event.get("bytes")
        try:
            message = self._connection.receive(event["text"] if frame is None else frame, now_ms())
            return await self._handle(message)
        except ProtocolError as error:
            self._refuse(error)
            return not error.fatal

    async def _handle(self, message: m.ClientMessage) -> bool:
        """Act on a message. Returns: whether more may follow."""
        match message:
            case m.Hello():
                self._outbox.put(welcome(self._world))
            case m.Ping(t=t):
                self._outbox.put(m.Pong(t=t, server=now_ms()))
            case m.Stop():
                self._outbox.put(m.Bye(reason="stopped"))
                self._outbox.put(_Close(1000))
                return False
            case m.Start():
                await self._start(message)
            case _:
                self._steer(message)
        return True

    async def _start(self, message: m.Start) -> None:
        check_start(message, self._world)
        view, picture = message.view, None
        if message.image is not None:
            picture, view = await asyncio.to_thread(self._place_picture, message.image)
        if self._session is None:
            self._session = self._engine.open(self)
        self._session.start(WalkRequest(view, picture, message.prompt, message.seed))
        if picture is not None and view is not None:
            self._outbox.put(m.State(what="view", view=view))

    def _place_picture(self, data: bytes) -> tuple[StartPicture, str | None]:
        """Decode a visitor's picture. Returns: it, and the start view it stands for, None if for itself."""
        picture = self._world.cut(read_image(data))
        if self._world.own_pictures == "as_is":
            return picture, None
        return picture, self._world.start_view(None, picture).name

    def _steer(self, message: m.ClientMessage) -> None:
        session = self._session
        if session is None:
            expected = f"expected a start that succeeds before {message.type}"
            raise ProtocolError(ErrorCode.BAD_REQUEST, f"{expected}, got none")
        match message:
            case m.Controls(seq=seq, t=t, keys=keys, look=look):
                self._photon.receive(seq, now_ms())
                session.controls(seq, t, frozenset(keys), look.yaw, look.pitch)
            case m.Poses():
                session.poses(message.seq, read_trajectory(message))
                self._photon.receive(message.seq, now_ms())
            case m.Playhead():
                self._follow_playhead(session, message)
            case m.Prompt(text=text):
                session.prompt(text)
            case m.Rewind(chunk=chunk):
                session.rewind(chunk)
            case _:
                _COMMANDS[type(message)](session)

    def _follow_playhead(self, session: Session, playhead: m.Playhead) -> None:
        for latency_ms in self._photon.show(playhead.shown, now_ms()):
            self._metrics.input_to_photon_s.observe(latency_ms / 1000.0)
        session.playhead(playhead.shown, playhead.buffered, playhead.hidden)

    def _refuse(self, error: ProtocolError) -> None:
        """Tell the page what was wrong, and close if nothing sensible can follow."""
        self._metrics.protocol_errors.labels(error.code.value).inc()
        logger.info("refused: %s", error)
        self._outbox.put(m.error_message(error))
        if error.close_code is not None:
            self._outbox.put(_Close(error.close_code))

    # -- from the engine, on its worker thread; all that follows keeps its order on the encoding thread

    def on_queued(self, position: int, eta_s: float | None) -> None:
        self._submit(self._post, m.Queued(position=position, eta=eta_s))

    def on_started(self) -> None:
        self._submit(self._open_track)

    def on_chunk(self, report: ChunkReport) -> None:
        self._chunk = _Announced(next(self._serials), report)
        self._submit(self._post, self._chunk)

    def on_frames(self, chunk_index: int, frames: Frames, decode_ms: float, decoded_at_ms: float) -> None:
        assert self._chunk is not None, "frames before their chunk"
        self._submit(self._encode, self._chunk.serial, chunk_index, frames, decode_ms, decoded_at_ms)

    def on_state(self, what: str, detail: dict[str, object]) -> None:
        self._submit(self._post, m.State.model_validate({"what": what, **detail}))

    def on_error(self, code: str, message: str, fatal: bool) -> None:
        self._submit(self._post, ProtocolError(ErrorCode(code), message))

    # -- on the encoding thread, one job at a time

    def _submit(self, job: Callable[..., None], *arguments: object) -> None:
        try:
            self._encoding.submit(self._run_job, job, *arguments)
        except RuntimeError:  # shut down: the visitor has left
            logger.debug("a report came after the visitor left")

    def _run_job(self, job: Callable[..., None], *arguments: object) -> None:
        try:
            job(*arguments)
        except Exception:  # the top of this thread: what breaks here is this visitor's loss alone
            logger.exception("encoding failed")
            self._post(ProtocolError(ErrorCode.INTERNAL, "expected to encode a frame, got an error of ours"))

    def _open_track(self) -> None:
        world = self._world
        if self._track is None:
            self._track = VideoTrack(world.width, world.height, world.fps)
        track = self._track
        self._post(m.Init(codec=track.codec, mime=track.mime, data=track.init_segment))

    def _encode(
        self, serial: int, chunk: int, frames: Frames, decode_ms: float, decoded_at_ms: float
    ) -> None:
        assert self._track is not None, "frames before on_started"
        assert self._session is not None, "frames without a session"
        for frame in frames:
            began_ms = now_ms()
            encoded = self._track.encode(frame, key=serial != self._keyed)
            self._keyed = serial
            encode_ms = now_ms() - began_ms
            self._post(_Sample(serial, chunk, encoded, decoded_at_ms, decode_ms / len(frames), encode_ms))
        self._session.media_encoded(len(frames) / self._world.fps)

    def _post(self, item: _Item | ProtocolError) -> None:
        self._loop.call_soon_threadsafe(self._put, item)

    # -- to the page, on the event loop

    def _put(self, item: _Item | ProtocolError) -> None:
        match item:
            case ProtocolError():
                self._refuse(item)
            case _Announced(serial=serial) | _Sample(serial=serial):
                self._outbox.put(item, serial)
            case _:
                self._outbox.put(item)

    def _count_dropped(self, items: list[_Item]) -> None:
        frames = sum(isinstance(item, _Sample) for item in items)
        self._metrics.frames_dropped.inc(frames)
        if self._session is not None:
            self._session.media_dropped(frames / self._world.fps)

    async def _write(self) -> None:
        """Send what waits, until it says to close. Raises: TimeoutError if the page does not read."""
        while True:
            item = await self._outbox.get()
            if isinstance(item, _Close):
                await self._websocket.close(item.code)
                return
            data = self._connection.send(self._place(item))
            await asyncio.wait_for(self._websocket.send_bytes(data), self._settings.send_timeout_s)

    def _place(self, item: m.ServerMessage | _Announced | _Sample) -> m.ServerMessage:
        """Give chunks and frames their place on the media timeline: the next free one, so it has no gaps."""
        match item:
            case _Announced(report=report):
                self._photon.announce(report.latch.seq, self._next_frame / self._world.fps)
                return _chunk_message(report, self._next_frame)
            case _Sample():
                return self._media_message(item)
            case _:
                return item

    def _media_message(self, sample: _Sample) -> m.Media:
        assert self._track is not None, "a sample without a track"
        frame = self._next_frame
        self._next_frame += 1
        return m.Media(
            chunk=sample.chunk,
            frame=frame,
            time=frame * self._track.frame_duration_s,
            duration=self._track.frame_duration_s,
            key=sample.frame.key,
            decoded_at=sample.decoded_at_ms,
            decode=sample.decode_ms,
            encode=sample.encode_ms,
            data=self._track.fragment(sample.frame, frame),
        )


def _chunk_message(report: ChunkReport, first_frame: int) -> m.Chunk:
    chunk = report.chunk
    return m.Chunk(
        index=chunk.index,
        first_frame=first_frame,
        frames=chunk.num_frames,
        controls_seq=report.latch.seq,
        latched_at=report.latch.at_ms,
        labels=tuple(chunk.labels),
        motions=tuple(
            m.LatentMotion(forward=motion.forward, right=motion.right, yaw=motion.yaw, pitch=motion.pitch)
            for motion in chunk.motions
        ),
        poses=tuple(tuple(pose.reshape(16).tolist()) for pose in chunk.poses),
        timings=m.Timings(**chunk.timings_ms),
    )


def _explain_end(outcomes: Iterable[BaseException | None]) -> int | None:
    """Log why the tasks of a stream failed. Returns: the close code that fits, None if none of them did."""
    for outcome in outcomes:
        if isinstance(outcome, asyncio.TimeoutError | BufferError):
            logger.info("the page did not read for too long")
            return CLOSE_CODES[ErrorCode.SLOW_CONSUMER]
        if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
            logger.error("a stream failed", exc_info=outcome)
            return CLOSE_CODES[ErrorCode.INTERNAL]
    return None
