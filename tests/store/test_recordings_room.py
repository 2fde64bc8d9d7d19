"""Recordings are kept neither for ever nor beyond their room, and no others are removed."""

import os
import time
from pathlib import Path

import pytest

from support.recordings import FRAGMENTS, ID, INIT, KEEP_S, OTHER, fail, is_gone, make, record
from support.waiting import Clock
from worldplay.store.errors import MissingRecordingError, RecordingsFullError
from worldplay.store.files import Files
from worldplay.store.recordings import CLEAN_EVERY_S, RESTING_S, RecordingLimits, Recordings


def test_finished_recording_expires(tmp_path: Path) -> None:
    clock = Clock(time.time())
    recordings = make(tmp_path, clock)
    record(recordings)
    clock.now_s += 10 * KEEP_S  # of a visit that lasts so long
    recordings.tick()
    assert recordings.find(ID)
    recordings.finish(ID)
    clock.now_s += KEEP_S - 1
    recordings.tick()
    assert recordings.find(ID)
    clock.now_s += 2 + CLEAN_EVERY_S
    with pytest.raises(MissingRecordingError):
        recordings.find(ID)
    recordings.tick()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("jump_s", [31 * 24 * KEEP_S, -31 * 24 * KEEP_S])
@pytest.mark.parametrize("is_started_anew", [False, True])
def test_jump_of_the_clock_removes_no_recording(tmp_path: Path, jump_s: float, is_started_anew: bool) -> None:
    steady, jumps = Clock(time.time()), [0.0]
    limits = RecordingLimits(10**6, 10**6, 30 * 24 * KEEP_S)

    def start() -> Recordings:
        return Recordings(str(tmp_path), limits, lambda: steady() + jumps[0], monotonic=steady)

    recordings = start()
    record(recordings)
    recordings.finish(ID)
    steady.now_s += 2 * KEEP_S
    jumps[0] = jump_s
    if is_started_anew:
        recordings = start()
    for _ in range(5):
        recordings.clean()
        assert is_started_anew or recordings.find(ID)
        steady.now_s += 600.0
    jumps[0] = 0.0
    for _ in range(5):
        recordings.clean()
        steady.now_s += 3600.0
    assert recordings.find(ID)


def test_jump_of_the_clock_hides_no_recording_that_is_made(tmp_path: Path) -> None:
    steady, jumps = Clock(time.time()), [0.0]
    limits = RecordingLimits(10**6, 10**6, KEEP_S)
    recordings = Recordings(str(tmp_path), limits, lambda: steady() + jumps[0], monotonic=steady)
    jumps[0] = -10 * KEEP_S
    record(recordings)
    for path in (tmp_path / ID).iterdir():
        os.utime(path, (steady() + jumps[0],) * 2)
    assert recordings.find(ID)


@pytest.mark.parametrize(("stray", "stays"), [(".nfs0001", False), ("holiday.jpg", True)])
def test_stray_file_keeps_no_recording_for_ever(tmp_path: Path, stray: str, stays: bool) -> None:
    clock = Clock(time.time())
    recordings = make(tmp_path, clock)
    record(recordings)
    recordings.finish(ID)
    (tmp_path / ID / stray).write_bytes(b"x" * 900)
    recordings.clean()
    assert recordings.num_bytes == sum(path.stat().st_size for path in (tmp_path / ID).iterdir())
    clock.now_s += 2 * KEEP_S
    recordings.clean()
    assert [path.name for path in tmp_path.rglob("*")] == ([ID, stray] if stays else [])


def test_oldest_finished_recordings_make_room(tmp_path: Path) -> None:
    clock = Clock(time.time())
    size = len(INIT) + sum(map(len, FRAGMENTS)) + 1000
    recordings = make(tmp_path, clock, all=2 * size)
    record(recordings)
    record(recordings, OTHER)
    with pytest.raises(RecordingsFullError):
        record(recordings, "session-number-3")
    recordings.finish(ID)
    clock.now_s += 1
    recordings.finish(OTHER)
    record(recordings, "session-number-3")
    assert is_gone(recordings)
    assert recordings.find(OTHER)


def test_recording_that_is_downloaded_makes_no_room(tmp_path: Path) -> None:
    size = len(INIT) + sum(map(len, FRAGMENTS)) + 1000
    recordings = make(tmp_path, all=2 * size)
    for id in (ID, OTHER):
        record(recordings, id)
        recordings.finish(id)
    with recordings.held(ID):
        record(recordings, "session-number-3")
        assert recordings.find(ID)
    with pytest.raises(MissingRecordingError):
        recordings.find(OTHER)


@pytest.mark.parametrize("is_finished", [False, True])
def test_recording_of_another_server_makes_room_once_it_is_finished(
    tmp_path: Path, is_finished: bool
) -> None:
    """One that is still written, or was when its server was killed, may be written for some minutes."""
    clock = Clock(time.time())
    size = len(INIT) + sum(map(len, FRAGMENTS)) + 1000
    theirs, ours = make(tmp_path, clock), make(tmp_path, clock, all=size)
    record(theirs)
    ours.tick()
    if is_finished:
        theirs.finish(ID)
    else:
        with pytest.raises(RecordingsFullError):
            record(ours, OTHER)
        clock.now_s += RESTING_S + 1
    record(ours, OTHER)
    assert is_gone(ours)


def test_recording_that_cannot_be_removed_holds_no_other_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(INIT) + sum(map(len, FRAGMENTS)) + 1000
    recordings = make(tmp_path, all=2 * size)
    for id in (ID, OTHER):
        record(recordings, id)
        recordings.finish(id)
    remove = Files.remove_folder
    monkeypatch.setattr(
        Files, "remove_folder", lambda files, name: fail() if name == ID else remove(files, name)
    )
    record(recordings, "session-number-3")
    assert recordings.find(ID)


def test_files_of_others_stay(tmp_path: Path) -> None:
    clock = Clock(time.time())
    recordings = make(tmp_path, clock, all=1)
    theirs = [tmp_path / "holiday.mp4", tmp_path / "my-holiday-in-rome" / "about.json"]
    theirs.append(tmp_path / "my-holiday-in-rome" / "film.mp4")
    theirs[1].parent.mkdir()
    for path in theirs:
        path.write_bytes(b"a film")
    clock.now_s += 100 * KEEP_S
    recordings.clean(10**9)
    assert all(path.exists() for path in theirs)
