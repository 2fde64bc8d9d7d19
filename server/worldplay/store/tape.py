"""What one session records: what waits to be written, and how it is written."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Literal, TypeVar

from worldplay.store.errors import MissingRecordingError, RecordingsFullError, TakenOverError
from worldplay.store.recordings import Recordings
from worldplay.store.take import LimitError, MakeToken, Take

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_WAITING_BYTES = 2**24  # more than a minute of video: the disk hangs

# Why a recording ends before its walk: it is as long as allowed, there is no room for more recordings, or the
# disk is full or fails.
EndReason = Literal["limit", "full", "disk"]


@dataclass(frozen=True, slots=True)
class Begin:
    """Another walk begins, with this init segment. `walk` is its own identity."""

    init: bytes
    walk: str


@dataclass(frozen=True, slots=True)
class Fragment:
    """The next frame."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Title:
    """A chapter begins with the next frame."""

    text: str


@dataclass(frozen=True, slots=True)
class Sync:
    """`done` is called when all that was put before is written, or could not be."""

    done: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Share:
    """A link opens the recording. `done` gets its token; None: nothing is recorded, or the link is over."""

    make_token: MakeToken
    done: Callable[[str | None], None]


@dataclass(frozen=True, slots=True)
class Revoke:
    """No link opens the recording any more. `done` gets whether that is on disk."""

    done: Callable[[bool], None] = lambda is_written: None


@dataclass(frozen=True, slots=True)
class Walk:
    """The walk is written beside its video."""

    describe: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing more comes."""


Item = Begin | Fragment | Title | Sync | Share | Revoke | Walk | Finish


class Tape:
    """The recordings of one session, one walk after the other.

    Any thread may call `put`, which returns at once; `write` is for the recorder's thread.
    """

    def __init__(
        self,
        recordings: Recordings,
        id: str,
        key: str,
        goes_on: bool,
        tell: Callable[[EndReason], None],
        wake: Callable[["Tape"], None],
    ) -> None:
        """Record under the session's id, for who has the secret with the hash `key`.

        Args:
            goes_on: whether the first walk goes on with an earlier recording, if there is one.
            tell: hears why a recording ends before its walk, once, on any thread.
            wake: asks for `write`.
        """
        self._recordings = recordings
        self._id = id
        self._key = key
        self._goes_on = goes_on
        self._tell = tell
        self._wake = wake
        self._lock = Lock()
        self._waiting: list[Item] = []
        self._waiting_bytes = 0
        self._num_begun = self._num_ended = 0  # a walk's fragments are accepted from its Begin until its end
        self._num_revoking = 0  # links that will be revoked
        self._take: Take | None = None  # recorder's thread only, as the next one
        self._num_written = 0  # walks whose recordings were begun, or could not be
        self._is_failed = False  # nothing more of this walk is written

    def put(self, item: Item) -> None:
        """Record this next."""
        with self._lock:
            if isinstance(item, Begin):
                self._num_begun += 1
                self._recordings.expect(self._id, item.walk)
            if isinstance(item, Revoke):
                self._num_revoking += 1
                self._recordings.revoke(self._id)
            if isinstance(item, Fragment):
                if self._num_ended == self._num_begun:
                    return
                self._waiting_bytes += len(item.data)
            hangs, number = self._waiting_bytes > MAX_WAITING_BYTES, self._num_begun
            is_asleep = not self._waiting
            self._waiting.append(item)
        if hangs:
            self._end("disk", number)
        if is_asleep:
            self._wake(self)

    def write(self) -> None:
        """Write all that waits."""
        with self._lock:
            items, self._waiting, self._waiting_bytes = self._waiting, [], 0
        fragments: list[bytes] = []
        for item in items:
            if isinstance(item, Fragment):
                fragments.append(item.data)
                continue
            self._write_fragments(fragments)
            fragments = []
            self._handle(item)
        self._write_fragments(fragments)

    def _handle(self, item: Begin | Title | Sync | Share | Revoke | Walk | Finish) -> None:
        match item:
            case Begin():
                self._begin(item)
            case Title(text) if self._take is not None:
                self._take.begin_chapter(text)
            case Sync(done):
                done()
            case Share(make_token, done):
                is_over = self._num_revoking > 0  # it was revoked since
                done(None if is_over else self._change_link(lambda take: take.share(make_token)))
            case Revoke(done):
                with self._lock:
                    self._num_revoking -= 1
                done(self._revoke())
            case Walk(describe):
                self._write_walk(describe)
            case Finish():
                self._recordings.finish(self._id)

    def _begin(self, begin: Begin) -> None:
        self._num_written += 1
        self._take, self._is_failed = None, False
        with self._ending_on_failure():
            if self._goes_on:
                self._take = Take.go_on(self._recordings, self._id, self._key, begin.walk, begin.init)
            self._goes_on = False
            if self._take is None:
                self._take = Take.begin(self._recordings, self._id, self._key, begin.walk, begin.init)

    def _write_fragments(self, fragments: list[bytes]) -> None:
        if fragments and self._take is not None and not self._is_failed:
            with self._ending_on_failure():
                self._take.write(fragments)

    def _revoke(self) -> bool:
        """Let no link open the recording any more. Returns: whether that is on disk."""
        if self._take is not None:
            return self._change_link(_revoke) is not None
        try:  # an earlier process may have left a recording, with which this walk goes on
            self._recordings.unlink(self._id)
        except MissingRecordingError:
            return True
        except OSError as error:
            logger.warning("the link to a recording was not changed: %s", error)
            return False
        except Exception:  # the top of this thread
            logger.exception("the link to a recording was not changed")
            return False
        return True

    def _change_link(self, change: Callable[[Take], T]) -> T | None:
        """Change the recording's link. Returns: None if that is not possible."""
        try:
            return None if self._take is None else change(self._take)
        except (OSError, TakenOverError) as error:
            logger.warning("the link to a recording was not changed: %s", str(error) or type(error).__name__)
        except Exception:  # the top of this thread
            logger.exception("the link to a recording was not changed")
        return None

    def _write_walk(self, describe: Callable[[], bytes]) -> None:
        if self._take is None:
            return
        try:
            self._take.write_walk(describe())
        except TakenOverError:
            logger.debug("a recording goes on on another server")
        except (OSError, RecordingsFullError) as error:
            logger.warning(
                "a walk was not written beside its recording: %s", str(error) or type(error).__name__
            )
        except Exception:  # the top of this thread
            logger.exception("a walk was not written beside its recording")

    @contextmanager
    def _ending_on_failure(self) -> Iterator[None]:
        """End the recording, but nothing else, if it cannot be written."""
        reason: EndReason | None = None
        try:
            yield
        except TakenOverError:
            self._is_failed = True
            logger.info("a recording goes on on another server")
        except LimitError:
            reason = "limit"
        except RecordingsFullError:
            reason = "full"
        except OSError as error:
            logger.warning("a recording ended: %s", error)
            reason = "disk"
        except Exception:  # the top of this thread
            logger.exception("a recording ended")
            reason = "disk"
        if reason is not None:
            self._is_failed = True
            self._end(reason, self._num_written)

    def _end(self, reason: EndReason, number: int) -> None:
        """Take no more frames of the walk with this number, and tell why. Any thread."""
        with self._lock:
            if self._num_ended >= number:
                return
            self._num_ended = number
        self._tell(reason)


def _revoke(take: Take) -> bool:
    take.revoke()
    return True
