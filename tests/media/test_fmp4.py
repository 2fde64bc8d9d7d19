"""Tests of the boxes by themselves: their tree, their literals and the arithmetic that joins moof to mdat."""

import struct

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.boxes import payload_of, walk
from worldplay.media.fmp4 import fragment, init_segment

STBL = "/moov/trak/mdia/minf/stbl"
AVC1 = f"{STBL}/stsd/avc1"


def test_init_segment_has_every_mandatory_box() -> None:
    assert [path for path, _ in walk(init_segment(160, 96, b"\1avcc"))] == [
        "/ftyp",
        "/moov",
        "/moov/mvhd",
        "/moov/trak",
        "/moov/trak/tkhd",
        "/moov/trak/mdia",
        "/moov/trak/mdia/mdhd",
        "/moov/trak/mdia/hdlr",
        "/moov/trak/mdia/minf",
        "/moov/trak/mdia/minf/vmhd",
        "/moov/trak/mdia/minf/dinf",
        "/moov/trak/mdia/minf/dinf/dref",
        "/moov/trak/mdia/minf/dinf/dref/url ",
        STBL,
        f"{STBL}/stsd",
        AVC1,
        f"{AVC1}/avcC",
        f"{AVC1}/colr",
        f"{AVC1}/pasp",
        f"{STBL}/stts",
        f"{STBL}/stsc",
        f"{STBL}/stco",
        f"{STBL}/stsz",
        "/moov/mvex",
        "/moov/mvex/trex",
    ]


def test_init_segment_tags_bt709_limited_and_square_pixels() -> None:
    init = init_segment(160, 96, b"\1avcc")
    assert payload_of(init, f"{AVC1}/avcC") == b"\1avcc"
    assert payload_of(init, f"{AVC1}/colr") == b"nclx" + bytes.fromhex("0001 0001 0001 00")
    assert payload_of(init, f"{AVC1}/pasp") == bytes.fromhex("00000001 00000001")


def test_init_segment_states_size_timescale_and_no_duration() -> None:
    init = init_segment(160, 96, b"\1avcc")
    assert struct.unpack_from(">HH", payload_of(init, AVC1), 24) == (160, 96)
    assert payload_of(init, "/moov/trak/tkhd")[-8:] == struct.pack(">HHHH", 160, 0, 96, 0)
    assert struct.unpack_from(">LL", payload_of(init, "/moov/trak/mdia/mdhd"), 12) == (24_000, 0)
    assert struct.unpack_from(">LL", payload_of(init, "/moov/mvhd"), 12) == (24_000, 0)


def test_fragment_keeps_all_64_bits_of_the_decode_time() -> None:
    tfdt = payload_of(fragment(1, 2**32 + 5, 1000, b"x", key=True), "/moof/traf/tfdt")
    assert tfdt == bytes.fromhex("01000000 0000000100000005")


def test_fragment_marks_sync_and_dependent_samples() -> None:
    flags = [payload_of(fragment(1, 0, 1000, b"x", key), "/moof/traf/trun")[-4:] for key in (True, False)]
    assert flags == [bytes.fromhex("02000000"), bytes.fromhex("01010000")]


def test_fragment_sequence_wraps_after_32_bits() -> None:
    assert payload_of(fragment(2**32 + 7, 0, 1000, b"x", key=True), "/moof/mfhd") == bytes.fromhex(
        "00000000 00000007"
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sequence=st.integers(0, 2**32 - 1),
    decode_time=st.integers(0, 2**64 - 1),
    duration=st.integers(0, 2**32 - 1),
    sample=st.binary(max_size=300),
    key=st.booleans(),
)
def test_fragment_reads_back_whatever_it_holds(
    sequence: int, decode_time: int, duration: int, sample: bytes, key: bool
) -> None:
    data = fragment(sequence, decode_time, duration, sample, key)
    boxes = dict(walk(data))
    assert list(boxes) == ["/moof", "/moof/mfhd", "/moof/traf", "/moof/traf/tfhd", "/moof/traf/tfdt",
                           "/moof/traf/trun", "/mdat"]  # fmt: skip
    assert struct.unpack(">4xL", boxes["/moof/mfhd"]) == (sequence,)
    assert struct.unpack(">LL", boxes["/moof/traf/tfhd"]) == (0x020000, 1)
    assert struct.unpack(">4xQ", boxes["/moof/traf/tfdt"]) == (decode_time,)
    flags, count, offset, *fields, _ = struct.unpack(">LLlLLL", boxes["/moof/traf/trun"])
    assert (flags, count, fields) == (0x701, 1, [duration, len(sample)])
    # default-base-is-moof: the offset counts from the moof's first byte, here the fragment's.
    assert data[offset:] == boxes["/mdat"] == sample
