"""From the engine to the send queue: encodes a session's frames, and keeps all events in order."""

from collections.abc import Callable, Sequence

from worldplay.engine.engine import Engine
from worldplay.engine.ports import ChunkReport, Frames, WalkPort
from worldplay.engine.session import Session
from worldplay.media.frame_encoder import FrameEncoder
from worldplay.protocol import messages as m
from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.store.about import hash_address
from worldplay.store.keeper import WalkSaver
from worldplay.web.outlet import Item, Sample
from worldplay.web.translate import expect_wait_s, our_fault
from worldplay.world.world import World


class SessionListener:
    """Receives the engine's events for one session, and posts them all from the encoding thread."""

    def __init__(
        self,
        world: World,
        post: Callable[[Item | ProtocolError], None],
        saver: WalkSaver | None = None,
        media_s: float = 0.0,
        on_yielded: Callable[[str], None] | None = None,
        on_walked: Callable[[WalkPort], None] | None = None,
    ) -> None:
        """Post on the encoding thread, so `post` must return at once.

        Args:
            saver: saves the walk; None: it is not saved.
            media_s: where the client's timeline begins.
            on_yielded: hears why the session lost its slot, on the worker thread.
            on_walked: gets the walk when it has begun or changed, on the worker thread.
        """
        self.session: Session | None = None
        self._engine: Engine | None = None
        self.tells_taken_as = False  # whether the client understands this field, which came later
        self._post = post
        self._is_queued = False  # the client was told that it waits; worker thread only
        self._has_begun = False  # to encode
        self._is_closed = False
        self._saver = saver
        self._media_s = media_s
        self._on_yielded = on_yielded or (lambda reason: None)
        self._on_walked = on_walked or (lambda walk: None)
        self._fps = world.fps
        self._encoder = FrameEncoder(world.width, world.height, world.fps, self._fail, world.codec)
        self._last: Sequence[Item] = ()  # posted when the chunk in progress is finished
        self._report: ChunkReport | None = None  # of the chunk whose frames are being encoded

    def open(self, engine: Engine, address: str, name: str) -> Session:
        """Return the session; the first call opens it, for a client with this address.

        Args:
            name: what a slot may be reserved under; empty for a session that had none before.
        """
        if self.session is None:
            self._engine = engine
            if self._saver is not None:
                self._saver.begin()
            self.session = engine.open(self, self._media_s, hash_address(address), name)
        return self.session

    def drop(self, num_frames: int) -> None:
        """Tell the session that encoded frames will never be sent."""
        if self.session is not None:
            self.session.media_dropped(num_frames / self._fps)

    def leave(self, last: Sequence[Item]) -> None:
        """Finish the chunk in progress, and then post these items instead of more."""
        self._last = last
        if self.session is not None:
            self.session.pause()

    def close(self) -> None:
        if self.session is not None:
            self.session.close()
        self._is_closed = True
        self._encoder.close()

    def _tell(self, item: Item | ProtocolError) -> None:
        """Post an item, after all that is being encoded. Who waits in the queue needs no thread for that."""
        if self._has_begun:
            self._encoder.run(self._post, item)
        elif not self._is_closed:
            self._post(item)

    # -- from the engine, on its worker thread

    def on_queued(self, position: int, eta_s: float | None) -> None:
        self.on_still_queued(position, eta_s, 0.0)

    def on_still_queued(self, position: int, eta_s: float | None, waited_s: float) -> None:
        self._is_queued = True
        eta_s = expect_wait_s(position, eta_s, waited_s)
        self._tell(m.Queued(position=position, eta=eta_s))

    def on_slot(self) -> None:
        if self._saver is not None:
            self._saver.set_place(is_walking=True)
        if self._is_queued:
            self._is_queued = False
            self._tell(m.State(what="seated"))

    def on_started(self, prompt: str, taken_as: str | None) -> None:
        self._has_begun = True
        self._encoder.run(self._open_track)
        if prompt and taken_as is not None and self.tells_taken_as:
            self._tell(m.State(what="prompt", chunk=0, text=prompt, taken_as=taken_as))

    def on_chunk(self, report: ChunkReport) -> None:
        self._has_begun = True
        self._encoder.run(self._begin_chunk, report)

    def on_frames(self, frames: Frames, decode_ms: float, decoded_at_ms: float) -> None:
        self._encoder.run(self._encode, frames, decode_ms, decoded_at_ms)

    def on_state(self, what: str, detail: dict[str, object]) -> None:
        if what == "paused" and self._last:
            for item in self._last:
                self._tell(item)
            return
        if what == "yielded":
            self._on_yielded(str(detail["text"]))
            if self._saver is not None:
                self._saver.set_place(is_walking=False)
        if not self.tells_taken_as:
            detail = {name: value for name, value in detail.items() if name != "taken_as"}
        self._tell(m.State.model_validate({"what": what, **detail}))

    def on_error(self, code: str, message: str, fatal: bool) -> None:
        self._tell(ProtocolError(ErrorCode(code), message))

    def on_changed(self, walk: WalkPort) -> None:
        self._on_walked(walk)
        if self._saver is not None:
            self._saver.changed(walk)

    def on_resting(self, walk: WalkPort) -> None:
        if self._saver is not None:
            self._saver.finish(walk)

    def on_ended(self, walk: WalkPort | None) -> None:
        """Save the walk. Unless the server stops, nobody may come back to it, and it may make room."""
        if self._saver is None:
            return
        if self._engine is not None and self._engine.healthy:
            self._saver.leave(walk)
        elif walk is not None:
            self._saver.finish(walk)

    # -- on the encoding thread

    def _fail(self, error: Exception) -> None:
        self._post(our_fault(error))
        if self.session is not None:  # a client that comes back gets its walk from the store, in a new one
            self.session.close()

    def _open_track(self) -> None:
        self._post(self._encoder.track)

    def _begin_chunk(self, report: ChunkReport) -> None:
        self._report = report
        self._encoder.begin_chunk()
        self._post(report)

    def _encode(self, frames: Frames, decode_ms: float, decoded_at_ms: float) -> None:
        assert self._report is not None, "frames before their chunk"
        assert self.session is not None, "frames without a session"
        for frame, encode_ms in self._encoder.encode(frames):
            self._post(Sample(self._report, frame, decoded_at_ms, decode_ms / len(frames), encode_ms))
        self.session.media_encoded(len(frames) / self._fps)
