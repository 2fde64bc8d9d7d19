"""The recordings on disk: each is a folder with a video that only grows, its description, and the walk."""

import errno
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Annotated, Literal

from cachetools import LRUCache
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from worldplay.media.fragment_index import FragmentIndex
from worldplay.store.files import ID, Entry, Files

logger = logging.getLogger(__name__)

ABOUT, WALK = "about.json", "walk.json"
CLEAN_EVERY_S = 60.0
RESTING_S = 300.0  # a recording that is younger may be another server's that is still written
LEAST_FREE_BYTES = 200 * 10**6  # of the disk, for everybody else who writes to it
REMEMBERED_INDICES = 64
_OURS = re.compile(rf"{ID.pattern}/((about|walk)\.json|[0-9a-f]{{16}}\.mp4)(\.part)?")


class RecordingsFullError(Exception):
    """There is no room for more recordings."""


class MissingRecordingError(Exception):
    """There is no such recording, or no longer."""


class Mark(BaseModel):
    """A chapter: the frame of the recording that it begins with, counted from 0, and its title."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    frame: int
    title: str


class RecordingAbout(BaseModel):
    """The description of a recording. The secret of its session is kept as a hash only."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    format: Literal[1] = 1
    key: Annotated[str, Field(max_length=64)]  # hash of the session's secret
    take: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]  # names the video; each walk has another
    init_bytes: Annotated[int, Field(ge=0)]
    chapters: Annotated[tuple[Mark, ...], Field(strict=False)] = ()

    @property
    def video(self) -> str:
        """The name of the video's file."""
        return f"{self.take}.mp4"


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

    def __init__(self, folder: str, limits: RecordingLimits, now: Callable[[], float] = time.time) -> None:
        self._root = Path(os.path.expanduser(folder))
        self._files = Files(str(self._root))
        self.limits = limits
        self._now = now
        self._lock = Lock()  # of the indices
        self._indices: LRUCache[tuple[str, str], FragmentIndex] = LRUCache(REMEMBERED_INDICES)
        self.num_bytes = 0  # as of the last cleaning, and what was written since
        self.num_written_bytes = 0
        self._cleaned_s = float("-inf")
        self.active: set[str] = set()  # recordings that are being made, and may not be removed

    # -- the writing thread; all raise OSError

    def begin(self, id: str, about: RecordingAbout, init: bytes) -> None:
        """Begin a recording in place of any that is there. Raises: also RecordingsFullError."""
        self.make_room(len(init))
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self._root / id
        folder.mkdir(mode=0o700, exist_ok=True)
        self.active.add(id)
        before = [path for path in folder.iterdir() if path.name != ABOUT]
        (folder / about.video).write_bytes(init)
        self.describe(id, about)
        for path in before:  # whoever reads them notices that they are gone
            path.unlink()

    def go_on(self, id: str, about: RecordingAbout, end: int) -> None:
        """Go on behind the first `end` bytes of a video: its last fragment may be incomplete."""
        os.truncate(self._root / id / about.video, end)
        self.active.add(id)

    def describe(self, id: str, about: RecordingAbout) -> None:
        """Replace the description."""
        self._files.write(f"{id}/{ABOUT}", about.model_dump_json().encode())

    def append(self, id: str, about: RecordingAbout, end: int, data: bytes) -> None:
        """Write behind the first `end` bytes of a video. If that fails, they stay as they are.

        Raises: also RecordingsFullError.
        """
        self.make_room(len(data))
        if shutil.disk_usage(self._root).free < LEAST_FREE_BYTES + len(data):
            raise OSError(errno.ENOSPC, "the disk is almost full")
        with _opened(self._root / id / about.video, os.O_WRONLY) as file:
            try:
                _write_all(file, end, data)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(file, end)
                raise
        self.num_written_bytes += len(data)

    def write_walk(self, id: str, data: bytes) -> None:
        """Keep the walk beside its video. Raises: also RecordingsFullError."""
        self.make_room(len(data))
        self._files.write(f"{id}/{WALK}", data)

    def finish(self, id: str) -> None:
        """Note that a recording is made no more. From now on it is kept for a while."""
        self.active.discard(id)
        self._touch(id)

    def make_room(self, num_bytes: int) -> None:
        """Count bytes that will be written. Finished recordings may be removed for them.

        Raises: RecordingsFullError.
        """
        if self.num_bytes + num_bytes > self.limits.all_bytes:
            self.clean(num_bytes)
        if self.num_bytes + num_bytes > self.limits.all_bytes:
            raise RecordingsFullError
        self.num_bytes += num_bytes

    def tick(self) -> None:
        """Now and then, mark the active recordings as such and remove what has expired."""
        if self._now() < self._cleaned_s + CLEAN_EVERY_S:
            return
        for id in self.active:
            self._touch(id)
        self.clean()

    def clean(self, room_bytes: int = 0) -> None:
        """Remove what has expired and, until there is this much room, the oldest that nobody makes."""
        self._cleaned_s = self._now()
        recordings = self._list()
        num_bytes = sum(entry.size for entries in recordings.values() for entry in entries)
        for id, entries in sorted(recordings.items(), key=lambda item: _last_changed(item[1])):
            age_s = self._now() - _last_changed(entries)
            is_crowded = age_s > RESTING_S and num_bytes + room_bytes > self.limits.all_bytes
            if id not in self.active and (age_s > self.limits.keep_s or is_crowded):
                self._files.remove_folder(id)
                num_bytes -= sum(entry.size for entry in entries)
        self.num_bytes = num_bytes

    def _list(self) -> dict[str, list[Entry]]:
        """List the files of each recording. What else is in the folder belongs to somebody else."""
        folders: dict[str, list[Entry]] = {}
        for entry in self._files.list():
            folders.setdefault(entry.name.partition("/")[0], []).append(entry)
        return {
            id: entries
            for id, entries in folders.items()
            if all(_OURS.fullmatch(entry.name) for entry in entries)
        }

    def _touch(self, id: str) -> None:
        """Renew the time of the last change."""
        with suppress(OSError):  # it was removed, or the disk fails, which its next write finds
            os.utime(self._root / id / ABOUT, (self._now(), self._now()))

    # -- any thread

    def find(self, id: str) -> Recorded:
        """Find a recording, and what it has by now. Raises: MissingRecordingError or another OSError."""
        about = self.about(id)
        with self._reading(id, about) as file:
            size = os.fstat(file).st_size
            if self._now() > self._last_alive_s(id, file) + self.limits.keep_s:
                raise MissingRecordingError
            with self._lock:
                index = self._indices.setdefault((id, about.take), FragmentIndex(about.init_bytes))
                index.extend(lambda offset, most: os.pread(file, most, offset), size)
                return Recorded(id, about, os.pread(file, about.init_bytes, 0), index.copy())

    def about(self, id: str) -> RecordingAbout:
        """Read the description. Raises: as `find`."""
        if ID.fullmatch(id) is None:
            raise MissingRecordingError
        try:
            return RecordingAbout.model_validate_json(self._files.read(f"{id}/{ABOUT}"))
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
        try:
            return self._files.read(f"{id}/{WALK}")
        except FileNotFoundError:
            raise MissingRecordingError from None

    def _last_alive_s(self, id: str, file: int) -> float:
        return max(os.fstat(file).st_mtime, (self._root / id / ABOUT).stat().st_mtime)

    @contextmanager
    def _reading(self, id: str, about: RecordingAbout) -> Iterator[int]:
        try:
            with _opened(self._root / id / about.video, os.O_RDONLY) as file:
                yield file
        except FileNotFoundError:
            raise MissingRecordingError from None


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    file = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def _write_all(file: int, offset: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(file, rest, offset)
        offset, rest = offset + written, rest[written:]


def _last_changed(entries: Sequence[Entry]) -> float:
    return max(entry.changed_s for entry in entries)
