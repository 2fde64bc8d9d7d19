"""Those who watch one walk: its newest frames, so that a watcher sees something at once, and its news."""

from collections.abc import Callable
from typing import Literal

from worldplay.engine.ports import ChunkReport
from worldplay.media.track import VideoTrack
from worldplay.protocol import messages as m
from worldplay.protocol.errors import ProtocolError
from worldplay.web.monitoring import Metrics
from worldplay.web.outlet import Close, Item, Sample
from worldplay.web.watcher import Group, SharedFrame, Watcher

TELL_EVERY_S = 0.25  # so that clients that come and go in a loop do not fill the queues of the others
NORMAL_CLOSURE = 1000

Walker = Literal["walking", "paused", "queued", "away"]
Later = Callable[[float, Callable[[], None]], object]


class Audience:
    """Gives every watcher the frames of a walk, encoded once. Event loop only."""

    def __init__(self, metrics: Metrics, later: Later) -> None:
        """`later` calls a function after so many seconds."""
        self.tell_walker: Callable[[int], None] = lambda count: None
        self.is_paused: Callable[[], bool] = lambda: False  # whether the walker's session is
        self._metrics = metrics
        self._later = later
        self._watchers: list[Watcher] = []
        self._track: VideoTrack | None = None
        self._frame_in_chunk = 0  # of the next frame
        self._group: Group | None = None  # the newest frames
        self._next_frame = 0
        self._is_paused = self._is_queued = self._is_away = False
        self._is_telling = False
        self._told: tuple[int, Walker] = (0, "walking")

    def __len__(self) -> int:
        return len(self._watchers)

    @property
    def walker(self) -> Walker:
        """Return what the walker does now."""
        if self._is_away:
            return "away"
        if self._is_queued:
            return "queued"
        return "paused" if self._is_paused else "walking"

    def join(self, welcome: m.Welcome) -> Watcher:
        """Add a watcher. It is sent the walk from the last key frame on."""
        group = self._group
        first_frame = group.frames[0].number if group else self._next_frame
        watcher = Watcher(self._metrics, first_frame, self._leave)
        self._watchers.append(watcher)
        watcher.put(welcome)
        watcher.tell(self._news())
        if self._track is not None:
            watcher.put(self._track)
        if group is not None:
            for frame in group.frames:
                watcher.show(frame, group)
        self._tell_soon()
        return watcher

    def _leave(self, watcher: Watcher) -> None:
        if watcher in self._watchers:
            self._watchers.remove(watcher)
            self._tell_soon()

    def end(self, reason: str) -> None:
        """Say goodbye to all watchers."""
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher.put(m.Bye(reason=reason))
            watcher.put(Close(NORMAL_CLOSURE))
        if watchers:
            self._tell_soon()

    def set_away(self, is_away: bool) -> None:
        """Note whether the walker has no connection, or a page that nobody sees."""
        self._is_away = is_away
        self._tell_soon()

    def put(self, item: Item | ProtocolError) -> None:
        """Pass on what the walk's client is sent, if a watcher may see it."""
        match item:
            case VideoTrack():
                self._open(item)
            case ChunkReport():
                self._frame_in_chunk = 0
                self._is_queued = False
                self._forget_pause()
            case Sample():
                self._show(item)
            case m.Queued():
                self._is_queued = True
            case m.State(what="seated"):
                self._is_queued = False
            case m.State(what="paused" | "resumed"):
                self._is_paused = item.what == "paused"
            case _:
                return
        self._tell_soon()

    def _open(self, track: VideoTrack) -> None:
        self._track, self._group = track, None
        self._forget_pause()
        for watcher in self._watchers:
            watcher.put(track)

    def _forget_pause(self) -> None:
        """Forget a pause that a `start` ended, which sends no `resumed`. A pause made since then goes on."""
        self._is_paused = self._is_paused and self.is_paused()

    def _show(self, sample: Sample) -> None:
        assert self._track is not None, "a frame before its track"
        frame = SharedFrame(self._track, sample, self._next_frame, self._frame_in_chunk)
        self._next_frame += 1
        self._frame_in_chunk += 1
        if sample.frame.key:
            self._group = Group()
        if self._group is None:
            return  # nothing can be decoded before a key frame
        self._group.frames.append(frame)
        for watcher in self._watchers:
            watcher.show(frame, self._group)

    def _news(self) -> m.Watchers:
        return m.Watchers(count=len(self), walker=self.walker)

    def _tell_soon(self) -> None:
        """Tell everybody what is new, but not more often than every TELL_EVERY_S."""
        if self._is_telling or self._told == (len(self), self.walker):
            return
        self._is_telling = True
        self._later(TELL_EVERY_S, self._tell)

    def _tell(self) -> None:
        self._is_telling = False
        told, self._told = self._told, (len(self), self.walker)
        if told[0] != len(self):
            self.tell_walker(len(self))
        if told != self._told:
            for watcher in self._watchers:
                watcher.tell(self._news())
