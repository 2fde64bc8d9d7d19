"""Recording beside walks: whatever the disk does, the session only hears that its recording has ended."""

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.recorded import sent_video
from worldplay.store import tape as tape_module
from worldplay.store.about import hash_key
from worldplay.store.errors import MissingRecordingError
from worldplay.store.recorder import Recorder
from worldplay.store.recordings import RecordingLimits, Recordings
from worldplay.store.tape import (
    Begin,
    EndReason,
    Finish,
    Fragment,
    Revoke,
    Share,
    Sync,
    Tape,
    Title,
    Walk,
)

INIT, FRAGMENTS = sent_video(20)
ID = "session-number-1"


class Studio:
    """A recorder, and what its only session hears."""

    def __init__(self, folder: Path, **limits: float) -> None:
        given = {"walk_bytes": 10**6, "all_bytes": 10**6, "keep_s": 3600.0, **limits}
        self.recordings = Recordings(str(folder), RecordingLimits(**given))  # type: ignore[arg-type]
        self.recorder = Recorder(self.recordings)
        self.recorder.start()
        self.heard: list[EndReason] = []
        self.tape = self.open()

    def open(self, goes_on: bool = False) -> Tape:
        return self.recorder.open(ID, "secret", goes_on, self.heard.append)

    def record(self, count: int = 20, walk: str = "a walk") -> None:
        self.tape.put(Begin(INIT, walk))
        self.tape.put(Title("Start"))
        self.add(0, count)

    def add(self, first: int, count: int) -> None:
        for fragment in FRAGMENTS[first : first + count]:
            self.tape.put(Fragment(fragment))
        self.sync()

    def sync(self, walk: bytes = b"{}") -> None:
        """Write the walk, and wait until all is written."""
        done = threading.Event()
        self.tape.put(Walk(lambda: walk))
        self.tape.put(Sync(done.set))
        assert done.wait(60)

    @property
    def num_frames(self) -> int:
        return self.recordings.find(ID).index.num_frames


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    studio = Studio(tmp_path / "recordings")
    yield studio
    studio.recorder.close(5)


def test_what_is_sent_is_recorded(studio: Studio) -> None:
    studio.record()
    assert (studio.num_frames, studio.heard) == (20, [])
    assert studio.recordings.read_walk(ID) == b"{}"


def test_another_walk_is_another_recording(studio: Studio) -> None:
    studio.record()
    studio.record(3)
    assert studio.num_frames == 3


def test_visit_that_comes_back_goes_on(studio: Studio) -> None:
    studio.record(5)
    studio.tape.put(Finish())
    studio.tape = studio.open(goes_on=True)
    studio.tape.put(Begin(INIT, "a walk"))
    studio.add(5, 5)
    assert studio.num_frames == 10
    studio.record(2)
    assert studio.num_frames == 2


def test_session_that_comes_back_with_another_walk_begins_anew(studio: Studio) -> None:
    """It made that walk on another server, which records elsewhere."""
    studio.record(5)
    studio.tape.put(Finish())
    studio.tape = studio.open(goes_on=True)
    studio.record(3, "another walk")
    assert (studio.num_frames, studio.heard) == (3, [])


def test_old_video_is_not_shown_while_the_next_waits_for_the_disk(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.record(5)
    hangs = threading.Event()
    with monkeypatch.context() as context:
        context.setattr(studio.recordings, "make_room", lambda size: hangs.wait(60))
        studio.tape.put(Begin(INIT, "another walk"))
        with pytest.raises(MissingRecordingError):
            studio.recordings.find(ID)
        hangs.set()
        studio.add(0, 3)
    assert studio.num_frames == 3


def test_recording_that_goes_on_elsewhere_ends_quietly(studio: Studio, tmp_path: Path) -> None:
    studio.record(5)
    other = Studio(tmp_path / "recordings")
    other.tape = other.open(goes_on=True)
    other.tape.put(Begin(INIT, "a walk"))
    other.add(5, 5)
    studio.add(5, 3)
    studio.sync(b"an earlier walk")
    studio.tape.put(Finish())
    assert (other.num_frames, studio.heard) == (10, [])
    assert other.recordings.read_walk(ID) == b"{}"
    other.recorder.close(5)


def test_link_that_was_revoked_before_it_was_made_opens_nothing(studio: Studio) -> None:
    studio.record(5)
    hangs, made = threading.Event(), list[str | None]()
    studio.tape.put(Walk(lambda: b"{}" if hangs.wait(60) else b""))
    for item in (Share(make_token, made.append), Revoke()):
        studio.tape.put(item)
    hangs.set()
    studio.sync()
    assert (made, studio.recordings.find(ID).about.link) == ([None], "")
    studio.tape.put(Share(make_token, made.append))
    studio.sync()
    token = made[-1]
    assert token == f"{studio.recordings.find(ID).about.take} 1"
    assert studio.recordings.linked_walk(ID, hash_key(token)) == "a walk"


def make_token(take: str, num_revoked: int) -> str:
    return f"{take} {num_revoked}"


def test_recording_ends_at_its_limit_and_says_so_once(tmp_path: Path) -> None:
    studio = Studio(tmp_path, walk_bytes=len(INIT) + sum(map(len, FRAGMENTS[:10])))
    studio.record(10)
    studio.add(10, 1)
    studio.add(11, 9)
    assert (studio.num_frames, studio.heard) == (10, ["limit"])
    studio.sync(b"a longer walk")
    assert studio.recordings.read_walk(ID) == b"a longer walk"
    studio.record(10)
    assert (studio.num_frames, studio.heard, studio.recorder.ended["limit"]) == (10, ["limit"], 1)
    studio.recorder.close(5)


def test_recording_ends_when_there_is_no_room_for_more(tmp_path: Path) -> None:
    studio = Studio(tmp_path, all_bytes=5000)
    studio.record()
    assert studio.heard == ["full"]
    studio.recorder.close(5)


def test_full_disk_ends_the_recording_alone(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    studio.record(10)
    with monkeypatch.context() as context:
        context.setattr(os, "pwrite", _fail)
        studio.add(10, 5)
    studio.add(15, 5)
    assert (studio.num_frames, studio.heard) == (10, ["disk"])
    studio.record(4)
    assert (studio.num_frames, studio.heard) == (4, ["disk"])


def _fail(*arguments: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_folder_that_cannot_be_written_ends_the_recording_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    studio = Studio(tmp_path / "file" / "recordings")
    studio.record()
    assert studio.heard == ["disk"]
    with pytest.raises((MissingRecordingError, OSError)):
        studio.recordings.find(ID)
    studio.recorder.close(5)


def test_folder_that_is_removed_ends_the_recording_alone(studio: Studio) -> None:
    studio.record(5)
    studio.recordings._files.remove_folder(ID)
    studio.add(5, 5)
    assert studio.heard == ["disk"]
    studio.record(5)
    assert studio.num_frames == 5


def test_fault_of_ours_ends_the_recording_alone(studio: Studio) -> None:
    studio.record(5)
    studio.tape.put(Fragment(b"no fragment"))
    studio.sync()
    assert studio.heard == ["disk"]
    studio.record(5)
    assert studio.num_frames == 5


def test_disk_that_hangs_ends_the_recording_alone(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tape_module, "MAX_WAITING_BYTES", sum(map(len, FRAGMENTS)) // 2)
    hangs = threading.Event()
    studio.record(1)
    monkeypatch.setattr(studio.recordings, "append", lambda *arguments: hangs.wait(60))
    for fragment in [FRAGMENTS[0], *FRAGMENTS, *FRAGMENTS]:
        studio.tape.put(Fragment(fragment))
    assert studio.heard == ["disk"]
    assert studio.tape._waiting_bytes < 2 * tape_module.MAX_WAITING_BYTES
    hangs.set()


def test_recorder_that_hangs_holds_nobody_back(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()
    monkeypatch.setattr(studio.recordings, "begin", lambda *arguments: hangs.wait(60))
    studio.tape.put(Begin(INIT, "a walk"))
    studio.recorder.close(0.05)
    hangs.set()


def test_no_file_stays_open(studio: Studio) -> None:
    before = len(os.listdir("/proc/self/fd"))
    studio.record()
    studio.recordings.read(studio.recordings.find(ID), 0, 10)
    assert len(os.listdir("/proc/self/fd")) == before


def test_link_that_is_revoked_before_the_walk_is_open_again_stays_revoked(studio: Studio) -> None:
    """After a restart the walk goes on in the same recording."""
    made: list[str | None] = []
    revoked: list[bool] = []
    studio.record()
    studio.tape.put(Share(make_token, made.append))
    studio.tape.put(Finish())
    studio.sync()
    studio.tape = studio.open(goes_on=True)
    studio.tape.put(Revoke(revoked.append))
    studio.sync()
    assert (revoked, studio.recordings.find(ID).about.link) == ([True], "")
    studio.tape.put(Begin(INIT, "a walk"))
    studio.tape.put(Share(make_token, made.append))
    studio.sync()
    assert made[0] is not None
    assert made[1] not in (None, made[0])


def test_whatever_goes_wrong_with_a_link_the_recorder_goes_on(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(id: str) -> None:
        raise ValueError("the link changed meanwhile")

    revoked: list[bool] = []
    studio.record()
    studio.tape = studio.open(goes_on=True)
    monkeypatch.setattr(studio.recordings, "unlink", fail)
    studio.tape.put(Revoke(revoked.append))
    studio.sync()
    assert revoked == [False]
