"""From the client to the engine: acts on each message."""

import asyncio
import logging
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from functools import partial

from worldplay.engine.engine import Engine, monotonic_ms
from worldplay.engine.failures import REASONS
from worldplay.engine.session import Session
from worldplay.protocol import messages as m
from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.web.disk_threads import SlowStoreError
from worldplay.web.monitoring import Metrics
from worldplay.web.operator_metrics import OperatorMetrics
from worldplay.web.outlet import Close, Handover
from worldplay.web.picture_decoding import PictureDecoding, PicturesFullError
from worldplay.web.recording_links import NOT_REVOKED
from worldplay.web.send_queue import post
from worldplay.web.snapshots import STORE_FAILS, keep_snapshot
from worldplay.web.translate import (
    Greeting,
    check_start,
    count_places,
    read_image,
    read_trajectory,
    watcher_welcome,
    welcome,
)
from worldplay.web.visit import BOOKMARKS_BURST, LINKS_BURST, Visit
from worldplay.web.visits import Visits
from worldplay.web.watch_links import REVOKED
from worldplay.web.watcher import Watcher
from worldplay.world.memory import is_memory_short
from worldplay.world.pictures.fit import StartPicture
from worldplay.world.snapshot import Snapshot
from worldplay.world.steering import WalkRequest
from worldplay.world.world import World

logger = logging.getLogger(__name__)

NOT_RECORDED = "expected a walk that is recorded, for a link to its recording; got one that is not"
TOO_MANY_BOOKMARKS = f"expected at most {BOOKMARKS_BURST} bookmarks at once, then one in 5 s: try again later"
TOO_MANY_LINKS = f"expected at most {LINKS_BURST} changes of a link at once, then one a second"
TOO_MANY_PICTURES = "too many pictures wait to be read: try again later"
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
        metrics: Metrics,
        decoding: PictureDecoding,
        details: OperatorMetrics,
        visits: Visits,
        dismiss: Callable[[], None],
        fields: AbstractSet[str],
        address: str,
    ) -> None:
        """Act on the messages of a client that knows these later `fields` of the protocol.

        Args:
            dismiss: ends this connection, when its client comes back on another one.
            address: the client's; addresses share slots.
        """
        self._fields = fields
        self._address = address
        self._world = world
        self._engine = engine
        self._metrics = metrics
        self._visits = visits
        self._decoding = decoding
        self._details = details
        self._num_stalls = 0
        self._dismiss = dismiss
        self.visit = visits.new(address)  # until the client asks to resume an earlier one
        self.watcher: Watcher | None = None  # of a client that watches somebody else's walk
        self.visit.attach(dismiss, fields)

    async def handle(self, message: m.ClientMessage) -> bool:
        """Act on a message. Returns: whether the client may send more.

        Raises: ProtocolError if the request is not possible.
        """
        match message:
            case m.Hello(watch=str(token)):
                self._watch(token)
            case m.Hello(resume=resume):
                await self._greet(resume)
            case m.Ping(t=t):
                self.put(m.Pong(t=t, server=monotonic_ms()))
            case m.Stop():
                self._stop()
                return False
            case m.Start():
                await self._start(message)
            case m.Bookmark():
                self._bookmark(message)
            case m.Share(right="recording") | m.Unshare(right="recording"):
                self._share_recording(message)
            case m.Share() | m.Unshare():
                self._share(message)
            case m.Poses():
                await self._follow_poses(message)
            case _:
                self._steer(message)
        return True

    def put(self, item: m.ServerMessage | Close | ProtocolError) -> None:
        """Queue an item for the client."""
        source = self.visit.outlet if self.watcher is None else self.watcher
        source.put(item)

    def _stop(self) -> None:
        if self.watcher is None:
            self._visits.forget(self.visit)
        self.put(m.Bye(reason="stopped"))
        self.put(Close(1000))

    def _watch(self, token: str) -> None:
        """Show the walk of somebody else. Raises: ProtocolError if the link does not work."""
        audience = self._visits.links.find(token)
        self.watcher = audience.join(watcher_welcome(self._world, self._engine.times_real_time, self._fields))
        logger.info("watches a walk, as one of %d", len(audience))
        self.visit.outlet.put(Handover(self.watcher))
        self._visits.end(self.visit)

    def _share(self, message: m.Share | m.Unshare) -> None:
        """Make the link by which others watch this walk, or let it work no more."""
        self._session_for(message)
        links, visit = self._visits.links, self.visit
        if isinstance(message, m.Unshare):
            links.close(visit.audience, REVOKED)
            self.put(m.Shared())
        else:
            self.put(m.Shared(token=links.share(visit.audience, visit.secret, message.token)))

    def _share_recording(self, message: m.Share | m.Unshare) -> None:
        """Make the link that shows the recording of this walk, or let it work no more."""
        self._session_for(message)
        recording, outlet = self.visit.recording, self.visit.outlet
        if recording is None:
            raise ProtocolError(ErrorCode.BAD_REQUEST, NOT_RECORDED)
        if not self.visit.link_changes.take(monotonic_ms()):
            raise ProtocolError(ErrorCode.BAD_REQUEST, TOO_MANY_LINKS)
        if isinstance(message, m.Unshare):
            refused = ProtocolError(ErrorCode.BAD_REQUEST, NOT_REVOKED)
            recording.revoke(lambda done: outlet.put(m.Shared(right="recording") if done else refused))
            return

        def answer(token: str | None) -> None:
            refusal = ProtocolError(ErrorCode.BAD_REQUEST, NOT_RECORDED)
            outlet.put(refusal if token is None else m.Shared(token=token, right="recording"))

        recording.share(self.visit.secret, answer)

    async def _greet(self, resume: m.Resume | None) -> None:
        """Welcome the client, to the visit that it wants to resume if there is one."""
        found = None if resume is None else await self._find(resume)
        if found is None or resume is None:
            self.put(self._welcome(resumed=False, missing_chunks=0))
            return
        found.attach(self._dismiss, self._fields)
        new, self.visit = self.visit, found
        missing_chunks = found.count_missing(resume.chunk)
        found.resume(self._welcome(resumed=True, missing_chunks=missing_chunks), resume.fragment)
        new.outlet.put(Handover(found.outlet))
        self._visits.end(new)

    async def _find(self, resume: m.Resume) -> Visit | None:
        """Find the visit to resume. Raises: ProtocolError (busy) if the store fails or does not answer."""
        try:
            return await self._visits.find(resume, self._address)
        except OSError as error:
            logger.warning("a walk could not be resumed: %s", error)
            raise ProtocolError(ErrorCode.BUSY, STORE_FAILS) from None

    async def _load(self, id: str) -> Snapshot:
        """Read a walk that is kept. Raises: ProtocolError."""
        try:
            return await self._visits.opened.open(id, self._address)
        except SlowStoreError as error:
            logger.warning("a walk could not be opened: %s", error)
            raise ProtocolError(ErrorCode.BAD_REQUEST, f"start.snapshot: {STORE_FAILS}") from None

    def _welcome(self, *, resumed: bool, missing_chunks: int | None) -> m.Welcome:
        visit, engine = self.visit, self._engine
        asks_for_places = "places" in self._fields and visit.session is None  # who walks has one
        greeting = Greeting(
            visit.id,
            visit.secret,
            resumed,
            engine.latch,
            self._visits.store is not None,
            self._visits.records,
            engine.times_real_time,
            count_places(engine) if asks_for_places else None,
            self._visits.links.most_per_walk,
            missing_chunks,
        )
        return welcome(self._world, greeting, self._fields)

    async def _start(self, message: m.Start) -> None:
        check_start(message, self._world)
        if self.visit.session is None:
            self._check_room(has_picture=message.image is not None)
        if message.snapshot is not None:
            snapshot = await self._load(message.snapshot)
            self._open().start(WalkRequest(snapshot=snapshot))
            return
        view, picture = message.view, None
        if message.image is not None:
            picture, view = await self._decode(message.image)
        self._open().start(WalkRequest(view, picture, message.prompt, message.seed))
        if picture is not None and view is not None:
            self.put(m.State(what="view", view=view))

    def _open(self) -> Session:
        is_new = self.visit.session is None
        session = self.visit.open(self._engine, self._address)
        if is_new:
            logger.info("opened session %d", session.number)
        return session

    def _check_room(self, *, has_picture: bool) -> None:
        """Refuse a first walk, before its picture is decoded. Raises: ProtocolError (busy)."""
        if is_memory_short():
            raise ProtocolError(ErrorCode.BUSY, "the server is short of memory and takes no new walks")
        if has_picture and self._engine.is_full:  # without a picture the engine refuses, and counts it
            raise ProtocolError(ErrorCode.BUSY, REASONS["busy"])

    async def _decode(self, image: bytes) -> tuple[StartPicture, str | None]:
        try:
            return await self._decoding.run(self._address, self._read_picture, image)
        except PicturesFullError:
            raise ProtocolError(ErrorCode.BAD_REQUEST, TOO_MANY_PICTURES) from None

    def _read_picture(self, data: bytes) -> tuple[StartPicture, str | None]:
        """Decode a picture to start from.

        Returns: the picture, and the name of the start view; None if the walk begins in the picture itself.
        """
        picture = self._world.crop(read_image(data))
        if self._world.own_pictures == "as_is":
            return picture, None
        return picture, self._world.start_view(None, picture).name

    def _session_for(self, message: m.ClientMessage) -> Session:
        if self.visit.session is None:
            expected = f"expected a start that succeeds before {message.type}"
            raise ProtocolError(ErrorCode.BAD_REQUEST, f"{expected}, got none")
        return self.visit.session

    def _bookmark(self, message: m.Bookmark) -> None:
        """Keep a copy of the walk. The answer comes when it is in the store."""
        if self._visits.store is None:
            raise ProtocolError(ErrorCode.BAD_REQUEST, "expected no bookmark: this server keeps no walks")
        session = self._session_for(message)
        if not self.visit.bookmarks.take(monotonic_ms()):
            raise ProtocolError(ErrorCode.BAD_REQUEST, TOO_MANY_BOOKMARKS)
        keep = partial(keep_snapshot, self._visits.store, message.key, message.name, self._address)
        loop, outlet = asyncio.get_running_loop(), self.visit.outlet

        def answer(snapshot: Snapshot) -> None:
            self._visits.keep(self._address, keep, snapshot, outlet.put)

        session.copy(partial(post, loop, answer))

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
        self.visit.latency.receive(seq, now_ms)
        if "received" in self._fields:
            self.put(m.Received(seq=seq, at=now_ms))

    def _follow_playhead(self, session: Session, playhead: m.Playhead) -> None:
        for latency_ms in self.visit.latency.show(playhead.shown, monotonic_ms()):
            self._metrics.latency_s.observe(latency_ms / 1000.0)
        self._details.stalls.inc(max(0, min(playhead.stalled - self._num_stalls, MAX_STALLS)))
        self._num_stalls = max(self._num_stalls, playhead.stalled)
        self.visit.audience.set_away(playhead.hidden)
        session.playhead(playhead.shown, playhead.buffered, playhead.hidden, playhead.wanted)
