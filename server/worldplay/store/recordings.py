"""The recordings on disk: each is a folder with a video that only grows, its description, and the walk."""

import errno
import hmac
import logging
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from cachetools import LRUCache
from pydantic import ValidationError

from worldplay.media.fragment_index import FragmentIndex
from worldplay.store.errors import MissingRecordingError, RecordingsFullError, TakenOverError
from worldplay.store.files import ID, Entry, Files
from worldplay.store.folders import ABOUT, by_folder, is_made_here, remove_ours
from worldplay.store.raw_files import FileState, opened, write_all
from worldplay.store.recording_about import BLANK_LINK, RecordingAbout
from worldplay.store.steady_clock import SteadyClock

logger = logging.getLogger(__name__)

WALK = "walk.json"
CLEAN_EVERY_S = 60.0
RESTING_S = 300.0  # one that is younger and not finished may be another server's that is still written
LEAST_FREE_BYTES = 200 * 10**6  # of the disk, for everybody else who writes to it
REMEMBERED_INDICES = 64
_VIDEO = re.compile(r"[0-9a-f]{16}\.mp4")


@dataclass(frozen=True, slots=True)
class RecordingLimits:
    """How much is recorded, of one walk and in all, and for how long it is kept after its session."""

    walk_bytes: int
    all_bytes: int
    keep_s: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a recording has by now."""

    id: str
    about: RecordingAbout
    init: bytes
    index: FragmentIndex


class Recordings:
    """Recordings by the ids of their sessions. Any thread may read; one writes."""

    def __init__(
        self,
        folder: str,
        limits: RecordingLimits,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = Path(os.path.expanduser(folder))
        self._files = Files(str(self._root))
        self.limits = limits
        self._now, self._monotonic = SteadyClock(now, monotonic), monotonic
        # Of expected walks, holds and indices. The event loop takes it, so nothing is read meanwhile.
        self._lock = Lock()
        self._indices: LRUCache[tuple[str, str], FragmentIndex] = LRUCache(REMEMBERED_INDICES)
        self.num_bytes = 0  # as of the last cleaning, and what was written since
        self.num_written_bytes = 0
        self._cleaned_s = float("-inf")
        # Recordings that are being made, and may not be removed. Each has the state in which its description
        # was left here: if that changes, another server goes on with the recording.
        self.active: dict[str, FileState | None] = {}
        self._walks: dict[str, str] = {}  # of sessions: nothing but this walk is shown
        self._revoked: set[str] = set()  # sessions whose link works no more, whatever is on disk
        self._holds: Counter[str] = Counter()  # downloads in progress, by session

    # -- the writing thread; all but `finish` raise OSError, and TakenOverError

    def begin(self, id: str, about: RecordingAbout, init: bytes) -> None:
        """Begin a recording. The session's earlier one is gone, even if this fails.

        Raises: also RecordingsFullError.
        """
        self._check_ours(id)
        self._files.remove_folder(id)  # whoever reads it notices
        self.active.pop(id, None)
        self.make_room(len(init))
        self.active[id] = None
        self._revoked.discard(id)
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self._root / id
        folder.mkdir(mode=0o700)
        (folder / about.video).write_bytes(init)
        self._write_about(id, about)

    def go_on(self, id: str, about: RecordingAbout, end: int) -> None:
        """Go on behind the first `end` bytes of a video: its last fragment may be incomplete."""
        self._write_about(id, about)
        os.truncate(self._root / id / about.video, end)

    def describe(self, id: str, about: RecordingAbout) -> None:
        """Replace the description."""
        self._check_ours(id)
        self._write_about(id, about)

    def describe_link(self, id: str, about: RecordingAbout) -> None:
        """Replace the description by one with another link, which works from now on, or with none."""
        self.describe(id, about)
        self._revoked.discard(id)

    def blank_link(self, id: str) -> None:
        """Let the link on disk work no more, in place: a full disk has no room for another description."""
        self._check_ours(id)
        self.unlink(id)
        self.active[id] = self._about_state(id)

    def append(self, id: str, about: RecordingAbout, end: int, data: bytes) -> None:
        """Write behind the first `end` bytes of a video. If that fails, they stay as they are.

        Raises: also RecordingsFullError.
        """
        self._check_ours(id)
        self.make_room(len(data))
        if shutil.disk_usage(self._root).free < LEAST_FREE_BYTES + len(data):
            raise OSError(errno.ENOSPC, "the disk is almost full")
        with opened(self._root / id / about.video, os.O_WRONLY) as file:
            try:
                write_all(file, end, data)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(file, end)
                raise
        self.num_written_bytes += len(data)

    def write_walk(self, id: str, data: bytes) -> None:
        """Keep the walk beside its video. Raises: also RecordingsFullError."""
        self._check_ours(id)
        self.make_room(len(data))
        self._files.write(f"{id}/{WALK}", data)

    def finish(self, id: str) -> None:
        """Note that a recording is made no more. From now on it is kept for a while, if there is room."""
        try:
            self._check_ours(id)
            with suppress(OSError, MissingRecordingError):
                self.describe(id, self.about(id).model_copy(update={"is_finished": True}))
            self._touch(id)
            self._forget_walk(id, only_if_shown=True)
        except TakenOverError:
            self._forget_walk(id)
        except OSError as error:
            logger.warning("a recording could not be finished: %s", error)
        self.active.pop(id, None)

    def _forget_walk(self, id: str, only_if_shown: bool = False) -> None:
        """Show any walk of a session again; with `only_if_shown` not if an earlier one is there."""
        with suppress(MissingRecordingError):
            if only_if_shown and self._is_outdated(self._read_about(id), id):
                return
        with self._lock:
            self._walks.pop(id, None)

    def make_room(self, num_bytes: int) -> None:
        """Count bytes that will be written. Finished recordings are removed for them, the oldest first.

        Raises: RecordingsFullError.
        """
        if self.num_bytes + num_bytes > self.limits.all_bytes:
            self.clean(num_bytes)
        if self.num_bytes + num_bytes > self.limits.all_bytes:
            raise RecordingsFullError
        self.num_bytes += num_bytes

    def tick(self) -> None:
        """Now and then, mark the active recordings as such and remove what has expired."""
        if self._monotonic() < self._cleaned_s + CLEAN_EVERY_S:
            return
        for id in self.active:
            self._touch(id)
        self.clean()

    def clean(self, room_bytes: int = 0) -> None:
        """Remove what has expired and, until there is this much room, the oldest that nobody uses."""
        self._cleaned_s = self._monotonic()
        recordings = self._list()
        num_bytes = sum(entry.size for entries in recordings.values() for entry in entries)
        for id, entries in sorted(recordings.items(), key=lambda item: _last_changed(item[1])):
            is_crowded = num_bytes + room_bytes > self.limits.all_bytes
            if self._may_go(id, self._age_s(_last_changed(entries)), is_crowded) and self._remove(id):
                num_bytes -= sum(entry.size for entry in entries)
        self.num_bytes = num_bytes

    def _may_go(self, id: str, age_s: float, is_crowded: bool) -> bool:
        """Return whether a recording is removed that was changed so long ago."""
        if id in self.active:
            return False
        if age_s > self.limits.keep_s and self._now.is_steady:
            return True
        if not is_crowded and id not in self._walks:
            return False
        try:
            about = self._read_about(id)
        except (MissingRecordingError, OSError):  # not described yet, or no more
            return is_crowded and age_s > RESTING_S
        if not about.is_finished and age_s <= RESTING_S:
            return False
        return self._is_outdated(about, id) or (is_crowded and self._holds[id] == 0)

    def _remove(self, id: str) -> bool:
        """Remove a recording. Returns: whether it is gone."""
        try:
            remove_ours(self._files, id, _is_ours)
        except OSError as error:
            logger.warning("a recording could not be removed: %s", error)
            return False
        self._forget_walk(id)
        self._revoked.discard(id)
        return True

    def _list(self) -> dict[str, list[Entry]]:
        """List the files of each recording. What else is in the folder belongs to somebody else."""
        folders = by_folder(self._files.list())
        return {id: entries for id, entries in folders.items() if _is_recording(id, entries)}

    def _touch(self, id: str) -> None:
        """Renew the time of the last change."""
        with suppress(OSError, TakenOverError):  # its next write finds out
            self._check_ours(id)
            os.utime(self._root / id / ABOUT, (self._now(), self._now()))
            self.active[id] = self._about_state(id)

    def _write_about(self, id: str, about: RecordingAbout) -> None:
        self._files.write(f"{id}/{ABOUT}", about.model_dump_json().encode())
        self.active[id] = self._about_state(id)

    def _check_ours(self, id: str) -> None:
        """Check that nobody else goes on with a recording that is made here. Raises: TakenOverError."""
        left, found = self.active.get(id), self._about_state(id)
        if left is not None and found is not None and left != found:
            raise TakenOverError

    def _about_state(self, id: str) -> FileState | None:
        try:
            found = (self._root / id / ABOUT).stat()
        except FileNotFoundError:
            return None
        return FileState(found.st_ino, found.st_size, found.st_mtime_ns)

    # -- any thread

    def expect(self, id: str, walk: str) -> None:
        """Show no other walk of a session than this one, whatever is on disk and can be removed."""
        with self._lock:
            self._walks[id] = walk

    def revoke(self, id: str) -> None:
        """Let the link to a recording work no more, whatever is on disk and can be written."""
        self._revoked.add(id)

    def unlink(self, id: str) -> None:
        """Let the link on disk work no more. Raises: as `find`."""
        link, path = self._read_about(id).link, self._root / id / ABOUT
        if link:
            data = path.read_bytes()
            with opened(path, os.O_WRONLY) as file:
                write_all(file, data.index(link.encode()), BLANK_LINK.encode())
                os.fsync(file)

    def linked_walk(self, id: str, link: str) -> str:
        """Return the walk that a link shows, by the hash of its token. Raises: as `find`."""
        about = self.about(id)
        if not about.link or id in self._revoked or not hmac.compare_digest(about.link, link):
            raise MissingRecordingError
        return about.walk

    @contextmanager
    def held(self, id: str) -> Iterator[None]:
        """Remove nothing of a recording to make room meanwhile: it is downloaded."""
        with self._lock:
            self._holds[id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._holds[id] -= 1
                if not self._holds[id]:
                    del self._holds[id]

    def find(self, id: str) -> Recorded:
        """Find a recording, and what it has by now. Raises: MissingRecordingError or another OSError."""
        about = self.about(id)
        with self._reading(id, about) as file:
            size = os.fstat(file).st_size
            if self._age_s(self._last_alive_s(id, file)) > self.limits.keep_s:
                raise MissingRecordingError
            with self._lock:
                index = self._indices.get((id, about.take), FragmentIndex(about.init_bytes)).copy()
            index.extend(lambda offset, most: os.pread(file, most, offset), size)
            init = os.pread(file, about.init_bytes, 0)
            with self._lock:
                self._indices[id, about.take] = index  # nobody changes it any more
            return Recorded(id, about, init, index)

    def about(self, id: str) -> RecordingAbout:
        """Read the description. Raises: as `find`."""
        about = self._read_about(id)
        if self._is_outdated(about, id):
            raise MissingRecordingError
        return about

    def _is_outdated(self, about: RecordingAbout, id: str) -> bool:
        """Return whether a recording is of an earlier walk than its session's."""
        return self._walks.get(id, about.walk) != about.walk

    def _read_about(self, id: str) -> RecordingAbout:
        if ID.fullmatch(id) is None:
            raise MissingRecordingError
        try:
            return RecordingAbout.model_validate_json(self._files.read(f"{id}/{ABOUT}")).without_blank()
        except (FileNotFoundError, ValidationError):
            raise MissingRecordingError from None

    def read(self, recorded: Recorded, offset: int, size: int) -> bytes:
        """Read a part of a video. Raises: MissingRecordingError if it was removed or replaced; OSError."""
        with self._reading(recorded.id, recorded.about) as file:
            data = os.pread(file, size, offset)
        if len(data) != size:
            raise MissingRecordingError
        return data

    def read_walk(self, id: str) -> bytes:
        """Read the walk beside a video. Raises: as `find`."""
        self.about(id)
        try:
            return self._files.read(f"{id}/{WALK}")
        except FileNotFoundError:
            raise MissingRecordingError from None

    def _age_s(self, changed_s: float) -> float:
        """Return how old something is that was changed at a time; 0 while the clock is not to be believed."""
        return 0.0 if self._now.has_jumped else self._now() - changed_s

    def _last_alive_s(self, id: str, file: int) -> float:
        return max(os.fstat(file).st_mtime, (self._root / id / ABOUT).stat().st_mtime)

    @contextmanager
    def _reading(self, id: str, about: RecordingAbout) -> Iterator[int]:
        try:
            with opened(self._root / id / about.video, os.O_RDONLY) as file:
                yield file
        except FileNotFoundError:
            raise MissingRecordingError from None


def _last_changed(entries: Sequence[Entry]) -> float:
    return max(entry.changed_s for entry in entries)


def _is_recording(id: str, entries: Sequence[Entry]) -> bool:
    return is_made_here(id, entries, _is_ours, lambda name: _VIDEO.fullmatch(name) is not None)


def _is_ours(name: str) -> bool:
    return name in (ABOUT, WALK) or _VIDEO.fullmatch(name) is not None
