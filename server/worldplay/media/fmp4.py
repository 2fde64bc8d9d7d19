"""Writes the boxes of a fragmented MP4 (ISO 14496-12, 14496-15) that holds one H.264 video track."""

import struct
from dataclasses import dataclass

TRACK_ID = 1
# 90 000 and 1000 do not divide by 24; at 24000 a frame of 24 fps lasts exactly 1000 ticks.
TIMESCALE = 24_000

MATRIX = struct.pack(">9L", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
LANGUAGE_UND = 0x55C4
ENABLED_IN_MOVIE = 3

# ISO 14496-12, 8.8.3.1: sample_depends_on 2 (no other); sample_depends_on 1 (others) and is_non_sync_sample.
SYNC_SAMPLE = 0x02000000
DEPENDENT_SAMPLE = 0x01010000

# Where `fragment` puts what a reader wants to know.
MOOF_BYTES = 100
FRAGMENT_HEAD_BYTES = MOOF_BYTES + 8  # up to the sample
_SEQUENCE_AT, _DECODE_TIME_AT, _RUN_AT = 20, 60, 88

TFHD_DEFAULT_BASE_IS_MOOF = 0x020000
TRUN_DATA_OFFSET = 0x001
TRUN_DURATION_SIZE_FLAGS = 0x100 | 0x200 | 0x400

# Code points of ISO 23091-2 for primaries, transfer and matrix of BT.709; the range bit 0 means limited.
BT709_LIMITED = struct.pack(">4s3HB", b"nclx", 1, 1, 1, 0)


def init_segment(width: int, height: int, avcc: bytes) -> bytes:
    """Describe the track: what a `SourceBuffer`, or the start of a file, needs before any fragment.

    Args:
        width, height: of the picture, in pixels.
        avcc: the AVCDecoderConfigurationRecord, with SPS and PPS.
    """
    ftyp = box(b"ftyp", struct.pack(">4sL", b"iso5", 0), b"iso5", b"iso6", b"avc1", b"mp41")
    # Neither a duration nor mehd: Chromium takes the stream as live and then decodes without frame threads,
    # each of which would hold a frame back.
    times = struct.pack(">4L", 0, 0, TIMESCALE, 0)
    rate_volume = struct.pack(">LHHQ", 0x10000, 0x100, 0, 0)
    mvhd = full_box(b"mvhd", 0, 0, times, rate_volume, MATRIX, bytes(24), struct.pack(">L", TRACK_ID + 1))
    trex = full_box(b"trex", 0, 0, struct.pack(">5L", TRACK_ID, 1, 0, 0, 0))
    return ftyp + box(b"moov", mvhd, _trak(width, height, avcc), box(b"mvex", trex))


def fragment(sequence: int, decode_time: int, duration: int, sample: bytes, key: bool) -> bytes:
    """Wrap one sample as a fragment of its own (moof + mdat).

    Args:
        sequence: position of the fragment in the stream; kept modulo 2^32.
        decode_time, duration: in ticks of TIMESCALE; decode_time has 64 bits.
        sample: length-prefixed NAL units of one access unit.
        key: whether decoding can start here.
    """
    mfhd = full_box(b"mfhd", 0, 0, struct.pack(">L", sequence & 0xFFFFFFFF))
    tfhd = full_box(b"tfhd", 0, TFHD_DEFAULT_BASE_IS_MOOF, struct.pack(">L", TRACK_ID))
    tfdt = full_box(b"tfdt", 1, 0, struct.pack(">Q", decode_time))
    flags = SYNC_SAMPLE if key else DEPENDENT_SAMPLE
    trun_size = 32
    # moof and traf headers, then the sample after the header of its mdat.
    data_offset = 8 + len(mfhd) + 8 + len(tfhd) + len(tfdt) + trun_size + 8
    run = struct.pack(">LlLLL", 1, data_offset, duration, len(sample), flags)
    trun = full_box(b"trun", 0, TRUN_DATA_OFFSET | TRUN_DURATION_SIZE_FLAGS, run)
    assert len(trun) == trun_size, len(trun)
    return box(b"moof", mfhd, box(b"traf", tfhd, tfdt, trun)) + box(b"mdat", sample)


@dataclass(frozen=True, slots=True)
class FragmentHead:
    """What a fragment says before its sample."""

    num_bytes: int  # of the whole fragment
    duration: int
    key: bool


def read_head(data: bytes) -> FragmentHead | None:
    """Read the first FRAGMENT_HEAD_BYTES of a fragment. Returns: None if they are not of `fragment`."""
    if len(data) < FRAGMENT_HEAD_BYTES or data[:8] != struct.pack(">L4s", MOOF_BYTES, b"moof"):
        return None
    duration, num_bytes, flags = struct.unpack_from(">3L", data, _RUN_AT)
    if data[MOOF_BYTES:FRAGMENT_HEAD_BYTES] != struct.pack(">L4s", 8 + num_bytes, b"mdat"):
        return None
    return FragmentHead(FRAGMENT_HEAD_BYTES + num_bytes, duration, flags == SYNC_SAMPLE)


def move(data: bytes, sequence: int, decode_time: int) -> bytes:
    """Return a fragment at another place of its stream. Args: as `fragment`."""
    moved = bytearray(data)
    struct.pack_into(">L", moved, _SEQUENCE_AT, sequence & 0xFFFFFFFF)
    struct.pack_into(">Q", moved, _DECODE_TIME_AT, decode_time)
    return bytes(moved)


def _trak(width: int, height: int, avcc: bytes) -> bytes:
    header = struct.pack(">5L16x", 0, 0, TRACK_ID, 0, 0)
    shown_size = struct.pack(">LL", width << 16, height << 16)
    tkhd = full_box(b"tkhd", 0, ENABLED_IN_MOVIE, header, MATRIX, shown_size)
    mdhd = full_box(b"mdhd", 0, 0, struct.pack(">4LHH", 0, 0, TIMESCALE, 0, LANGUAGE_UND, 0))
    hdlr = full_box(b"hdlr", 0, 0, struct.pack(">L4s12x", 0, b"vide"), b"VideoHandler\0")
    return box(b"trak", tkhd, box(b"mdia", mdhd, hdlr, _minf(width, height, avcc)))


def _minf(width: int, height: int, avcc: bytes) -> bytes:
    vmhd = full_box(b"vmhd", 0, 1, bytes(8))
    url_same_file = full_box(b"url ", 0, 1)
    dinf = box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">L", 1), url_same_file))
    stsd = full_box(b"stsd", 0, 0, struct.pack(">L", 1), _avc1(width, height, avcc))
    # The samples are described by the fragments; these tables must be there, empty.
    empty = [full_box(name, 0, 0, bytes(4)) for name in (b"stts", b"stsc", b"stco")]
    stsz = full_box(b"stsz", 0, 0, bytes(8))
    return box(b"minf", vmhd, dinf, box(b"stbl", stsd, *empty, stsz))


def _avc1(width: int, height: int, avcc: bytes) -> bytes:
    dpi = 0x00480000
    entry = struct.pack(">6xH16xHHLLLH32sHh", 1, width, height, dpi, dpi, 0, 1, b"", 24, -1)
    square_pixels = box(b"pasp", struct.pack(">LL", 1, 1))
    return box(b"avc1", entry, box(b"avcC", avcc), box(b"colr", BT709_LIMITED), square_pixels)


def full_box(name: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return box(name, struct.pack(">L", version << 24 | flags), *parts)


def box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">L4s", 8 + len(body), name) + body
