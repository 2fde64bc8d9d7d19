"""From the send queue to the client: numbers frames on the media timeline when they are sent."""

import asyncio
import logging
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from starlette.websockets import WebSocket

from worldplay.engine.ports import ChunkReport
from worldplay.media.encoder import EncodedFrame
from worldplay.media.track import VideoTrack
from worldplay.protocol import messages as m
from worldplay.protocol.connection import ServerConnection
from worldplay.protocol.errors import ProtocolError
from worldplay.web.latency import LatencyTracker
from worldplay.web.monitoring import Metrics
from worldplay.web.send_queue import SendQueue
from worldplay.web.translate import chunk_message, init_message
from worldplay.wording import without_values

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sample:
    """An encoded frame, which gets its number on the timeline when it is sent."""

    report: ChunkReport
    frame: EncodedFrame
    decoded_at_ms: float
    decode_ms: float
    encode_ms: float


@dataclass(frozen=True, slots=True)
class Close:
    """Closes the socket; nothing is sent after it."""

    code: int


Item = m.ServerMessage | VideoTrack | ChunkReport | Sample | Close


class Sender:
    """Sends to one client. Event loop only."""

    def __init__(
        self,
        websocket: WebSocket,
        connection: ServerConnection,
        latency: LatencyTracker,
        metrics: Metrics,
        on_drop: Callable[[int], None],
        fields: AbstractSet[str] = frozenset(),
    ) -> None:
        """Send to a client that knows these later `fields` of the protocol.

        Args:
            on_drop: gets the number of encoded frames that will never be sent.
        """
        self._tells_revision = "revision" in fields
        self._websocket = websocket
        self._connection = connection
        self._latency = latency
        self._metrics = metrics
        self._on_drop = on_drop
        self._queue: SendQueue[Item] = SendQueue(self._count_dropped)
        self._track: VideoTrack | None = None
        self._next_frame = 0  # on the media timeline

    @property
    def num_frames(self) -> int:
        """Return how many frames were sent."""
        return self._next_frame

    def put(self, item: Item | ProtocolError) -> None:
        """Queue an item. An error is also counted and logged."""
        match item:
            case ProtocolError():
                self._refuse(item)
            case ChunkReport():
                self._queue.put(item, item)
            case Sample(report=report):
                self._queue.put(item, report)
            case _:
                self._queue.put(item)

    async def run(self, timeout_s: float) -> None:
        """Send queued items up to a `Close`.

        Raises: TimeoutError or BufferError if the client does not read.
        """
        while True:
            item = await self._queue.get()
            if isinstance(item, Close):
                await self._websocket.close(item.code)
                return
            data = self._connection.send(self._message(item))
            await asyncio.wait_for(self._websocket.send_bytes(data), timeout_s)

    def _refuse(self, error: ProtocolError) -> None:
        """Queue an error message, and a `Close` if the error is fatal."""
        self._metrics.protocol_errors.labels(error.code.value).inc()
        logger.info("refused: %s", without_values(str(error)))
        self._queue.put(m.error_message(error))
        if error.close_code is not None:
            self._queue.put(Close(error.close_code))

    def _count_dropped(self, items: list[Item]) -> None:
        num_frames = sum(isinstance(item, Sample) for item in items)
        self._metrics.frames_dropped.inc(num_frames)
        self._on_drop(num_frames)

    def _message(self, item: m.ServerMessage | VideoTrack | ChunkReport | Sample) -> m.ServerMessage:
        """Make an item's message. Chunks and frames get the timeline's next number, so it has no gaps."""
        match item:
            case VideoTrack():
                self._track = item
                return init_message(item)
            case ChunkReport():
                message = chunk_message(item, self._next_frame, tells_revision=self._tells_revision)
                self._latency.send(message.controls_seq, self._time_s())
                return message
            case Sample():
                return self._media_message(item)
            case _:
                return item

    def _time_s(self) -> float:
        return self._next_frame * self._opened_track().frame_duration_s

    def _opened_track(self) -> VideoTrack:
        assert self._track is not None, "a chunk before its track"
        return self._track

    def _media_message(self, sample: Sample) -> m.Media:
        track, frame, time_s = self._opened_track(), self._next_frame, self._time_s()
        self._next_frame += 1
        return m.Media(
            chunk=sample.report.chunk.index,
            frame=frame,
            time=time_s,
            duration=track.frame_duration_s,
            key=sample.frame.key,
            decoded_at=sample.decoded_at_ms,
            decode=sample.decode_ms,
            encode=sample.encode_ms,
            data=track.fragment(sample.frame, frame),
        )
