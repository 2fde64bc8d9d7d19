"""What one watcher is sent. A slow one loses frames up to a key frame, and its timeline has no gap."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from worldplay.engine.ports import ChunkReport
from worldplay.media.track import VideoTrack
from worldplay.protocol import messages as m
from worldplay.protocol.errors import ProtocolError
from worldplay.protocol.wire import pack
from worldplay.web.monitoring import Metrics
from worldplay.web.outlet import Close, Outgoing, Packed, Sample, media_message, refuse
from worldplay.web.send_queue import SendQueue
from worldplay.web.translate import init_message, watched_chunk_message


class SharedFrame:
    """A frame of a walk. It is packed once for all watchers that give it the same number."""

    def __init__(self, track: VideoTrack, sample: Sample, number: int, place: int) -> None:
        """`number` is that of a watcher who has lost none; `place` counts the frames of its chunk."""
        self.track = track
        self.sample = sample
        self.number = number
        self.place = place
        self._packed: dict[int, Packed] = {}

    def pack(self, number: int) -> Packed:
        """Return its message, as the frame of this number on a watcher's timeline."""
        if number not in self._packed:
            message = media_message(self.track, self.sample, number)
            self._packed[number] = Packed(message, pack(message))
        return self._packed[number]


@dataclass(eq=False, slots=True)
class Group:
    """Frames from one key frame to the next."""

    frames: list[SharedFrame] = field(default_factory=list)


class _News:
    """Holds the place of the newest `watchers` message in the queue."""


_NEWS = _News()
ToWatcher = m.ServerMessage | VideoTrack | SharedFrame | Close | _News


class Watcher:
    """Queues what a watcher is sent, and gives frames their numbers. Event loop only."""

    def __init__(self, metrics: Metrics, first_frame: int, on_leave: Callable[["Watcher"], None]) -> None:
        """Number frames from `first_frame` on.

        Args:
            on_leave: hears that the watcher has left.
        """
        self._metrics = metrics
        self._on_leave = on_leave
        self._queue: SendQueue[ToWatcher] = SendQueue(self._count_dropped)
        self._due: deque[m.ServerMessage | Packed] = deque()
        self._first_frame = self._next_frame = first_frame
        self._announced: ChunkReport | None = None
        self._news: m.Watchers | None = None  # waits to be sent

    @property
    def num_frames(self) -> int:
        """Return how many frames were sent."""
        return self._next_frame - self._first_frame

    def put(self, item: m.ServerMessage | VideoTrack | Close | ProtocolError) -> None:
        """Queue an item. An error is also counted and logged."""
        if isinstance(item, ProtocolError):
            for each in refuse(item, self._metrics):
                self._queue.put(each)
        else:
            self._queue.put(item)

    def show(self, frame: SharedFrame, group: Group) -> None:
        """Queue a frame. If too many groups wait, the oldest one is dropped."""
        self._queue.put(frame, group)

    def tell(self, news: m.Watchers) -> None:
        """Queue news. What was not sent yet is replaced."""
        if self._news is None:
            self._queue.put(_NEWS)
        self._news = news

    def leave(self) -> None:
        """Note that the watcher has no connection any more."""
        self._on_leave(self)

    async def next(self) -> Outgoing:
        """Wait for the next message. Raises: BufferError if too many wait."""
        while not self._due:
            item = await self._queue.get()
            if isinstance(item, Close):
                return item
            self._due.extend(self._messages(item))
        return self._due.popleft()

    def _messages(
        self, item: m.ServerMessage | VideoTrack | SharedFrame | _News
    ) -> Iterator[m.ServerMessage | Packed]:
        match item:
            case SharedFrame():
                yield from self._frame_messages(item)
            case VideoTrack():
                self._announced = None
                yield init_message(item)
            case _News():
                assert self._news is not None, "no news"
                news, self._news = self._news, None
                yield news
            case _:
                yield item

    def _frame_messages(self, frame: SharedFrame) -> Iterator[m.ServerMessage | Packed]:
        report = frame.sample.report
        if report is not self._announced:
            self._announced = report
            num_left = report.chunk.num_frames - frame.place
            yield watched_chunk_message(report, self._next_frame, num_left)
        yield frame.pack(self._next_frame)
        self._next_frame += 1

    def _count_dropped(self, items: list[ToWatcher]) -> None:
        self._metrics.watch_frames_dropped.inc(len(items))
