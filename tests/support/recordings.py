"""Recordings in a folder, of short videos, under a clock that only the test moves."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.recorded import sent_video
from worldplay.store.errors import MissingRecordingError
from worldplay.store.recordings import RecordingLimits, Recordings
from worldplay.store.take import Take

KEEP_S = 3600.0
INIT, FRAGMENTS = sent_video(20, first=100)
ID, OTHER = "session-number-1", "session-number-2"
WALK = "the-first-walk"


def make(
    folder: Path, now: Callable[[], float] = time.time, walk: int = 10**6, all: int = 10**6
) -> Recordings:
    """Make recordings under a clock that passes evenly."""
    return Recordings(str(folder), RecordingLimits(walk, all, KEEP_S), now, monotonic=now)


def record(
    recordings: Recordings, id: str = ID, fragments: list[bytes] = FRAGMENTS, walk: str = WALK
) -> Take:
    take = Take.begin(recordings, id, "key", walk, INIT)
    take.begin_chapter("Start")
    take.write(fragments)
    return take


def is_gone(recordings: Recordings) -> bool:
    """Nothing of the session is shown."""
    for read in (recordings.find, recordings.about, recordings.read_walk):
        with pytest.raises(MissingRecordingError):
            read(ID)
    return True


def fail(*arguments: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
