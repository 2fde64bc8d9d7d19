"""What one client is sent, across its connections: numbers frames when they are sent."""

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from worldplay.engine.ports import ChunkReport
from worldplay.media.encoder import EncodedFrame
from worldplay.media.track import VideoTrack
from worldplay.protocol import messages as m
from worldplay.protocol.errors import ProtocolError
from worldplay.web.latency import LatencyTracker
from worldplay.web.monitoring import Metrics
from worldplay.web.send_queue import SendQueue
from worldplay.web.sent_messages import SentMessages, is_of_one_connection
from worldplay.web.translate import chunk_message, init_message
from worldplay.wording import without_values

logger = logging.getLogger(__name__)

MAX_FIRST_FRAME = 2**31  # of a timeline that goes on: three years, and far from any limit of the protocol


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


@dataclass(frozen=True, slots=True)
class Packed:
    """A message, and its bytes, which several clients get."""

    message: m.ServerMessage
    data: bytes


@dataclass(frozen=True, slots=True)
class Handover:
    """From here on the connection's messages come from another source, and not from its own session."""

    source: "Source"


@dataclass(frozen=True, slots=True)
class Resumption:
    """What a client that is back is sent at once."""

    num_frames: int  # that were sent before
    num_skipped: int = 0  # numbers of frames that its timeline leaves out


Item = m.ServerMessage | VideoTrack | ChunkReport | Sample | Close | Handover
Outgoing = m.ServerMessage | Packed | Close | Handover


class Source(Protocol):
    """What a connection's messages come from."""

    async def next(self) -> Outgoing:
        """Wait for the next message. Raises: BufferError if too many wait."""
        ...


class Outlet:
    """Queues what a client is sent, and gives frames their numbers. Event loop only."""

    def __init__(
        self,
        latency: LatencyTracker,
        metrics: Metrics,
        on_drop: Callable[[int], None],
        first_frame: int = 0,
        on_sent: Callable[[m.ServerMessage], None] | None = None,
    ) -> None:
        """Number frames from `first_frame` on.

        Args:
            on_drop: gets the number of encoded frames that will never be sent.
            on_sent: gets every message when it is sent for the first time.
        """
        self.tells_revision = False
        self._latency = latency
        self._metrics = metrics
        self._on_drop = on_drop
        self._on_sent = on_sent or (lambda message: None)
        self._queue: SendQueue[Item] = SendQueue(self._count_dropped)
        self._due: deque[m.ServerMessage] = deque()  # messages that come before the queue's
        self._sent = SentMessages()
        self._track: VideoTrack | None = None
        self._first_frame = self._next_frame = first_frame  # on the media timeline
        self._connected_ms = -math.inf  # server clock

    @property
    def num_frames(self) -> int:
        """Return how many frames were sent."""
        return self._next_frame - self._first_frame

    def put(self, item: Item | ProtocolError) -> None:
        """Queue an item. An error is also counted and logged."""
        match item:
            case ProtocolError():
                for each in refuse(item, self._metrics):
                    self._queue.put(each)
            case ChunkReport():
                self._queue.put(item, item, is_frame=False)
            case m.Queued() | m.Watchers():  # only the newest counts
                self._queue.discard(lambda each: isinstance(each, type(item)))
                self._queue.put(item)
            case VideoTrack():
                self._queue.put(item, may_drop=False)
            case Sample(report=report):
                self._queue.put(item, report)
            case _:
                self._queue.put(item)

    async def next(self) -> Outgoing:
        """Wait for the next message. Raises: BufferError if too many wait."""
        while not self._due:
            item = await self._queue.get()
            if isinstance(item, Close | Handover):
                return item
            for message in self._messages(item):
                self._sent.add(message)
                self._on_sent(message)
                self._due.append(message)
        return self._due.popleft()

    def resume(self, welcome: m.Welcome, last_frame: int | None) -> Resumption:
        """Continue on a new connection: the welcome, and then all that the client missed.

        If that is not known any more, it gets a new init, and the video from the newest key frame on: every
        chunk has one.

        Args:
            last_frame: number of the last frame that the client has.
        """
        self._queue.discard(lambda item: isinstance(item, Close | Handover) or is_of_one_connection(item))
        self._queue.begin_again()
        self._due = deque([welcome])
        missed, num_skipped = self._sent.after(last_frame), 0
        if missed is None:
            missed = self._sent.from_newest_key()
            num_skipped = self._skip_to(0 if last_frame is None else last_frame + 1, missed)
            missed = [self._move(message, num_skipped) for message in missed]
            if self._track is not None:
                missed.insert(0, init_message(self._track))
            self._sent.begin_with(missed)
        self._due.extend(without_controls(message) for message in missed)
        return Resumption(sum(isinstance(each, m.Media) for each in missed), num_skipped)

    def begin_connection(self, now_ms: float) -> None:
        """Begin a connection, whose `seq` begins again. A chunk that was latched before names no `seq`."""
        self._connected_ms = now_ms
        self._latency.clear()

    def _skip_to(self, least: int, missed: Sequence[m.ServerMessage]) -> int:
        """Let the timeline go on at least at this frame. Returns: how many numbers it leaves out."""
        media = [message for message in missed if isinstance(message, m.Media)]
        first = media[0].frame if media else self._next_frame
        num_skipped = max(0, least - first) if least <= MAX_FIRST_FRAME else 0
        self._next_frame += num_skipped
        self._first_frame += num_skipped
        return num_skipped

    def _move(self, message: m.ServerMessage, num_skipped: int) -> m.ServerMessage:
        """Return a message with the numbers of the timeline after it was moved on."""
        if num_skipped and isinstance(message, m.Chunk):
            return message.model_copy(update={"first_frame": message.first_frame + num_skipped})
        if num_skipped and isinstance(message, m.Media):
            frame, track = message.frame + num_skipped, self._opened_track()
            moved = {"frame": frame, "time": frame * track.frame_duration_s}
            return message.model_copy(update={**moved, "data": track.move(message.data, frame)})
        return message

    def _count_dropped(self, items: list[Item]) -> None:
        num_frames = sum(isinstance(item, Sample) for item in items)
        self._metrics.frames_dropped.inc(num_frames)
        self._on_drop(num_frames)

    def _messages(
        self, item: m.ServerMessage | VideoTrack | ChunkReport | Sample
    ) -> Iterator[m.ServerMessage]:
        """Make an item's messages. Chunks and frames get the timeline's next number, so it has no gaps."""
        match item:
            case VideoTrack():
                self._track = item
                yield init_message(item)
            case ChunkReport():
                yield self._announce(item)
            case Sample():
                yield self._number(item)
            case _:
                yield item

    def _announce(self, report: ChunkReport) -> m.Chunk:
        message = chunk_message(report, self._next_frame, tells_revision=self.tells_revision)
        if report.latch.at_ms < self._connected_ms:
            message = without_controls(message)
        self._latency.send(message.controls_seq, self._time_s())
        return message

    def _number(self, sample: Sample) -> m.Media:
        message = media_message(self._opened_track(), sample, self._next_frame)
        self._next_frame += 1
        return message

    def _time_s(self) -> float:
        return self._next_frame * self._opened_track().frame_duration_s

    def _opened_track(self) -> VideoTrack:
        assert self._track is not None, "a chunk before its track"
        return self._track


Sent = TypeVar("Sent", bound=m.ServerMessage)


def without_controls(message: Sent) -> Sent:
    """Return a message for another connection than the one whose controls it names."""
    return message.model_copy(update={"controls_seq": None}) if isinstance(message, m.Chunk) else message


def refuse(error: ProtocolError, metrics: Metrics) -> Iterator[m.Error | Close]:
    """Count and log an error. Yields: its message, and a `Close` if the error is fatal."""
    metrics.protocol_errors.labels(error.code.value).inc()
    logger.info("refused: %s", without_values(str(error)))
    yield m.error_message(error)
    if error.close_code is not None:
        yield Close(error.close_code)


def media_message(track: VideoTrack, sample: Sample, frame: int) -> m.Media:
    """Make the message of a frame that has this number on its client's timeline."""
    return m.Media(
        chunk=sample.report.chunk.index,
        frame=frame,
        time=frame * track.frame_duration_s,
        duration=track.frame_duration_s,
        key=sample.frame.key,
        decoded_at=sample.decoded_at_ms,
        decode=sample.decode_ms,
        encode=sample.encode_ms,
        data=track.fragment(sample.frame, frame),
    )
