"""Makes a recording seekable: a header with its length and chapters, and tables of its keyframes.

The fragments stay as they are. ISO 14496-12: mehd 8.8.2, sidx 8.16.3, mfra 8.8.9. Chapters are Nero's `chpl`,
which FFmpeg reads, and so do players that use it.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from worldplay.media.fmp4 import TIMESCALE, TRACK_ID, box, full_box
from worldplay.media.fragment_index import FragmentIndex

MAX_CHAPTERS = 255  # their number has one byte
MAX_TITLE_BYTES = 255
_CHPL_SECOND = 10_000_000
_MAX_ENTRIES = 2**16 - 1  # of a sidx
_STARTS_WITH_KEY = 0x90000000  # starts_with_SAP, SAP_type 1


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter begins at a frame, counted from 0."""

    frame: int
    title: str


@dataclass(frozen=True, slots=True)
class SeekableFile:
    """A recording as it is downloaded: a header, a part of the recorded file, and a table."""

    header: bytes
    begin: int  # in the recorded file: where its first fragment begins
    end: int  # and its last one ends
    table: bytes

    @property
    def num_bytes(self) -> int:
        return len(self.header) + self.end - self.begin + len(self.table)

    def pieces(self, start: int, stop: int) -> Iterator[bytes | range]:
        """Yield what the bytes from `start` to `stop` consist of: bytes, or a range of the recorded file."""
        body, table = len(self.header), len(self.header) + self.end - self.begin
        if start < body:
            yield self.header[start:stop]
        if start < table and stop > body:
            yield range(self.begin + max(start, body) - body, self.begin + min(stop, table) - body)
        if stop > table:
            yield self.table[max(0, start - table) : stop - table]


def make_seekable(init: bytes, index: FragmentIndex, chapters: Sequence[Chapter]) -> SeekableFile:
    """Make the file of a recording that begins with this init segment.

    The header says what the init segment says, how long the file is, and where its keyframes are. The table
    names the keyframes once more, for players that look for it at the end.
    """
    boxes = dict(_boxes(init))
    moov = _moov(boxes[b"moov"], index, chapters)
    header = box(b"ftyp", boxes[b"ftyp"]) + moov + _sidx(index)
    return SeekableFile(header, index.init_bytes, index.end, _mfra(index, len(header)))


def _mfra(index: FragmentIndex, header_bytes: int) -> bytes:
    moved = header_bytes - index.init_bytes
    keys = zip(index.key_frames, index.key_offsets, strict=True)
    entries = b"".join(
        struct.pack(">QQ3B", frame * index.frame_ticks, offset + moved, 1, 1, 1) for frame, offset in keys
    )
    tfra = full_box(b"tfra", 1, 0, struct.pack(">3L", TRACK_ID, 0, len(index.key_frames)), entries)
    mfro_bytes = 16
    mfro = full_box(b"mfro", 0, 0, struct.pack(">L", 8 + len(tfra) + mfro_bytes))
    return box(b"mfra", tfra, mfro)


def _moov(moov: bytes, index: FragmentIndex, chapters: Sequence[Chapter]) -> bytes:
    parts = []
    for name, content in _boxes(moov):
        if name == b"mvex":
            content = full_box(b"mehd", 1, 0, struct.pack(">Q", index.duration)) + content
        parts.append(box(name, content))
    if chapters:
        parts.append(box(b"udta", _chpl(chapters, index.frame_ticks)))
    return box(b"moov", *parts)


def _chpl(chapters: Sequence[Chapter], frame_ticks: int) -> bytes:
    listed = chapters[:MAX_CHAPTERS]
    entries = []
    for chapter in listed:
        title = _cut(chapter.title.encode(), MAX_TITLE_BYTES)
        time = chapter.frame * frame_ticks * _CHPL_SECOND // TIMESCALE
        entries.append(struct.pack(">QB", time, len(title)) + title)
    return full_box(b"chpl", 1, 0, struct.pack(">LB", 0, len(listed)), *entries)


def _cut(text: bytes, most: int) -> bytes:
    """Cut UTF-8 between two characters."""
    return text[:most].decode(errors="ignore").encode()


def _sidx(index: FragmentIndex) -> bytes:
    """Each entry is a keyframe, with the frames up to that of the next entry."""
    step = -(-len(index.key_frames) // _MAX_ENTRIES) or 1
    frames = [*index.key_frames[::step], index.num_frames]
    offsets = [*index.key_offsets[::step], index.end]
    entries = [
        struct.pack(">3L", end - offset, (next_frame - frame) * index.frame_ticks, _STARTS_WITH_KEY)
        for (offset, end), (frame, next_frame) in zip(pairwise(offsets), pairwise(frames), strict=True)
    ]
    head = struct.pack(">2L2Q2H", TRACK_ID, TIMESCALE, 0, 0, 0, len(entries))
    return full_box(b"sidx", 1, 0, head, *entries)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the boxes of an init segment, or of one of its boxes: name and content."""
    position = 0
    while position < len(data):
        size, name = struct.unpack_from(">L4s", data, position)
        yield name, data[position + 8 : position + size]
        position += size
