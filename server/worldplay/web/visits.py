"""All visits of a server: new ones, those that wait for their client, and those that come from the store."""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar
from weakref import WeakValueDictionary

from worldplay.engine.engine import Engine
from worldplay.protocol import messages as m
from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.store.chain import FIRST_WRITER
from worldplay.store.errors import MissingWalkError
from worldplay.store.keeper import Keeper, WalkSaver
from worldplay.store.recorder import Recorder
from worldplay.store.store import Store
from worldplay.web.audience import Audience
from worldplay.web.disk_threads import DiskThreads, SlowStoreError
from worldplay.web.limits import BytesLimit
from worldplay.web.monitoring import Metrics, begin_at_zero
from worldplay.web.opened_snapshots import (
    MAX_WAITING_BYTES,
    MAX_WAITING_BYTES_EACH,
    TOO_MANY,
    OpenedSnapshots,
)
from worldplay.web.outlet import MAX_FIRST_FRAME
from worldplay.web.recording import SessionRecording, describe_path
from worldplay.web.snapshots import STORE_FAILS
from worldplay.web.visit import Visit
from worldplay.web.watch_links import ENDED, WatchLinks
from worldplay.web.work_pace import WorkPace
from worldplay.world.snapshot import Snapshot
from worldplay.world.steering import WalkRequest
from worldplay.world.world import World

logger = logging.getLogger(__name__)

T = TypeVar("T")

NUM_FORGOTTEN = 256
MAX_READS = 2  # walks that are read from the store at a time
MAX_WRITES, KEEP_PATIENCE_S = 2, 30.0  # bookmarks that are written at a time
MAX_LOOKS = 8  # questions to the store at a time; their answers are small
LEAVE_PATIENCE_S = 2.0  # for a session that ends to save its walk
STORE_PATIENCE_S = 0.25  # for the store to say whether a walk that is here went on elsewhere


class Visits:
    """The visits whose clients may come back. Event loop only."""

    def __init__(
        self,
        world: World,
        engine: Engine,
        metrics: Metrics,
        store: Store | None,
        keeper: Keeper | None,
        resume_s: float,
        on_yielded: Callable[[str], None],
        links: WatchLinks,
        recorder: Recorder | None = None,
    ) -> None:
        """Wait `resume_s` for a client that lost its connection. Without a store nothing is saved.

        Args:
            on_yielded: hears why a session lost its slot.
            recorder: records what clients are sent; None: nothing is recorded.
        """
        self._world = world
        self._engine = engine
        self._metrics = metrics
        begin_at_zero(metrics.protocol_errors, [code.value for code in ErrorCode])
        self.store = store
        self.links = links
        self._on_yielded = on_yielded
        self._keeper = keeper
        self._recorder = recorder
        self._resume_s = resume_s
        self._visits: dict[str, Visit] = {}
        self._forgotten: deque[str] = deque(maxlen=NUM_FORGOTTEN)  # their files may still be there
        self._reads, self._looks = DiskThreads(MAX_READS), DiskThreads(MAX_LOOKS)
        self._writes = DiskThreads(MAX_WRITES)
        self._keeping = set[asyncio.Future[None]]()
        self._copies = BytesLimit(MAX_WAITING_BYTES_EACH, MAX_WAITING_BYTES)  # of walks that will be written
        self.pace = WorkPace()
        self.opened = OpenedSnapshots(store, self._reads, self.pace)
        self._opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def new(self, address: str) -> Visit:
        """Make a visit for a client with this address that is not known."""
        id, secret = secrets.token_urlsafe(12), secrets.token_urlsafe(24)
        return self._make(id, secret, address, 0, self._new_audience())

    @property
    def records(self) -> bool:
        """Return whether what clients are sent is recorded."""
        return self._recorder is not None

    def recording_of(self, id: str) -> SessionRecording | None:
        """Return the recording of a session, while its visit lasts."""
        visit = self._visits.get(id)
        return None if visit is None else visit.recording

    def _new_audience(self) -> Audience:
        return Audience(self._metrics, asyncio.get_running_loop().call_later)

    def _make(
        self,
        id: str,
        secret: str,
        address: str,
        first_frame: int,
        audience: Audience,
        writer: str = FIRST_WRITER,
    ) -> Visit:
        saver = None if self._keeper is None else self._keeper.keep(id, secret, writer, address)
        visit = Visit(
            self._world,
            self._metrics,
            id,
            secret,
            saver,
            self._on_yielded,
            first_frame,
            audience,
            self._recorder,
            is_back=writer != FIRST_WRITER,
        )
        if visit.recording is not None:
            visit.recording.counted = partial(self.pace.counted, address)
        self._visits[id] = visit
        return visit

    async def find(self, resume: m.Resume, address: str) -> Visit | None:
        """Find the visit that a client wants to resume; None if there is none with this secret.

        Args:
            address: the client's.
        Raises: OSError if the store fails or does not answer: the walk may be there.
        """
        visit = self._visits.get(resume.session)
        if resume.session in self._forgotten:
            self._count("unknown")
            return None
        if visit is not None and not visit.is_over and not visit.is_secret(resume.secret):
            self._count("refused")
            return None
        if visit is not None and not visit.is_over and not await self._has_moved(visit, address):
            if resume.session in self._forgotten:  # its client has ended it meanwhile
                self._count("unknown")
                return None
            self._count("memory")
            return visit
        reopened = await self._reopen(resume, address)
        self._count("store" if reopened else "unknown")
        return reopened

    async def read(self, address: str, load: Callable[[], T]) -> T:
        """Read a walk on a thread. Few are read at a time, because they may be large.

        Raises: SlowStoreError, and what `load` raises.
        """
        return await self._reads.run(address, load)

    def keep(
        self,
        address: str,
        keep: Callable[[Snapshot], m.Bookmarked | ProtocolError],
        snapshot: Snapshot,
        answer: Callable[[m.Bookmarked | ProtocolError], None],
    ) -> None:
        """Put a walk into the store, on a thread. Few are written at a time, because they may be large."""
        num_bytes = snapshot.latents.nbytes
        if not self._copies.add(address, num_bytes):
            answer(ProtocolError(ErrorCode.BAD_REQUEST, TOO_MANY))
            return

        async def run() -> None:
            try:
                answer(await self._writes.run(address, keep, snapshot, patience_s=KEEP_PATIENCE_S))
            except SlowStoreError as error:
                logger.warning("a walk could not be kept: %s", error)
                answer(ProtocolError(ErrorCode.BAD_REQUEST, STORE_FAILS))
            finally:
                self._copies.remove(address, num_bytes)

        task = asyncio.ensure_future(run())
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)

    async def _has_moved(self, visit: Visit, address: str) -> bool:
        """Return whether a visit's walk went on on another server meanwhile. If so, it ends here."""
        saver, has_moved = visit.saver, False
        if saver is not None:
            with suppress(SlowStoreError):
                has_moved = await self._looks.run(
                    address, lambda: saver.has_moved, patience_s=STORE_PATIENCE_S
                )
        if has_moved:
            visit.dismiss()
            self.end(visit)
        return has_moved or visit.is_over

    async def _reopen(self, resume: m.Resume, address: str) -> Visit | None:
        """Open the walk that a lost session has in the store. Of two that come at once, one opens it."""
        async with self._opening.setdefault(resume.session, asyncio.Lock()):
            other = self._visits.get(resume.session)
            if other is not None and not other.is_over:
                return other if other.is_secret(resume.secret) else None
            leaving = [] if self._keeper is None else self._keeper.find(resume.session)
            found = await self.read(address, partial(self._load, resume, leaving))
            return None if found is None else self._open(resume, address, *found, other)

    def _open(
        self, resume: m.Resume, address: str, snapshot: Snapshot, writer: str, other: Visit | None
    ) -> Visit:
        """Make a visit of a walk from the store. `other` is the one that had it here before, if any."""
        next_frame = 0 if resume.fragment is None else resume.fragment + 1
        first_frame = next_frame if next_frame <= MAX_FIRST_FRAME else 0
        audience = self._new_audience()
        if other is not None:  # those who watch go on with the walk
            audience, other.audience = other.audience, audience
            other.dismiss()  # its connection may still be sending, and recording
            self.end(other)
        visit = self._make(resume.session, resume.secret, address, first_frame, audience, writer)
        visit.num_restored = snapshot.num_chunks
        if visit.saver is not None:
            visit.saver.set_place(is_walking=False)  # until it has one
        visit.open(self._engine, address).start(WalkRequest(snapshot=snapshot, is_saved=True))
        return visit

    def _load(self, resume: m.Resume, leaving: Sequence[WalkSaver]) -> tuple[Snapshot, str] | None:
        """Read a session's walk, and claim it. On a thread.

        Args:
            leaving: those who save the walk here. Until their session has ended, something may be missing.

        Returns: the walk, and who writes it now; None if there is none that can go on here.
        Raises: OSError if the store fails: the walk may be there.
        """
        store = self.store
        try:
            if not self.owns_stored(resume.session, resume.secret) or store is None:
                return None
            for saver in leaving:
                saver.wait_left(LEAVE_PATIENCE_S)
            writer = store.claim(resume.session)  # first, so that nothing is added meanwhile
            snapshot = self._check(store, resume.session, writer)
        except MissingWalkError:
            return None
        return None if snapshot is None else (snapshot, writer)

    def _check(self, store: Store, id: str, writer: str) -> Snapshot | None:
        """Read a walk that was claimed; None if it cannot go on here."""
        try:
            snapshot = store.load(id)
            self._world.check_snapshot(snapshot)
        except ValueError as error:
            logger.warning("a walk cannot go on here: %s", error)
            store.give_up_claim(id, writer)
            return None
        except BaseException:  # for example the disk's
            store.give_up_claim(id, writer)
            raise
        return snapshot

    def is_secret(self, id: str, secret: str) -> bool | None:
        """Return whether a secret is that of a session whose visit lasts; None if there is no such visit."""
        visit = self._visits.get(id)
        return None if visit is None else visit.is_secret(secret)

    def owns_stored(self, id: str, secret: str) -> bool:
        """Return whether a secret is that of a session whose walk is in the store. On a thread."""
        try:
            if self.store is None or self.store.about(id).kind != "live":
                return False
            return self.store.owns(id, secret)
        except MissingWalkError:
            return False

    def describe_stored(self, id: str, walk: str | None = None) -> bytes | None:
        """Describe the walk that a session has in the store, as a recorded walk. On a thread.

        Returns: None if there is none, or not this one.
        """
        try:
            path = None if self.store is None else self.store.load(id).path()
            if path is None or walk not in (None, path.beginning.walk):
                return None
            return describe_path(self._world, path)
        except (MissingWalkError, ValueError):
            return None

    def forget(self, visit: Visit) -> None:
        """Remove a visit's walk from the store, because its client ended it. It cannot be resumed."""
        visit.forget()
        self._forgotten.append(visit.id)

    def lose(self, visit: Visit) -> None:
        """Wait for a client whose connection is lost, if it has a walk."""
        if visit.is_over or self._resume_s == 0:
            self.end(visit)
            return
        visit.leave()
        visit.timer = asyncio.get_running_loop().call_later(self._resume_s, self.end, visit)

    def end(self, visit: Visit) -> None:
        """End a visit. A client that comes back later finds its walk in the store."""
        visit.end()
        self.links.close(visit.audience, ENDED)
        if visit.timer is not None:
            visit.timer.cancel()
        if self._visits.get(visit.id) is visit:
            del self._visits[visit.id]

    def close(self) -> None:
        """End all visits, because the server ends."""
        for visit in list(self._visits.values()):
            self.end(visit)

    def _count(self, source: str) -> None:
        self._metrics.resumes.labels(source).inc()
