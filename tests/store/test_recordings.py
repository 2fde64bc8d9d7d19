"""Recordings on disk: only whole frames count, and another walk replaces what was there."""

import errno
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.recorded import sent_video
from support.recordings import FRAGMENTS, ID, INIT, KEEP_S, OTHER, WALK, fail, is_gone, make, record
from support.waiting import Clock
from worldplay.store import recordings as module
from worldplay.store.about import hash_key
from worldplay.store.errors import MissingRecordingError, RecordingsFullError, TakenOverError
from worldplay.store.files import Files
from worldplay.store.recordings import CLEAN_EVERY_S, RESTING_S, RecordingLimits
from worldplay.store.take import LimitError, Take


def test_recording_is_numbered_from_its_first_frame(tmp_path: Path) -> None:
    recordings = make(tmp_path)
    record(recordings)
    found = recordings.find(ID)
    data = recordings.read(found, 0, found.index.end)
    assert data == INIT + b"".join(sent_video(20)[1])
    assert (found.init, found.index.num_frames) == (INIT, 20)


def test_chapters_begin_where_their_frames_do(tmp_path: Path) -> None:
    take = record(make(tmp_path), fragments=FRAGMENTS[:5])
    take.begin_chapter("Start")
    take.write(FRAGMENTS[5:8])
    for title in ("at dusk", "at night"):
        take.begin_chapter(title)
    take.write(FRAGMENTS[8:])
    chapters = make(tmp_path).find(ID).about.chapters
    assert [(mark.frame, mark.title) for mark in chapters] == [(0, "Start"), (8, "at night")]


def test_walk_goes_on_in_the_same_recording(tmp_path: Path) -> None:
    record(make(tmp_path), fragments=FRAGMENTS[:5])
    after = make(tmp_path)
    take = Take.go_on(after, ID, "key", WALK, INIT)
    assert take is not None
    take.write(FRAGMENTS[5:])
    found = after.find(ID)
    assert after.read(found, 0, found.index.end) == INIT + b"".join(sent_video(20)[1])


@pytest.mark.parametrize(
    ("key", "walk", "init"),
    [("another", WALK, INIT), ("key", "another", INIT), ("key", "", INIT), ("key", WALK, INIT + b"x")],
)
def test_recording_that_does_not_fit_is_not_gone_on_with(
    tmp_path: Path, key: str, walk: str, init: bytes
) -> None:
    record(make(tmp_path))
    assert Take.go_on(make(tmp_path), ID, key, walk, init) is None
    assert Take.go_on(make(tmp_path), OTHER, "key", WALK, INIT) is None


def test_recording_of_an_earlier_version_goes_on_with_a_walk_of_it(tmp_path: Path) -> None:
    """They had no identity of their own."""
    record(make(tmp_path), walk="")
    path = tmp_path / ID / "about.json"
    old = {"format", "key", "take", "init_bytes", "chapters"}
    described = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in described.items() if name in old}))
    assert Take.go_on(make(tmp_path), ID, "key", "", INIT) is not None


def test_recording_that_goes_on_elsewhere_is_left_alone(tmp_path: Path) -> None:
    """Two servers share the folder. What the earlier one still writes does not spoil the later one's."""
    earlier, later = make(tmp_path), make(tmp_path)
    left = record(earlier, fragments=FRAGMENTS[:5])
    take = Take.go_on(later, ID, "key", WALK, INIT)
    assert take is not None
    take.write(FRAGMENTS[5:])
    left.begin_chapter("at night")
    for write in (
        lambda: left.write(FRAGMENTS[5:8]),
        lambda: left.write_walk(b"{}"),
        lambda: record(earlier, walk="another"),
    ):
        with pytest.raises(TakenOverError):
            write()
    earlier.tick()
    earlier.finish(ID)
    take.begin_chapter("at dusk")
    take.write(FRAGMENTS[:1])
    found = later.find(ID)
    assert [mark.title for mark in found.about.chapters] == ["Start", "at dusk"]
    with pytest.raises(MissingRecordingError):
        later.read_walk(ID)
    whole = INIT + b"".join(sent_video(21)[1][:20])
    assert later.read(found, 0, found.index.end).startswith(whole)


def test_server_that_was_killed_leaves_whole_frames(tmp_path: Path) -> None:
    record(make(tmp_path))
    (path,) = (tmp_path / ID).glob("*.mp4")
    os.truncate(path, path.stat().st_size - 1)
    after = make(tmp_path)
    assert after.find(ID).index.num_frames == 19
    take = Take.go_on(after, ID, "key", WALK, INIT)
    assert take is not None
    assert path.read_bytes() == INIT + b"".join(sent_video(20)[1][:19])
    take.write(FRAGMENTS[19:])
    assert path.read_bytes() == INIT + b"".join(sent_video(20)[1])


def test_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recordings = make(tmp_path)
    take = record(recordings, fragments=FRAGMENTS[:5])
    (path,) = (tmp_path / ID).glob("*.mp4")
    before = path.read_bytes()
    monkeypatch.setattr(os, "pwrite", _short_of_room(os.pwrite))
    with pytest.raises(OSError, match="No space left"):
        take.write(FRAGMENTS[5:])
    assert path.read_bytes() == before


def _short_of_room(pwrite: Callable[[int, memoryview, int], int]) -> Callable[[int, memoryview, int], int]:
    """A disk that takes 100 bytes more."""
    rooms = iter([100])

    def write(file: int, data: memoryview, offset: int) -> int:
        room = next(rooms, 0)
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(file, data[:room], offset)

    return write


def test_nothing_is_recorded_on_a_disk_that_is_almost_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAST_FREE_BYTES", 2**62)
    with pytest.raises(OSError, match="almost full"):
        record(make(tmp_path))


def test_too_long_recording_keeps_its_beginning(tmp_path: Path) -> None:
    recordings = make(tmp_path, walk=len(INIT) + sum(map(len, FRAGMENTS[:10])))
    take = record(recordings, fragments=FRAGMENTS[:10])
    with pytest.raises(LimitError):
        take.write(FRAGMENTS[10:])
    assert recordings.find(ID).index.num_frames == 10


def test_another_walk_replaces_the_recording(tmp_path: Path) -> None:
    recordings = make(tmp_path)
    record(recordings).write_walk(b"{}")
    before = recordings.find(ID)
    record(recordings, fragments=FRAGMENTS[:3])
    assert recordings.find(ID).index.num_frames == 3
    with pytest.raises(MissingRecordingError):
        recordings.read(before, 0, 1)
    with pytest.raises(MissingRecordingError):
        recordings.read_walk(ID)
    assert len(list((tmp_path / ID).iterdir())) == 2


def test_old_video_is_gone_if_there_is_no_room_for_another(tmp_path: Path) -> None:
    recordings = make(tmp_path)
    record(recordings).write_walk(b"{}")
    record(recordings, OTHER)
    recordings.limits = RecordingLimits(10**6, recordings.num_bytes // 2, KEEP_S)
    with pytest.raises(RecordingsFullError):
        record(recordings, walk="another")
    assert is_gone(recordings)
    assert is_gone(make(tmp_path))


def test_old_video_makes_room_for_the_sessions_next(tmp_path: Path) -> None:
    recordings = make(tmp_path, all=len(INIT) + sum(map(len, FRAGMENTS)) + 100)
    record(recordings)
    record(recordings, walk="another")
    assert recordings.find(ID).index.num_frames == 20


def test_old_video_is_gone_if_another_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings = make(tmp_path)
    record(recordings).write_walk(b"{}")
    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space left"):
        record(recordings, walk="another")
    assert is_gone(make(tmp_path))


def test_old_video_that_cannot_be_removed_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(time.time())
    recordings = make(tmp_path, clock)
    record(recordings).write_walk(b"{}")
    recordings.expect(ID, "another")
    assert is_gone(recordings)
    with monkeypatch.context() as context:
        context.setattr(Files, "remove_folder", fail)
        with pytest.raises(OSError, match="No space left"):
            record(recordings, walk="another")
        recordings.finish(ID)
        assert is_gone(recordings)
    clock.now_s += RESTING_S + 1
    recordings.tick()
    assert list(tmp_path.iterdir()) == []


def test_other_walk_that_another_server_records_is_shown_and_kept(tmp_path: Path) -> None:
    clock = Clock(time.time())
    earlier, later = make(tmp_path, clock), make(tmp_path, clock)
    earlier.expect(ID, WALK)
    record(earlier)
    later.expect(ID, "another")
    record(later, walk="another")
    earlier.finish(ID)
    clock.now_s += CLEAN_EVERY_S + 1
    earlier.tick()
    assert [each.find(ID).about.walk for each in (earlier, later)] == ["another", "another"]


@pytest.mark.parametrize("id", ["", "x", "../../etc/passwd", "a" * 65, OTHER])
def test_unknown_id_is_no_recording(tmp_path: Path, id: str) -> None:
    recordings = make(tmp_path)
    record(recordings)
    with pytest.raises(MissingRecordingError):
        recordings.find(id)


def test_recording_that_goes_on_is_finished_no_more(tmp_path: Path) -> None:
    recordings = make(tmp_path)
    record(recordings)
    recordings.finish(ID)
    assert make(tmp_path).find(ID).about.is_finished
    Take.go_on(recordings, ID, "key", WALK, INIT)
    assert not make(tmp_path).find(ID).about.is_finished


def test_folders_are_not_for_others(tmp_path: Path) -> None:
    record(make(tmp_path / "recordings"))
    for folder in (tmp_path / "recordings", tmp_path / "recordings" / ID):
        assert folder.stat().st_mode & 0o077 == 0


def test_link_that_was_revoked_on_a_full_disk_stays_so_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings = make(tmp_path)
    take = Take.begin(recordings, ID, "key", "a walk", INIT)
    token = take.share(lambda take, number: f"{take}{number}")
    with monkeypatch.context() as context:
        context.setattr(Files, "write", fail)
        take.revoke()
    again = make(tmp_path)
    with pytest.raises(MissingRecordingError):
        again.linked_walk(ID, hash_key(token))
    gone_on = Take.go_on(again, ID, "key", "a walk", INIT)
    assert gone_on is not None
    assert gone_on.share(lambda take, number: f"{take}{number}") != token


def test_reading_the_disk_delays_nobody_who_begins_a_walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop says that a walk begins."""
    recordings = make(tmp_path)
    record(recordings)
    reads, goes_on, pread = threading.Event(), threading.Event(), os.pread

    def hang(file: int, count: int, offset: int) -> bytes:
        reads.set()
        assert goes_on.wait(10)
        return pread(file, count, offset)

    monkeypatch.setattr(os, "pread", hang)
    reader = threading.Thread(target=recordings.find, args=(ID,))
    reader.start()
    assert reads.wait(10)
    begins = threading.Thread(target=recordings.expect, args=(OTHER, WALK), daemon=True)
    begins.start()
    begins.join(5)
    is_free = not begins.is_alive()
    goes_on.set()
    reader.join(10)
    assert is_free
