"""Saves walks while they are made, on a thread of its own, so that a slow disk delays nobody."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Event
from typing import Literal, Protocol, TypeVar
from weakref import WeakSet

from worldplay.store.about import About, State, hash_address, hash_key
from worldplay.store.chain import FIRST_WRITER
from worldplay.store.daemon_thread import DaemonThread
from worldplay.store.errors import StoreFullError
from worldplay.store.joining import WrittenPart, WrittenParts
from worldplay.store.store import Store
from worldplay.world.snapshot import Snapshot
from worldplay.world.snapshot_file import TooLongError

logger = logging.getLogger(__name__)

T = TypeVar("T")

SAVE_EVERY_MS = 2000.0
LOOK_EVERY_MS = 10_000.0  # whether another server has taken the walk over
MAX_DOUBLINGS = 2
# After a failure a walk is saved again at its usual time; after a second one in a row so much later, and
# twice as much later after each further one.
RETRY_MS = 30_000.0
SLOW_MS = 15_000.0  # after which a part that is still being written counts as not saved
SIGN_EVERY_S = 20.0  # how often walks give a sign of life, also those that nobody goes on with

# Why a walk cannot be saved: the store has no room, the disk is full or fails, or the walk is too long.
Fault = Literal["full", "disk", "long"]


@dataclass(frozen=True, slots=True)
class Saving:
    """Whether a walk is saved: why it is not, and the first latent that this is about."""

    fault: Fault | None
    first: int


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
        self._thread = DaemonThread("snapshots")
        self._open = WeakSet[WalkSaver]()

    def keep(self, id: str, secret: str, writer: str = FIRST_WRITER, address: str = "") -> "WalkSaver":
        """Begin to save a session's walk under its id, or go on with it as a writer that has claimed it.

        Args:
            address: of the session's client; empty if that is not known.
        """
        about = About(kind="live", key=hash_key(secret), address=hash_address(address))
        saver = WalkSaver(self.store, self._thread, self._clock, self.totals, id, about, writer)
        self._open.add(saver)
        return saver

    def find(self, id: str) -> "list[WalkSaver]":
        """Find the sessions that save a walk here, or did a moment ago. On the thread of `keep`."""
        return [saver for saver in list(self._open) if saver.id == id]

    def give_signs(self) -> None:
        """Let all walks give a sign of life. To be called every SIGN_EVERY_S, on the thread of `keep`."""
        for saver in list(self._open):
            saver.give_sign()

    @property
    def num_unsaved(self) -> int:
        """Return how many walks cannot be saved at the moment."""
        return sum(saver.fault is not None for saver in list(self._open))

    def close(self, timeout_s: float | None = None) -> None:
        """Finish what was begun, unless it takes longer: the disk may hang."""
        if not self._thread.close(timeout_s):
            logger.warning("some walks were not saved: the store does not answer")


class WalkSaver:
    """The saved walk of one session.

    `changed`, `finish` and `leave` are called on the worker thread; they only copy what is new.
    """

    def __init__(
        self,
        store: Store,
        thread: DaemonThread,
        clock: Callable[[], float],
        totals: SaveTotals,
        id: str,
        about: About,
        writer: str,
    ) -> None:
        self._store = store
        self._thread = thread
        self._totals = totals
        self._clock = clock
        self.id = id
        self._about = about
        self._state: State = about.state
        self._writer = writer
        self._num_parts = 0
        self._parts = WrittenParts()
        self._is_described = writer != FIRST_WRITER  # whether there is a description in the store
        self._looks_ms = 0.0  # when it looks next whether the walk is still there, and goes on here
        self.on_moved: Callable[[], None] = lambda: None  # heard on this thread when it does not
        # Heard when saving begins to fail, and when it works again, on this thread or on the worker's.
        self.on_saving: Callable[[Saving], None] = lambda saving: None
        self.fault: Fault | None = None  # why the newest part could not be saved
        self._task: Future[bool] | None = None
        self._sign: Future[None] | None = None
        self._first = 0  # latent of the part that is being written
        self._submitted_ms = 0.0
        self._next_ms = 0.0
        self._num_failures = 0  # in a row
        self._is_too_long = False
        self._is_ended = False
        self._left = Event()
        self._left.set()
        self._joins = True  # whether there is time for it

    def begin(self) -> None:
        """Note that a session begins to make the walk. When it ends, it calls `leave`."""
        self._left.clear()

    def wait_left(self, timeout_s: float) -> bool:
        """Wait until the session has ended and its walk is saved. Any thread. Returns: whether it is."""
        return self._left.wait(timeout_s)

    def changed(self, walk: Saveable) -> None:
        """Save what is new, unless something was saved a moment ago."""
        self._joins = True
        if self._task is not None and not self._task.done():
            self._tell_if_slow()
        elif self._clock() >= self._next_ms:
            self._save(walk)

    def finish(self, walk: Saveable) -> None:
        """Save what is new: the walk will not change for a while."""
        self._joins = False
        self._save(walk)

    def leave(self, walk: Saveable | None) -> None:
        """Save what is new: the session has ended, and its walk waits for somebody who may not come back.

        Args:
            walk: None if it is as it was in the store, because the session never opened it.
        """
        self._joins = False
        try:
            if walk is not None:
                self._save(walk)
        finally:  # also if there is no memory for a copy
            self._submit(self._leave)

    def forget(self) -> None:
        """Remove the walk from the store, because it was ended on purpose."""
        self._is_ended = True
        self._submit(self._forget)

    def set_place(self, *, is_walking: bool) -> None:
        """Note whether the session has a slot, or waits for one. Any thread."""
        state: State = "walking" if is_walking else "waiting"
        if self._state not in (state, "left"):
            self._state = state
            self._submit(self._describe)

    def give_sign(self) -> None:
        """Show that somebody still has the walk. Any thread."""
        is_asleep = self._sign is None or self._sign.done()
        if is_asleep and self._is_described and not self._is_ended:
            self._sign = self._submit(self._give_sign)

    @property
    def has_moved(self) -> bool:
        """Return whether the walk goes on elsewhere. It reads the store. Any thread."""
        try:
            return not self._store.is_newest(self.id, self._writer)
        except OSError as error:
            logger.warning("the store does not say whether a walk goes on elsewhere: %s", error)
            return False
        except Exception:  # a file system of another kind has errors of its own
            logger.exception("the store does not say whether a walk goes on elsewhere")
            return False

    def _save(self, walk: Saveable) -> None:
        if self._is_ended or self._is_too_long:
            return
        self._next_ms = self._clock() + SAVE_EVERY_MS
        if not self._is_described:
            walk.count_unsaved(0)
        if self._task is not None and not (self._task.done() and self._task.result()):
            walk.count_unsaved(self._first)
        part = walk.take_unsaved()
        self._first = part.first
        self._submitted_ms = self._clock()
        self._task = self._submit(self._write, part)

    def _tell_if_slow(self) -> None:
        """Tell that the walk is not saved if a part takes too long: the disk hangs."""
        if self._clock() > self._submitted_ms + SLOW_MS and self.fault is None:
            logger.warning("a walk could not be saved: the store does not answer")
            self.fault = "disk"
            self.on_saving(Saving("disk", self._first))

    def _submit(self, task: Callable[..., T], *arguments: object) -> "Future[T] | None":
        try:
            return self._thread.submit(task, *arguments)
        except RuntimeError:  # the server has ended
            logger.debug("a walk was not saved any more")
            return None

    # -- the saving thread

    def _write(self, part: Snapshot) -> bool:
        """Write a part. Returns: whether it is in the store."""
        try:
            if self._is_ended or not self._is_here() or not self._is_whole_with(part):
                return False
            self._store.hold(self.id, self)
            if not self._is_described:
                self._about = self._store.create(self.id, self._newest_about)
                self._is_described = True
            num_bytes = self._store.append(self.id, self._num_parts, part, self._writer)
        except TooLongError:
            self._is_too_long = True
            return self._fail("long", "it is too long", part)
        except (OSError, StoreFullError) as error:
            fault: Fault = "full" if isinstance(error, StoreFullError) else "disk"
            return self._fail(fault, str(error) or type(error).__name__, part)
        except Exception as error:  # the top of this thread: other file systems have errors of their own
            logger.exception("a walk could not be saved")
            return self._fail("disk", type(error).__name__, part)
        self._parts.add(self._num_parts, num_bytes, part)
        self._num_parts += 1
        self._totals.saved += 1
        self._totals.num_bytes += num_bytes
        self._recover(part)
        if run := self._parts.find_run():
            self._submit(self._join, run)  # after what others save now
        return True

    def _join(self, run: list[WrittenPart]) -> None:
        """Join parts. If that fails, they stay as they are, and those after them are joined later."""
        if self._is_ended or not self._joins:
            return
        num_bytes = self._try(lambda: self._store.join(self.id, run, self._writer))
        if num_bytes is None:
            self._parts.forget()
        elif num_bytes:
            self._parts.replace(run, num_bytes)

    def _fail(self, fault: Fault, why: str, part: Snapshot) -> bool:
        logger.warning("a walk could not be saved: %s", why)
        self._totals.failed += 1
        self._num_failures += 1
        self._next_ms = self._clock() + self._pause_ms
        if self.fault != fault:
            self.fault = fault
            self.on_saving(Saving(fault, part.first))
        return False

    @property
    def _pause_ms(self) -> float:
        """Return how long after a failure the walk is saved again."""
        if self._num_failures < 2:
            return SAVE_EVERY_MS
        return RETRY_MS * float(2 ** min(MAX_DOUBLINGS, self._num_failures - 2))

    def _recover(self, part: Snapshot) -> None:
        self._num_failures = 0
        if self.fault is not None:
            logger.info("a walk is saved again")
            self.fault = None
            self.on_saving(Saving(None, part.first))

    def _is_here(self) -> bool:
        """Look now and then whether the walk is still in the store, and does not go on elsewhere."""
        if not self._is_described or self._clock() < self._looks_ms:
            return True
        self._looks_ms = self._clock() + LOOK_EVERY_MS
        if self.has_moved:
            self._end_here()
            return False
        if not self._store.has(self.id):
            logger.warning("a walk is not in the store any more, and is saved again from its beginning")
            self._is_described = False  # numbers go on: if older parts are there, the new one comes last
        return True

    def _is_whole_with(self, part: Snapshot) -> bool:
        """Return whether the store has what comes before a part. If not, the next one begins the walk."""
        if self._is_described or part.first == 0:
            return True
        self._first = 0
        return False

    def _end_here(self) -> None:
        """Stop saving, because another server goes on with the walk from the same store."""
        logger.info("a walk goes on on another server")
        self.fault = None
        self._is_ended = True
        self._store.release(self.id, self)
        self.on_moved()

    def _give_sign(self) -> None:
        self._looks_ms = 0.0
        if self._try(self._is_here):
            self._describe()

    @property
    def _newest_about(self) -> About:
        return self._about.model_copy(update={"state": self._state})

    def _describe(self) -> None:
        if self._is_described and not self._is_ended:
            self._store.hold(self.id, self)
            self._try(lambda: self._store.describe(self.id, self._newest_about))

    def _leave(self) -> None:
        """Let the store remove the walk if it needs room, or if its address has left too many."""
        self.fault = None
        if self._is_described and not self._is_ended and not self.has_moved:
            self._state = "left"
            self._describe()
            self._store.release(self.id, self)
            self._try(lambda: self._store.limit(self._about.address))
        self._store.release(self.id, self)
        if self._writer != FIRST_WRITER and not self._num_parts:
            self._store.give_up_claim(self.id, self._writer)  # or every visit would leave a file
        self._is_ended = True
        self._left.set()

    def _forget(self) -> None:
        self.fault = None
        self._store.release(self.id, self)
        if not self.has_moved:  # or it is no longer this session's
            self._try(lambda: self._store.delete(self.id))

    def _try(self, task: Callable[[], T]) -> T | None:
        """Do something that does not matter much. Returns: its result; None if the store refused."""
        try:
            return task()
        except (OSError, ValueError) as error:
            logger.warning("the store of walks fails: %s", error)
        except Exception:  # the top of this thread: a file system of another kind has errors of its own
            logger.exception("the store of walks fails")
        return None
