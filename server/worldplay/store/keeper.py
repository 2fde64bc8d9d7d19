"""Saves walks while they are made, on a thread of its own, so that a slow disk delays nobody."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from worldplay.store.chain import FIRST_WRITER
from worldplay.store.store import About, Store, StoreFullError, hash_key
from worldplay.world.snapshot import Snapshot
from worldplay.world.snapshot_file import TooLongError

logger = logging.getLogger(__name__)

SAVE_EVERY_MS = 2000.0
LOOK_EVERY_MS = 10_000.0  # whether another server has taken the walk over
MAX_DOUBLINGS = 5
RETRY_MS = 30_000.0  # after a failure; twice as long after each further one


class Saveable(Protocol):
    """A walk that can be saved in parts. Worker thread only."""

    def take_unsaved(self) -> Snapshot: ...

    def count_unsaved(self, first: int) -> None: ...


@dataclass(slots=True)
class SaveTotals:
    """Totals since the start. Written by the saving thread alone; other threads may read them."""

    saved: int = 0  # parts of walks
    failed: int = 0
    num_bytes: int = 0


class Keeper:
    """Saves the walks of all sessions, one after the other."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self.store = store
        self.totals = SaveTotals()
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="snapshots")

    def keep(self, id: str, secret: str, writer: str = FIRST_WRITER) -> "KeptWalk":
        """Begin to save a session's walk under its id, or go on with it as a writer that has claimed it."""
        return KeptWalk(self.store, self._thread, self._clock, self.totals, id, secret, writer)

    def close(self) -> None:
        """Finish what was begun."""
        self._thread.shutdown()


class KeptWalk:
    """The saved walk of one session.

    `changed` and `finish` are called on the worker thread; they only copy what is new.
    """

    def __init__(
        self,
        store: Store,
        thread: ThreadPoolExecutor,
        clock: Callable[[], float],
        totals: SaveTotals,
        id: str,
        secret: str,
        writer: str,
    ) -> None:
        self._store = store
        self._thread = thread
        self._totals = totals
        self._clock = clock
        self._id = id
        self._about = About(kind="live", key=hash_key(secret))
        self._writer = writer
        self._num_parts = 0
        self._looks_ms = 0.0  # when it looks next whether the walk goes on elsewhere
        self.on_moved: Callable[[], None] = lambda: None  # heard on this thread when it does
        self._task: Future[bool] | None = None
        self._first = 0  # latent of the part that is being written
        self._next_ms = 0.0
        self._num_failures = 0  # in a row
        self._is_ended = False

    def changed(self, walk: Saveable) -> None:
        """Save what is new, unless something was saved a moment ago."""
        if self._clock() < self._next_ms or (self._task is not None and not self._task.done()):
            return
        self._save(walk)

    def finish(self, walk: Saveable) -> None:
        """Save what is new: the walk will not change any more."""
        self._save(walk)

    def forget(self) -> None:
        """Remove the walk from the store, because it was ended on purpose."""
        self._is_ended = True
        self._submit(self._forget)

    @property
    def has_moved(self) -> bool:
        """Return whether the walk goes on elsewhere. It reads the store. Any thread."""
        try:
            return not self._store.is_newest(self._id, self._writer)
        except Exception:  # a file system of another kind has errors of its own
            logger.exception("the store does not say whether a walk goes on elsewhere")
            return False

    def _save(self, walk: Saveable) -> None:
        if self._is_ended:
            return
        self._next_ms = self._clock() + SAVE_EVERY_MS
        if self._task is not None and not (self._task.done() and self._task.result()):
            walk.count_unsaved(self._first)
            self._next_ms = self._clock() + RETRY_MS * 2**self._num_failures
        part = walk.take_unsaved()
        self._first = part.first
        self._submit(self._write, part)

    def _submit(self, task: Callable[..., bool], *arguments: object) -> None:
        try:
            self._task = self._thread.submit(task, *arguments)
        except RuntimeError:  # the server has ended
            logger.debug("a walk was not saved any more")

    def _write(self, part: Snapshot) -> bool:
        """Write a part. Returns: whether it is in the store."""
        try:
            if self._ends_because_moved():
                return False
            if self._num_parts == 0 and self._writer == FIRST_WRITER:
                self._store.create(self._id, self._about)
            num_bytes = self._store.append(self._id, self._num_parts, part, self._writer)
        except TooLongError:
            logger.warning("a walk has become too long to be saved")
            self._is_ended = True
            return False
        except (OSError, StoreFullError) as error:
            logger.warning("a walk could not be saved: %s", error or type(error).__name__)
            return self._fail()
        except Exception:  # the top of this thread: a file system of another kind has errors of its own
            logger.exception("a walk could not be saved")
            return self._fail()
        self._num_parts += 1
        self._totals.saved += 1
        self._totals.num_bytes += num_bytes
        self._num_failures = 0
        return True

    def _ends_because_moved(self) -> bool:
        """Stop saving if the walk goes on elsewhere: another server has it from the same store."""
        if self._clock() < self._looks_ms:
            return False
        self._looks_ms = self._clock() + LOOK_EVERY_MS
        if not self.has_moved:
            return False
        logger.info("a walk goes on on another server")
        self._is_ended = True
        self.on_moved()
        return True

    def _fail(self) -> bool:
        self._totals.failed += 1
        self._num_failures = min(MAX_DOUBLINGS, self._num_failures + 1)
        return False

    def _forget(self) -> bool:
        if self.has_moved:  # it is no longer this session's
            return True
        try:
            self._store.delete(self._id)
        except OSError as error:
            logger.warning("a walk could not be removed: %s", error)
        return True
