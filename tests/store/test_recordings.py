"""Recordings on disk: only whole frames count, and nothing is kept for ever or beyond its room."""

import errno
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.recorded import sent_video
from worldplay.store import recordings as module
from worldplay.store.about import hash_key
from worldplay.store.errors import MissingRecordingError, RecordingsFullError, TakenOverError
from worldplay.store.files import Files
from worldplay.store.recordings import CLEAN_EVERY_S, RESTING_S, RecordingLimits, Recordings
from worldplay.store.take import LimitError, Take

KEEP_S = 3600.0
INIT, FRAGMENTS = sent_video(20, first=100)
ID, OTHER = "session-number-1", "session-number-2"
WALK = "the-first-walk"


class Clock:
    def __init__(self) -> None:
        self.now_s = time.time()

    def __call__(self) -> float:
        return self.now_s


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


def is_gone(recordings: Recordings) -> bool:
    """Nothing of the session is shown."""
    for read in (recordings.find, recordings.about, recordings.read_walk):
        with pytest.raises(MissingRecordingError):
            read(ID)
    return True


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
    monkeypatch.setattr(Path, "write_bytes", _fail)
    with pytest.raises(OSError, match="No space left"):
        record(recordings, walk="another")
    assert is_gone(make(tmp_path))


def test_old_video_that_cannot_be_removed_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    recordings = make(tmp_path, clock)
    record(recordings).write_walk(b"{}")
    recordings.expect(ID, "another")
    assert is_gone(recordings)
    with monkeypatch.context() as context:
        context.setattr(Files, "remove_folder", _fail)
        with pytest.raises(OSError, match="No space left"):
            record(recordings, walk="another")
        recordings.finish(ID)
        assert is_gone(recordings)
    clock.now_s += RESTING_S + 1
    recordings.tick()
    assert list(tmp_path.iterdir()) == []


def test_other_walk_that_another_server_records_is_shown_and_kept(tmp_path: Path) -> None:
    clock = Clock()
    earlier, later = make(tmp_path, clock), make(tmp_path, clock)
    earlier.expect(ID, WALK)
    record(earlier)
    later.expect(ID, "another")
    record(later, walk="another")
    earlier.finish(ID)
    clock.now_s += CLEAN_EVERY_S + 1
    earlier.tick()
    assert [each.find(ID).about.walk for each in (earlier, later)] == ["another", "another"]


def _fail(*arguments: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("id", ["", "x", "../../etc/passwd", "a" * 65, OTHER])
def test_unknown_id_is_no_recording(tmp_path: Path, id: str) -> None:
    recordings = make(tmp_path)
    record(recordings)
    with pytest.raises(MissingRecordingError):
        recordings.find(id)


def test_finished_recording_expires(tmp_path: Path) -> None:
    clock = Clock()
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
    steady, jumps = Clock(), [0.0]
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
    steady, jumps = Clock(), [0.0]
    limits = RecordingLimits(10**6, 10**6, KEEP_S)
    recordings = Recordings(str(tmp_path), limits, lambda: steady() + jumps[0], monotonic=steady)
    jumps[0] = -10 * KEEP_S
    record(recordings)
    for path in (tmp_path / ID).iterdir():
        os.utime(path, (steady() + jumps[0],) * 2)
    assert recordings.find(ID)


@pytest.mark.parametrize(("stray", "stays"), [(".nfs0001", False), ("holiday.jpg", True)])
def test_stray_file_keeps_no_recording_for_ever(tmp_path: Path, stray: str, stays: bool) -> None:
    clock = Clock()
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
    clock = Clock()
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
    clock = Clock()
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
        Files, "remove_folder", lambda files, name: _fail() if name == ID else remove(files, name)
    )
    record(recordings, "session-number-3")
    assert recordings.find(ID)


def test_recording_that_goes_on_is_finished_no_more(tmp_path: Path) -> None:
    recordings = make(tmp_path)
    record(recordings)
    recordings.finish(ID)
    assert make(tmp_path).find(ID).about.is_finished
    Take.go_on(recordings, ID, "key", WALK, INIT)
    assert not make(tmp_path).find(ID).about.is_finished


def test_files_of_others_stay(tmp_path: Path) -> None:
    clock = Clock()
    recordings = make(tmp_path, clock, all=1)
    theirs = [tmp_path / "holiday.mp4", tmp_path / "my-holiday-in-rome" / "about.json"]
    theirs.append(tmp_path / "my-holiday-in-rome" / "film.mp4")
    theirs[1].parent.mkdir()
    for path in theirs:
        path.write_bytes(b"a film")
    clock.now_s += 100 * KEEP_S
    recordings.clean(10**9)
    assert all(path.exists() for path in theirs)


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
        context.setattr(Files, "write", _fail)
        take.revoke()
    again = make(tmp_path)
    with pytest.raises(MissingRecordingError):
        again.linked_walk(ID, hash_key(token))
    gone_on = Take.go_on(again, ID, "key", "a walk", INIT)
    assert gone_on is not None
    assert gone_on.share(lambda take, number: f"{take}{number}") != token
