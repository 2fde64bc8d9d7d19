"""A recording as a file: it plays, its tables lead to its keyframes, and players see its chapters."""

import io
import json
import shutil
import struct
import subprocess
from pathlib import Path

import av
import pytest

from support.boxes import payload_of, walk
from support.pictures import decode_file
from support.recorded import GROUP, index_of, sent_video
from worldplay.media import seekable
from worldplay.media.fmp4 import FRAGMENT_HEAD_BYTES, move, read_head
from worldplay.media.fragment_index import FragmentIndex
from worldplay.media.seekable import Chapter, SeekableFile, make_seekable

Sent = tuple[bytes, list[bytes]]
NUM_FRAMES = 40
CHAPTERS = [Chapter(0, "Start"), Chapter(16, "bei Nacht, \N{SNOWFLAKE}"), Chapter(30, "x" * 300)]


@pytest.fixture(scope="module")
def sent() -> Sent:
    return sent_video(NUM_FRAMES)


def whole_file(init: bytes, fragments: list[bytes], chapters: list[Chapter]) -> bytes:
    data = init + b"".join(fragments)
    file = make_seekable(init, index_of(init, data), chapters)
    assert file.num_bytes == len(file.header) + len(data) - len(init) + len(file.table)
    return file.header + data[file.begin : file.end] + file.table


@pytest.fixture(scope="module")
def file(sent: Sent) -> bytes:
    return whole_file(*sent, CHAPTERS)


def offsets_of(data: bytes, name: bytes) -> list[int]:
    """Where the top-level boxes of a name begin."""
    found, position = [], 0
    while position < len(data):
        size, this = struct.unpack_from(">L4s", data, position)
        if this == name:
            found.append(position)
        position += size
    return found


def test_file_plays_as_it_was_sent(sent: Sent, file: bytes) -> None:
    assert b"".join(sent[1]) in file
    pictures = decode_file(file)
    assert [picture.pts for picture in pictures] == [1000 * number for number in range(NUM_FRAMES)]


def test_tables_lead_to_the_keyframes(file: bytes) -> None:
    moofs = offsets_of(file, b"moof")
    keys = [(1000 * frame, moofs[frame]) for frame in range(0, NUM_FRAMES, GROUP)]
    tfra = payload_of(file[offsets_of(file, b"mfra")[0] :], "/mfra")[8:]
    assert struct.unpack_from(">L", tfra, 12)[0] == len(keys)
    assert [struct.unpack_from(">QQ3B", tfra, 16 + 19 * i) for i in range(len(keys))] == [
        (time, offset, 1, 1, 1) for time, offset in keys
    ]
    (mfra_bytes,) = struct.unpack(">L", file[-4:])
    assert file[-mfra_bytes:][4:8] == b"mfra"


def test_index_at_the_front_covers_everything(file: bytes) -> None:
    (position,) = offsets_of(file, b"sidx")
    sidx = payload_of(file, "/sidx")
    *_, count = struct.unpack_from(">2L2Q2H", sidx, 4)
    entries = [struct.unpack_from(">3L", sidx, 32 + 12 * i) for i in range(count)]
    assert [duration for _, duration, _ in entries] == [16_000, 16_000, 8_000]
    first = position + 8 + len(sidx)
    assert first == offsets_of(file, b"moof")[0]
    assert first + sum(size for size, _, _ in entries) == offsets_of(file, b"mfra")[0]


def test_many_keyframes_share_entries(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seekable, "_MAX_ENTRIES", 2)
    sidx = payload_of(whole_file(*sent, []), "/sidx")
    assert [struct.unpack_from(">3L", sidx, 32 + 12 * i)[1] for i in range(2)] == [32_000, 8_000]


def test_header_says_how_long_it_is(file: bytes) -> None:
    assert payload_of(file, "/moov/mvex/mehd") == struct.pack(">LQ", 1 << 24, 1000 * NUM_FRAMES)


def test_players_see_chapters(file: bytes) -> None:
    with av.open(io.BytesIO(file), "r") as container:
        chapters = container.chapters()
        assert container.duration == pytest.approx(NUM_FRAMES / 24 * 1e6, abs=1)
    starts = [each["start"] / 1e7 for each in chapters]
    assert starts == pytest.approx([0, 16 / 24, 30 / 24], abs=1e-6)
    assert [each["metadata"]["title"] for each in chapters] == [
        "Start",
        "bei Nacht, \N{SNOWFLAKE}",
        "x" * 255,
    ]


def test_title_is_cut_between_characters(sent: Sent) -> None:
    data = whole_file(*sent, [Chapter(0, "x" + "\N{SNOWFLAKE}" * 100)])
    with av.open(io.BytesIO(data), "r") as container:
        assert container.chapters()[0]["metadata"]["title"] == "x" + "\N{SNOWFLAKE}" * 84


def test_player_reads_little_to_seek(file: bytes) -> None:
    """With the index at the front, a player of an hour's file need not read all of it."""

    class Counted(io.BytesIO):
        num_read = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.num_read += len(data)
            return data

    init, fragments = sent_video(GROUP)
    many = [move(fragment, 0, 1000 * number) for number, fragment in enumerate(fragments * 100)]
    data = whole_file(init, many, CHAPTERS)
    counted = Counted(data)
    with av.open(counted, "r") as container:
        container.seek(60_000_000)
        frame = next(container.decode(video=0))
    assert frame.time == 60.0
    assert counted.num_read < len(data) / 4


def test_empty_recording_is_a_file(sent: Sent) -> None:
    data = whole_file(sent[0], [], [])
    assert [path for path, _ in walk(data[: offsets_of(data, b"mfra")[0]]) if path.count("/") == 1] == [
        "/ftyp",
        "/moov",
        "/sidx",
    ]


def test_any_part_of_a_file_is_found() -> None:
    recorded = b"init" + b"fragments" + b"more"
    file = SeekableFile(b"header", 4, 13, b"table")
    whole = b"headerfragmentstable"
    assert file.num_bytes == len(whole)
    for start in range(len(whole)):
        for stop in range(start + 1, len(whole) + 1):
            pieces = [
                recorded[piece.start : piece.stop] if isinstance(piece, range) else piece
                for piece in file.pieces(start, stop)
            ]
            assert b"".join(pieces) == whole[start:stop], (start, stop)


@pytest.mark.parametrize("missing", [1, FRAGMENT_HEAD_BYTES])
def test_incomplete_fragment_is_left_out(sent: Sent, missing: int) -> None:
    init, fragments = sent
    data = init + b"".join(fragments)
    index = index_of(init, data[: len(data) - len(fragments[-1]) + missing])
    assert (index.num_frames, index.end) == (NUM_FRAMES - 1, len(data) - len(fragments[-1]))


def test_index_goes_on_where_it_was(sent: Sent) -> None:
    init, fragments = sent
    data = init + b"".join(fragments)
    index = FragmentIndex(len(init))
    for end in range(0, len(data) + 1, 997):
        index.extend(lambda offset, size, end=end: data[:end][offset : offset + size], end)  # type: ignore[misc]
    index.extend(lambda offset, size: data[offset : offset + size], len(data))
    whole = index_of(init, data)
    assert (index.end, index.key_offsets, index.key_frames) == (
        len(data),
        whole.key_offsets,
        whole.key_frames,
    )


def test_fragment_moves_to_another_place(sent: Sent) -> None:
    _, moved = sent_video(2, first=7)
    assert [move(fragment, n + 1, 1000 * n) for n, fragment in enumerate(moved)] == sent_video(2)[1]


@pytest.mark.parametrize("change", [slice(0, 4), slice(4, 8), slice(100, 104), slice(104, 108)])
def test_what_is_no_fragment_has_no_head(sent: Sent, change: slice) -> None:
    damaged = bytearray(sent[1][0])
    assert read_head(bytes(damaged)) is not None
    damaged[change] = b"xxxx"
    assert read_head(bytes(damaged)) is None


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed (Debian: ffmpeg)")
def test_ffprobe_finds_no_fault(file: bytes, tmp_path: Path) -> None:
    path = tmp_path / "walk.mp4"
    path.write_bytes(file)
    command = ["ffprobe", "-v", "warning", "-of", "json", "-count_frames", "-show_streams", "-show_chapters"]
    done = subprocess.run([*command, str(path)], capture_output=True, check=True, text=True, timeout=30)
    found = json.loads(done.stdout)
    assert (done.stderr, found["streams"][0]["nb_read_frames"]) == ("", str(NUM_FRAMES))
    assert [chapter["start_time"] for chapter in found["chapters"]] == ["0.000000", "0.666667", "1.250000"]
