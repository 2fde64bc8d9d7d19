"""One client's visit, which may outlive its connection: the session, its video, and what was sent of it."""

import asyncio
import hmac
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from worldplay.engine.engine import Engine, monotonic_ms
from worldplay.engine.failures import BUSY_BUT_KEPT
from worldplay.engine.session import Session
from worldplay.protocol import messages as m
from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.protocol.fields import MAX_INT
from worldplay.protocol.rate import TokenBucket
from worldplay.store.keeper import Saving, WalkSaver
from worldplay.store.recorder import Recorder
from worldplay.store.tape import EndReason
from worldplay.web.audience import Audience
from worldplay.web.latency import LatencyTracker
from worldplay.web.listener import SessionListener
from worldplay.web.monitoring import Metrics
from worldplay.web.outlet import Item, Outlet
from worldplay.web.recording import SessionRecording
from worldplay.web.send_queue import post
from worldplay.world.world import World

LINKS_PER_SECOND, LINKS_BURST = 1.0, 10  # to a recording, of one session: each change waits for the disk
BOOKMARKS_PER_SECOND, BOOKMARKS_BURST = 0.2, 5  # of one session: each copies the whole walk

# Which of `fields` a client must name to get a `state` that came later than the others.
LATER_STATES = {
    "idle": "idle",
    "yielded": "yielded",
    "seated": "seated",
    "recording_ended": "recording",
    "unsaved": "unsaved",
    "saved": "unsaved",
}


class Visit:
    """A client and its session. One connection at a time is attached to it. Event loop only."""

    def __init__(
        self,
        world: World,
        metrics: Metrics,
        id: str,
        secret: str,
        saver: WalkSaver | None,
        on_yielded: Callable[[str], None],
        first_frame: int,
        audience: Audience,
        recorder: Recorder | None = None,
        is_back: bool = False,
    ) -> None:
        """`saver` saves its walk; None: nothing is saved. Its timeline begins at `first_frame`.

        Args:
            on_yielded: hears why the session lost its slot.
            recorder: records its video; None: nothing is recorded.
            is_back: whether an earlier visit had the same id.
        """
        self.id = id
        self._is_back = is_back
        self.secret = secret
        self._fps = world.fps
        self.saver = saver
        self.latency = LatencyTracker()
        self.bookmarks = TokenBucket(BOOKMARKS_PER_SECOND, BOOKMARKS_BURST)
        self.link_changes = TokenBucket(LINKS_PER_SECOND, LINKS_BURST)
        self.timer: asyncio.TimerHandle | None = None  # ends the visit if nobody comes back
        loop = asyncio.get_running_loop()
        self.recording = None if recorder is None else self._begin_recording(recorder, world, is_back)
        self.num_restored: int | None = None  # chunks of a walk that came from the store
        self._unsaved: m.State | None = None  # what the client is told while its walk cannot be saved
        self._fields: AbstractSet[str] = frozenset()  # that came later, and the client knows
        self.listener = SessionListener(
            world,
            lambda item: post(loop, self._deliver, item),
            saver,
            first_frame / world.fps,
            lambda reason: post(loop, on_yielded, reason),
            None if self.recording is None else self.recording.walked,
        )
        on_sent = None if self.recording is None else self.recording.note
        self.outlet = Outlet(self.latency, metrics, self.listener.drop, first_frame, on_sent)
        self.audience = audience
        audience.tell_walker = self._tell_watchers
        audience.is_paused = lambda: self.session is not None and self.session.is_paused
        self._dismiss: Callable[[], None] | None = None  # ends the connection that is attached
        self._chunk_latents = world.chunk_latents
        if saver is not None:
            saver.on_moved = lambda: post(loop, Visit.dismiss, self)
            saver.on_saving = lambda saving: post(loop, self._tell_saving, saving)

    def _begin_recording(self, recorder: Recorder, world: World, is_back: bool) -> SessionRecording:
        loop = asyncio.get_running_loop()
        tape = recorder.open(
            self.id, self.secret, is_back, lambda reason: post(loop, self._tell_recording_ended, reason)
        )
        return SessionRecording(tape, world)

    @property
    def session(self) -> Session | None:
        return self.listener.session

    @property
    def is_over(self) -> bool:
        """Return whether there is nothing to come back to."""
        return self.session is None or self.session.is_closed

    def open(self, engine: Engine, address: str) -> Session:
        """Return the session; the first call opens it, for a client with this address."""
        return self.listener.open(engine, address, self.id if self._is_back else "")

    def is_secret(self, secret: str) -> bool:
        return hmac.compare_digest(self.secret.encode(), secret.encode())

    def dismiss(self) -> None:
        """End the connection that is attached, if there is one: the walk goes on on another."""
        if self._dismiss is not None:
            self._dismiss()

    def attach(self, dismiss: Callable[[], None], fields: AbstractSet[str]) -> None:
        """Take a connection whose client knows these later `fields`. Another one that is attached ends."""
        self.dismiss()
        self._dismiss = dismiss
        self.outlet.tells_revision = "revision" in fields
        self.listener.tells_taken_as = "taken_as" in fields
        self._fields = fields
        self.audience.set_away(False)
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def is_attached(self, dismiss: Callable[[], None]) -> bool:
        """Return whether this connection is the one that is attached."""
        return self._dismiss == dismiss

    def resume(self, welcome: m.Welcome, last_frame: int | None) -> None:
        """Send a client that is back what it missed since a frame, and go on."""
        sent = self.outlet.resume(welcome, last_frame)
        self._tell_watchers(len(self.audience))
        if self._unsaved is not None:
            self._deliver(self._unsaved)
        if self.session is not None and not self.session.come_back(
            sent.num_frames / self._fps, sent.num_skipped / self._fps
        ):
            self._deliver(ProtocolError(ErrorCode.BUSY, BUSY_BUT_KEPT))
        self.outlet.begin_connection(monotonic_ms())  # the session holds no older controls any more

    def leave(self) -> None:
        """Note that the connection is lost. Nothing is made until there is another."""
        self._dismiss = None
        self.audience.set_away(True)
        if self.session is not None:
            self.session.leave()

    def end(self) -> None:
        """End the visit. Its walk stays in the store for a while."""
        self._dismiss = None
        self.listener.close()
        if self.recording is not None:
            self.recording.end()

    def _tell_recording_ended(self, reason: EndReason) -> None:
        self._deliver(m.State(what="recording_ended", text=reason))

    def count_missing(self, chunk: int | None) -> int | None:
        """Return how many chunks the walk has lost of a client whose last chunk has this number.

        None: the walk came from the store, and the client did not say which chunk was its last.
        """
        if self.num_restored is None:
            return 0
        num_made = 0 if self.session is None else self.session.num_chunks
        return None if chunk is None else max(0, min(chunk + 1, MAX_INT) - max(num_made, self.num_restored))

    def _tell_saving(self, saving: Saving) -> None:
        """Tell the client that its walk cannot be saved from a chunk on, or that it is saved again."""
        if saving.fault is not None:
            chunk = saving.first // self._chunk_latents
            self._unsaved = m.State(what="unsaved", chunk=chunk, text=saving.fault)
            self._deliver(self._unsaved)
        elif self._unsaved is not None:
            self._unsaved = None
            self._deliver(m.State(what="saved"))

    def forget(self) -> None:
        """Remove the walk from the store, because the client ended it."""
        if self.saver is not None:
            self.saver.forget()

    def _deliver(self, item: Item | ProtocolError) -> None:
        """Queue an item for the client, if it knows it, and then for those who watch."""
        if not isinstance(item, m.State) or LATER_STATES.get(item.what, "") in ("", *self._fields):
            self.outlet.put(item)
        self.audience.put(item)

    def _tell_watchers(self, count: int) -> None:
        if "watchers" in self._fields:
            self.outlet.put(m.Watchers(count=count))
