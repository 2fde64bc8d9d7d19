"""Start codes against lengths, with x264 as the judge: it writes both."""

from collections.abc import Callable
from fractions import Fraction

import pytest
from av import VideoFrame
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

from support.pictures import HEIGHT, WIDTH, moving_bars
from worldplay.media.nal_units import make_avcc, prefix_lengths, split_units


@pytest.fixture
def encode() -> Callable[[int], tuple[bytes, list[bytes]]]:
    """Encode some frames. Returns: the parameter sets, and a packet for each frame."""

    def run(annexb: int) -> tuple[bytes, list[bytes]]:
        context = VideoCodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        context.time_base = Fraction(1, 24)
        context.flags |= Flags.global_header
        context.options = {"tune": "zerolatency", "x264-params": f"annexb={annexb}:aud={annexb}"}
        context.open()
        packets: list[bytes] = []
        for number, frame in enumerate(moving_bars(8)):
            picture = VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p")
            picture.pts = number
            packets += map(bytes, context.encode(picture))
        assert context.extradata is not None
        return context.extradata, packets

    return run


def test_parameter_sets(encode: Callable[[int], tuple[bytes, list[bytes]]]) -> None:
    assert make_avcc(encode(1)[0]) == encode(0)[0]


def test_packets(encode: Callable[[int], tuple[bytes, list[bytes]]]) -> None:
    (_, with_codes), (_, with_lengths) = encode(1), encode(0)
    assert len(with_codes) == 8
    settings = [bytes.find(packets[0], b"x264 - core") for packets in (with_codes, with_lengths)]
    assert min(settings) > 0, "a message with the settings, which differ"
    for theirs, ours in zip(with_lengths[1:], map(prefix_lengths, with_codes[1:]), strict=True):
        assert ours == theirs


def test_sets_and_delimiters_in_the_stream_are_left_out() -> None:
    stream = b"".join(b"\0\0\0\1" + bytes([kind, 5, 6]) for kind in (0x67, 0x68, 0x09, 0x65))
    assert prefix_lengths(stream) == b"\0\0\0\3\x65\5\6"


def test_short_and_long_start_codes() -> None:
    assert split_units(b"\0\0\1\x65\7\0\0\0\1\x41\0\7\0\0\0\0\1\x41") == [b"\x65\7", b"\x41\0\7", b"\x41"]


def test_missing_parameter_sets() -> None:
    with pytest.raises(ValueError, match=r"expected an SPS and a PPS, got units of types \[7\]"):
        make_avcc(b"\0\0\0\1\x67\1\2\3")
