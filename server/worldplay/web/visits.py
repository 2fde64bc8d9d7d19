"""All visits of a server: new ones, those that wait for their client, and those that come from the store."""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from worldplay.engine.engine import Engine
from worldplay.protocol import messages as m
from worldplay.store.keeper import Keeper
from worldplay.store.store import MissingWalkError, Store
from worldplay.web.audience import Audience
from worldplay.web.monitoring import Metrics
from worldplay.web.visit import Visit
from worldplay.web.watch_links import ENDED, WatchLinks
from worldplay.world.snapshot import Snapshot
from worldplay.world.steering import WalkRequest
from worldplay.world.world import World

logger = logging.getLogger(__name__)

T = TypeVar("T")

NUM_FORGOTTEN = 256
MAX_READS = 2  # walks that are read from the store at a time
MAX_FIRST_FRAME = 2**31  # of a timeline that goes on: three years, and far from any limit of the protocol


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
    ) -> None:
        """Wait `resume_s` for a client that lost its connection. Without a store nothing is saved.

        Args:
            on_yielded: hears why a session lost its slot.
        """
        self._world = world
        self._engine = engine
        self._metrics = metrics
        self.store = store
        self.links = links
        self._on_yielded = on_yielded
        self._keeper = keeper
        self._resume_s = resume_s
        self._visits: dict[str, Visit] = {}
        self._forgotten: deque[str] = deque(maxlen=NUM_FORGOTTEN)  # their files may still be there
        self._reading = asyncio.Semaphore(MAX_READS)

    def new(self) -> Visit:
        """Make a visit for a client that is not known."""
        return self._make(secrets.token_urlsafe(12), secrets.token_urlsafe(24), 0, self._new_audience())

    def _new_audience(self) -> Audience:
        return Audience(self._metrics, asyncio.get_running_loop().call_later)

    def _make(self, id: str, secret: str, first_frame: int, audience: Audience, num_parts: int = 0) -> Visit:
        kept = None if self._keeper is None else self._keeper.keep(id, secret, num_parts)
        visit = Visit(self._world, self._metrics, id, secret, kept, self._on_yielded, first_frame, audience)
        self._visits[id] = visit
        return visit

    async def find(self, resume: m.Resume) -> Visit | None:
        """Find the visit that a client wants to resume; None if there is none with this secret."""
        visit = self._visits.get(resume.session)
        if resume.session in self._forgotten:
            self._count("unknown")
            return None
        if visit is not None and not visit.is_over:
            found = visit if visit.is_secret(resume.secret) else None
            self._count("memory" if found else "refused")
            return found
        reopened = await self._reopen(resume)
        self._count("store" if reopened else "unknown")
        return reopened

    async def read(self, load: Callable[[], T]) -> T:
        """Read a walk on a thread. Few are read at a time, because they may be large."""
        async with self._reading:
            return await asyncio.to_thread(load)

    async def _reopen(self, resume: m.Resume) -> Visit | None:
        """Open the walk that a lost session has in the store."""
        found = await self.read(partial(self._load, resume))
        other = self._visits.get(resume.session)
        if found is None or (other is not None and not other.is_over):  # two came at once, and one was first
            return None if other is None or not other.is_secret(resume.secret) else other
        snapshot, num_parts = found
        next_frame = 0 if resume.fragment is None else resume.fragment + 1
        first_frame = next_frame if next_frame <= MAX_FIRST_FRAME else 0
        audience = self._new_audience()
        if other is not None:  # those who watch go on with the walk
            audience, other.audience = other.audience, audience
        visit = self._make(resume.session, resume.secret, first_frame, audience, num_parts)
        visit.open(self._engine).start(WalkRequest(snapshot=snapshot))
        return visit

    def _load(self, resume: m.Resume) -> tuple[Snapshot, int] | None:
        """Read a session's walk. On a thread."""
        store = self.store
        try:
            if store is None or not store.owns(resume.session, resume.secret):
                return None
            return store.load(resume.session), store.count_parts(resume.session)
        except MissingWalkError:
            return None
        except (OSError, ValueError) as error:
            logger.warning("a walk could not be read: %s", error)
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
